/**
 * Failing system calls and full disks under a real store, for every engine on disk. strace fails the calls, a tmpfs of
 * its own in a private mount namespace is the full disk; where either is missing the tests are skipped.
 */

import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { JournalStore } from "../../src/ports/journal-store.ts";
import { engineOf } from "../children/engine-of.ts";
import { numberKey } from "./numbered-batch.ts";
import { childPath, startChild } from "./store-child.ts";

/** What children/store-faults.ts says of a commit. */
type Line = {
  readonly number: number;
  readonly outcome: string;
  readonly tookMs: number;
  readonly shown: boolean;
  readonly cursor: number;
};

/** Which calls strace fails or delays, and how, as its arguments. */
export type Trace = (folder: string) => readonly string[];

/** Sizes of a disk, as mount takes them. */
export type DiskSizes = {
  /** Has room for some, and not for all, of so many blocks. */
  readonly some: string;
  readonly blocks: number;
  /** Has room for 20 blocks. */
  readonly twenty: string;
  /** Has no room for a new store. */
  readonly none: string;
};

const BLOCK_BYTES = 65_536;
const MOUNT = "mount -t tmpfs -o size=";

const works = (command: string, ...args: string[]): boolean =>
  spawnSync(command, args, { stdio: "ignore" }).status === 0;
export const canTrace = works("strace", "-f", "-o", "/dev/null", "-e", "trace=fdatasync", "true");
const canMount = works("unshare", "-m", "sh", "-c", `${MOUNT}1m none /mnt`);

/** One engine, and a folder for each test. */
export class FaultRig {
  readonly engine: "lmdb" | "wal";
  folder = "";

  constructor(engine: "lmdb" | "wal") {
    this.engine = engine;
    beforeEach(() => {
      this.folder = mkdtempSync(join(tmpdir(), "meshbus-fault-"));
    });
    afterEach(() => rmSync(this.folder, { recursive: true, force: true }));
  }

  open(): Promise<JournalStore> {
    return engineOf(this.engine).open({ dataDir: this.folder, bytesMax: 2 ** 30 });
  }

  /**
   * Commits `count` blocks and a small row under strace; says how that ended, and each outcome. The store exists
   * already, so that creating it is not what fails.
   */
  async runUnder(trace: Trace, count: number) {
    await (await this.open()).close();
    const child = startChild({
      name: "store-faults",
      args: [this.folder, String(count), String(BLOCK_BYTES), this.engine],
      under: ["strace", "-f", "-qq", "-o", join(this.folder, "trace"), ...trace(this.folder)],
      env: { UV_THREADPOOL_SIZE: "1" }, // strace counts calls for each thread
    });
    const how = await child.ended;
    return { how, lines: linesOf(child.lines) };
  }

  async commitUnder(trace: Trace, count: number): Promise<Line[]> {
    const { how, lines } = await this.runUnder(trace, count);
    expect(how).toBe(0);
    expect(lines.length).toBe(count + 1);
    return lines;
  }

  /** What is in the folder now are the blocks of acknowledged commits, but the first, which the last one removes. */
  async expectBlocksOf(lines: readonly Line[]): Promise<void> {
    const store = await this.open();
    for (const { number, outcome } of lines.filter((line) => line.number > 1)) {
      const block = store.get("log", numberKey(number));
      expect(block?.length).toBe(outcome === "ok" ? BLOCK_BYTES : undefined);
    }
    await store.close();
  }
}

/** What reads show after each line must be the commits that were acknowledged, no more, no less. */
export function expectReadsOfAcknowledged(lines: readonly Line[]): void {
  let cursor = 0;
  for (const line of lines.filter(({ number }) => number > 0)) {
    if (line.outcome === "ok") cursor = line.number;
    expect(line).toMatchObject({ cursor, shown: line.outcome === "ok" });
  }
}

/** @param delay of 120 ms for each call without which nothing is safe */
export function describeSlowDisk(rig: FaultRig, delay: Trace): void {
  test.runIf(canTrace)("does not resolve a commit before a slow disk has answered", async () => {
    const lines = await rig.commitUnder(delay, 4);
    for (const { number, outcome, tookMs } of lines.filter((line) => line.number > 0)) {
      expect([number, outcome]).toEqual([number, "ok"]);
      expect(tookMs).toBeGreaterThanOrEqual(119);
    }
  });
}

export function describeFullDisk(rig: FaultRig, sizes: DiskSizes): void {
  describe.runIf(canMount)("on a full disk", () => {
    test("refuses blocks as full, still takes small commits, and has lost nothing", async () => {
      const { some, blocks } = sizes;
      const kept = join(rig.folder, "kept");
      const script = `${MOUNT}${some} none /mnt && "$@" && cp -r /mnt/data "$0"`;
      const child = startChild({
        name: "store-faults",
        args: ["/mnt/data", String(blocks), String(BLOCK_BYTES), rig.engine],
        under: ["unshare", "-m", "sh", "-c", script, kept],
      });
      expect(await child.ended).toBe(0);
      const lines = linesOf(child.lines);
      const taken = lines.filter(({ number, outcome }) => number > 0 && outcome === "ok").length;
      expect(taken).toBeGreaterThan(20);
      expect(taken).toBeLessThan(blocks);
      const expected = [...Array(taken).fill("ok"), ...Array(blocks - taken).fill("full"), "ok"];
      expect(lines.map(({ outcome }) => outcome)).toEqual(expected);
      expectReadsOfAcknowledged(lines);

      cpSync(kept, rig.folder, { recursive: true });
      const store = await rig.open();
      expect(store.scan("log", { limit: 1_000 }).length).toBe(taken - 1);
      await store.close();
    });

    test("opens an existing store, so that what it holds can still leave", () => {
      const script = `${MOUNT}${sizes.twenty} none /mnt &&
        "$0" "$1" /mnt/data 20 ${BLOCK_BYTES} ${rig.engine} &&
        (cat /dev/zero > /mnt/filler || true) && "$0" "$2" /mnt/data ${rig.engine}`;
      const said = saidOf(script, childPath("store-faults"), childPath("store-holder"));
      expect(said.at(-1)).toBe("open");
    });

    test("says DISK_FULL when there is no room to create a store, and leaves a folder that opens later", () => {
      const script = `${MOUNT}${sizes.none} none /mnt && "$0" "$1" /mnt/data ${rig.engine};
        mount -o remount,size=16m /mnt && "$0" "$1" /mnt/data ${rig.engine}`;
      const [first, later] = saidOf(script, childPath("store-holder"));
      expect(first).toMatch(/^DISK_FULL no room to open the journal in \/mnt\/data/);
      expect(later).toBe("open");
    });
  });
}

const linesOf = (lines: readonly string[]): Line[] => lines.map((line) => JSON.parse(line) as Line);

/** What a script says that has /mnt to itself; node is its "$0". */
const saidOf = (script: string, ...args: string[]): string[] => {
  const all = ["-m", "sh", "-c", script, process.execPath, ...args];
  const { stdout } = spawnSync("unshare", all, { encoding: "utf8", input: "" });
  return stdout.trim().split("\n");
};
