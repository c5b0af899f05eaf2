/**
 * The log under failing system calls, full disks and damage, with real files. strace fails calls on one file of the
 * log (`-P`), a tmpfs of its own in a private mount namespace is the full disk; where either is missing the tests are
 * skipped. One libuv thread, because strace counts calls for each thread.
 */

import { spawnSync } from "node:child_process";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { MeshError } from "../../../src/errors.ts";
import { lmdbEngine } from "../../../src/journal/lmdb/lmdb-engine.ts";
import { walEngine } from "../../../src/journal/wal/wal-engine.ts";
import type { JournalStore } from "../../../src/ports/journal-store.ts";
import { childPath, startChild } from "../lmdb/store-child.ts";
import { batchOf, lastWholeBatch, numberKey } from "../numbered-batch.ts";

type Line = {
  readonly number: number;
  readonly outcome: string;
  readonly tookMs: number;
  readonly shown: boolean;
  readonly cursor: number;
};

const works = (command: string, ...args: string[]) =>
  spawnSync(command, args, { stdio: "ignore" }).status === 0;
const canTrace = works("strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "true");
const canMount = works("unshare", "-m", "sh", "-c", "mount -t tmpfs -o size=1m none /mnt");

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "meshbus-wal-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const open = (): Promise<JournalStore> =>
  walEngine(lmdbEngine()).open({ dataDir: folder, bytesMax: 2 ** 30 });

/** Runs store-faults on a store that exists already, so that creating it is not what fails. */
async function commitUnder(injects: readonly string[], count: number): Promise<Line[]> {
  await (await open()).close();
  const under = ["strace", "-f", "-qq", "-o", join(folder, "trace")];
  under.push("-P", join(folder, "journal.wal.1"), "-e", "trace=pwritev,pwrite64");
  for (const inject of injects) under.push("-e", `inject=${inject}`);
  const child = startChild({
    name: "store-faults",
    args: [folder, String(count), "65536", "wal"],
    under,
    env: { UV_THREADPOOL_SIZE: "1" },
  });
  expect(await child.ended).toBe(0);
  const lines = child.lines.map((line) => JSON.parse(line) as Line);
  expect(lines.length).toBe(count + 1);
  return lines;
}

/** What reads show after each line must be the commits that were acknowledged, no more, no less. */
function expectReadsOfAcknowledged(lines: readonly Line[]): void {
  let cursor = 0;
  for (const line of lines.filter(({ number }) => number > 0)) {
    if (line.outcome === "ok") cursor = line.number;
    expect(line).toMatchObject({ cursor, shown: line.outcome === "ok" });
  }
}

describe.runIf(canTrace)("with failing system calls", () => {
  test("does not resolve a commit before a slow write has returned", async () => {
    const lines = await commitUnder(["pwritev:delay_enter=120000"], 4);
    for (const { number, outcome, tookMs } of lines.filter((line) => line.number > 0)) {
      expect([number, outcome]).toEqual([number, "ok"]);
      expect(tookMs).toBeGreaterThanOrEqual(119);
    }
  });

  test("undoes a commit whose write failed, and goes on when writes succeed again", async () => {
    // A record is one vector; what makes a failed one unreadable is a plain write, and fails twice here.
    const failing = ["pwritev:error=EIO:when=3", "pwrite64:error=EIO:when=1..2"];
    const lines = await commitUnder(failing, 7);
    expect(lines.map(({ outcome }) => outcome)).toEqual([
      ...["ok", "ok", "sync", "sync", "sync", "ok", "ok", "ok"],
    ]);
    expectReadsOfAcknowledged(lines);
    const store = await open();
    for (const { number, outcome } of lines.filter((line) => line.number > 1)) {
      const block = store.get("log", numberKey(number));
      expect(block?.length).toBe(outcome === "ok" ? 65_536 : undefined);
    }
    await store.close();
  });

  test("calls a write without room full, once what it wrote is unreadable", async () => {
    const lines = await commitUnder(["pwritev:error=ENOSPC:when=2"], 4);
    expect(lines.map(({ outcome }) => outcome)).toEqual(["ok", "full", "ok", "ok", "ok"]);
    expectReadsOfAcknowledged(lines);
  });
});

describe.runIf(canMount)("on a full disk", () => {
  test("refuses blocks as full, still takes small commits, and has lost nothing", async () => {
    const child = startChild({
      name: "store-faults",
      args: ["/mnt/data", "200", "65536", "wal"],
      under: [
        ...["unshare", "-m", "sh", "-c"],
        'mount -t tmpfs -o size=12m none /mnt && "$@" && cp -r /mnt/data/. "$0"',
        folder,
      ],
    });
    expect(await child.ended).toBe(0);
    const lines = child.lines.map((line) => JSON.parse(line) as Line);
    const kept = lines.filter(({ number, outcome }) => number > 0 && outcome === "ok").length;
    expect(kept).toBeGreaterThan(40);
    const outcomes = lines.map(({ outcome }) => outcome);
    expect(outcomes).toEqual([...Array(kept).fill("ok"), ...Array(200 - kept).fill("full"), "ok"]);
    expectReadsOfAcknowledged(lines);

    const store = await open();
    expect(store.scan("log", { limit: 1_000 }).length).toBe(kept - 1);
    await store.close();
  });

  test("opens an existing store, so that what it holds can still leave", () => {
    const script = `mount -t tmpfs -o size=16m none /mnt && "$0" "$1" /mnt/data 20 65536 wal &&
      (cat /dev/zero > /mnt/filler || true) && "$0" "$2" /mnt/data wal`;
    const args = [process.execPath, childPath("store-faults"), childPath("store-holder")];
    const run = spawnSync("unshare", ["-m", "sh", "-c", script, ...args], {
      encoding: "utf8",
      input: "",
    });
    expect(run.stdout.trim().split("\n").at(-1)).toBe("open");
  });

  test("says DISK_FULL when there is no room for the log, and leaves a folder that opens later", () => {
    const script = `mount -t tmpfs -o size=2400k none /mnt && "$0" "$1" /mnt/data wal;
      mount -o remount,size=16m /mnt && "$0" "$1" /mnt/data wal`;
    const args = ["-m", "sh", "-c", script, process.execPath, childPath("store-holder")];
    const { stdout } = spawnSync("unshare", args, { encoding: "utf8", input: "" });
    expect(stdout.split("\n")[0]).toMatch(/^DISK_FULL no room to open the journal in \/mnt\/data/);
    expect(stdout.split("\n")[1]).toBe("open");
  });
});

describe("damage", () => {
  const BATCHES = 60;

  /** A log of several segments. */
  const fill = async (): Promise<void> => {
    const store = await open();
    for (let number = 1; number <= BATCHES; number += 1) await store.commit(batchOf(number));
    await store.close();
  };
  const segments = (): string[] =>
    readdirSync(folder).filter((name) => name.startsWith("journal.wal."));
  const refusal = async (): Promise<string> => {
    const failed = await open().then(
      (store) => store.close().then(() => undefined),
      (error: unknown) => error,
    );
    expect(MeshError.is(failed, "JOURNAL_DAMAGED"), String(failed)).toBe(true);
    return (failed as MeshError).message;
  };
  const change = (name: string, change: (bytes: Uint8Array) => void): void => {
    const path = join(folder, name);
    const bytes = readFileSync(path);
    change(bytes);
    writeFileSync(path, bytes);
  };
  /** Segments that hold something, by the number of their first commit. */
  const written = (): string[] => {
    const first = (name: string) => {
      const bytes = readFileSync(join(folder, name));
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
    unlinkSync(join(folder, lastButOne()));
    expect(await refusal()).toMatch(/commit \d+ is missing/);
    for (const name of segments()) unlinkSync(join(folder, name));
    expect(await refusal()).toMatch(/its log files are missing/);
  });

  test("a file of another journal is JOURNAL_DAMAGED", async () => {
    await fill();
    for (const name of ["journal.lmdb", "journal.lmdb-lock"]) unlinkSync(join(folder, name));
    expect(await refusal()).toMatch(/log files that it does not know/);
  });

  test("a file that was cut short is JOURNAL_DAMAGED where it held something", async () => {
    await fill();
    truncateSync(join(folder, newest()), 1_000);
    expect(await refusal()).toMatch(/it has 1000 B of the \d+ B it was made with/);
  });

  test("a last record that was not written to its end is as if it had never been", async () => {
    const store = await open();
    for (let number = 1; number <= 3; number += 1) await store.commit(batchOf(number));
    await store.close();
    unlinkSync(join(folder, "journal.wal.mark")); // as where the process was killed at once
    change("journal.wal.1", (bytes) => {
      let last = bytes.length - 1;
      while (bytes[last] === 0) last -= 1;
      bytes[last] = (bytes[last] as number) ^ 1; // the end of the last block
    });
    const again = await open();
    expect(lastWholeBatch(again)).toBe(2);
    await again.commit(batchOf(3));
    await again.close();
    const third = await open();
    expect(lastWholeBatch(third)).toBe(3);
    await third.close();
  });
});
