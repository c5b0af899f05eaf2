/**
 * The log under failing system calls, on full disks and with damage, with real files. strace fails calls on one file of
 * the log (`-P`): the engine below makes its own.
 */

import { readdirSync, readFileSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { batchOf, lastWholeBatch } from "../numbered-batch.ts";
import {
  canTrace,
  describeFullDisk,
  describeSlowDisk,
  expectReadsOfAcknowledged,
  FaultRig,
  type Trace,
} from "../store-faults.ts";

const rig = new FaultRig("wal");
const calls =
  (...injects: readonly string[]): Trace =>
  (folder) => [
    ...["-P", join(folder, "journal.wal.1"), "-e", "trace=pwritev,pwrite64"],
    ...injects.flatMap((inject) => ["-e", `inject=${inject}`]),
  ];

describeSlowDisk(rig, calls("pwritev:delay_enter=120000"));
describeFullDisk(rig, { some: "12m", blocks: 200, twenty: "16m", none: "2400k" });

describe.runIf(canTrace)("with failing system calls", () => {
  test("undoes a commit whose write failed, and goes on when writes succeed again", async () => {
    // A record is one vector; what makes a failed one unreadable is a plain write, and fails twice here.
    const failing = calls("pwritev:error=EIO:when=3", "pwrite64:error=EIO:when=1..2");
    const lines = await rig.commitUnder(failing, 7);
    expect(lines.map(({ outcome }) => outcome)).toEqual([
      ...["ok", "ok", "sync", "sync", "sync", "ok", "ok", "ok"],
    ]);
    expectReadsOfAcknowledged(lines);
    await rig.expectBlocksOf(lines);
  });

  test("calls a write without room full, once what it wrote is unreadable", async () => {
    const lines = await rig.commitUnder(calls("pwritev:error=ENOSPC:when=2"), 4);
    expect(lines.map(({ outcome }) => outcome)).toEqual(["ok", "full", "ok", "ok", "ok"]);
    expectReadsOfAcknowledged(lines);
  });
});

describe("damage", () => {
  const BATCHES = 60;

  /** A log of several segments. */
  const fill = async (): Promise<void> => {
    const store = await rig.open();
    for (let number = 1; number <= BATCHES; number += 1) await store.commit(batchOf(number));
    await store.close();
  };
  const segments = (): string[] =>
    readdirSync(rig.folder).filter((name) => name.startsWith("journal.wal."));
  const refusal = async (): Promise<string> => {
    const failed = await rig.open().then(
      (store) => store.close().then(() => undefined),
      (error: unknown) => error,
    );
    expect(MeshError.is(failed, "JOURNAL_DAMAGED"), String(failed)).toBe(true);
    return (failed as MeshError).message;
  };
  const change = (name: string, change: (bytes: Uint8Array) => void): void => {
    const path = join(rig.folder, name);
    const bytes = readFileSync(path);
    change(bytes);
    writeFileSync(path, bytes);
  };
  /** Segments that hold something, by the number of their first commit. */
  const written = (): string[] => {
    const first = (name: string) => {
      const bytes = readFileSync(join(rig.folder, name));
      const isRecord = bytes.toString("latin1", 512, 516) === "MBWR";
      return isRecord ? Number(bytes.readBigUInt64LE(512 + 16)) : 0;
    };
    return segments()
      .filter((name) => first(name) > 0)
      .sort((one, other) => first(one) - first(other));
  };
  const newest = () => written().at(-1) as string;
  const lastButOne = () => written().at(-2) as string;

  test("of a row in the middle is JOURNAL_DAMAGED, not the end of the log", async () => {
    await fill();
    change(newest(), (bytes) => {
      bytes[572] = (bytes[572] as number) ^ 1;
    });
    expect(await refusal()).toMatch(/cannot be read|is missing/);
  });

  test("a segment that is missing is JOURNAL_DAMAGED", async () => {
    await fill();
    unlinkSync(join(rig.folder, lastButOne()));
    expect(await refusal()).toMatch(/commit \d+ is missing/);
    for (const name of segments()) unlinkSync(join(rig.folder, name));
    expect(await refusal()).toMatch(/its log files are missing/);
  });

  test("a file of another journal is JOURNAL_DAMAGED", async () => {
    await fill();
    for (const name of ["journal.lmdb", "journal.lmdb-lock"]) unlinkSync(join(rig.folder, name));
    expect(await refusal()).toMatch(/log files that it does not know/);
  });

  test("a file that was cut short is JOURNAL_DAMAGED where it held something", async () => {
    await fill();
    truncateSync(join(rig.folder, newest()), 1_000);
    expect(await refusal()).toMatch(/it has 1000 B of the \d+ B it was made with/);
  });

  test("a last record that was not written to its end is as if it had never been", async () => {
    const store = await rig.open();
    for (let number = 1; number <= 3; number += 1) await store.commit(batchOf(number));
    await store.close();
    unlinkSync(join(rig.folder, "journal.wal.mark")); // as where the process was killed at once
    change("journal.wal.1", (bytes) => {
      let last = bytes.length - 1;
      while (bytes[last] === 0) last -= 1;
      bytes[last] = (bytes[last] as number) ^ 1; // the end of the last block
    });
    const again = await rig.open();
    expect(lastWholeBatch(again)).toBe(2);
    await again.commit(batchOf(3));
    await again.close();
    const third = await rig.open();
    expect(lastWholeBatch(third)).toBe(3);
    await third.close();
  });
});
