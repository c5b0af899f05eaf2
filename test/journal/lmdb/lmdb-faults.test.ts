/**
 * Failing system calls under a real store. strace injects them (`-P` keeps to the data file), a tmpfs
 * of its own in a private mount namespace is the full disk; where either is missing the tests are
 * skipped. One libuv thread, because strace counts calls for each thread.
 */

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { lmdbEngine } from "../../../src/journal/lmdb/lmdb-engine.ts";
import { numberKey } from "../numbered-batch.ts";
import { childPath, startChild } from "./store-child.ts";

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
  folder = mkdtempSync(join(tmpdir(), "meshbus-fault-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs store-faults on a store that exists already, so that creating it is not what fails. */
async function runUnder(inject: string, count: number) {
  await (await lmdbEngine().open({ dataDir: folder, bytesMax: 2 ** 30 })).close();
  const child = startChild({
    name: "store-faults",
    args: [folder, String(count), "65536", "lmdb"],
    under: [
      "strace",
      "-f",
      "-qq",
      "-o",
      join(folder, "trace"),
      "-e",
      "trace=fdatasync,pwrite64",
      "-e",
      inject,
    ],
    env: { UV_THREADPOOL_SIZE: "1" },
  });
  const how = await child.ended;
  return { how, lines: child.lines.map((line) => JSON.parse(line) as Line) };
}

async function commitUnder(inject: string, count: number): Promise<Line[]> {
  const { how, lines } = await runUnder(inject, count);
  expect(how).toBe(0);
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
  test("does not resolve a commit before a slow sync has returned", async () => {
    const lines = await commitUnder("inject=fdatasync:delay_enter=120000", 4);
    for (const { number, outcome, tookMs } of lines.filter((line) => line.number > 0)) {
      expect([number, outcome]).toEqual([number, "ok"]);
      expect(tookMs).toBeGreaterThanOrEqual(119);
    }
  });

  test("undoes a commit whose sync failed, and goes on when syncs succeed again", async () => {
    const lines = await commitUnder("inject=fdatasync:error=EIO:when=3..5", 8);
    expect(lines.map(({ outcome }) => outcome)).toEqual([
      "ok",
      "ok",
      "sync",
      "sync",
      "sync",
      "ok",
      "ok",
      "ok",
      "ok",
    ]);
    expectReadsOfAcknowledged(lines);
  });

  test("loses nothing acknowledged by the failure of any one write, and goes on after it", async () => {
    let wentOn = 0;
    for (const when of [1, 2, 3, 4, 5, 6]) {
      rmSync(join(folder, "journal.lmdb"), { force: true });
      const { how, lines } = await runUnder(`inject=pwrite64:error=EIO:when=${when}`, 4);
      expectReadsOfAcknowledged(lines);
      // lmdb may overrun its own message of a failed page write and abort; a meta page is no such case.
      if (how === 0) {
        expect(lines.filter(({ outcome }) => outcome === "sync").length).toBe(1);
        wentOn += 1;
      } else expect(["SIGABRT", "SIGSEGV"]).toContain(how);

      const store = await lmdbEngine().open({ dataDir: folder, bytesMax: 2 ** 30 });
      for (const { number, outcome } of lines.filter((line) => line.number > 1)) {
        const block = store.get("log", numberKey(number));
        expect(block?.length).toBe(outcome === "ok" ? 65_536 : undefined);
      }
      await store.close();
    }
    expect(wentOn).toBeGreaterThan(0);
  });
});

describe.runIf(canMount)("on a full disk", () => {
  test("refuses blocks as full, still takes small commits, and has lost nothing", async () => {
    const child = startChild({
      name: "store-faults",
      args: ["/mnt/data", "100", "65536", "lmdb"],
      under: [
        "unshare",
        "-m",
        "sh",
        "-c",
        'mount -t tmpfs -o size=6m none /mnt && "$@" && cp /mnt/data/journal.lmdb "$0"',
        join(folder, "copy"),
      ],
    });
    expect(await child.ended).toBe(0);
    const lines = child.lines.map((line) => JSON.parse(line) as Line);
    const kept = lines.filter(({ number, outcome }) => number > 0 && outcome === "ok").length;
    expect(kept).toBeGreaterThan(20);
    expect(kept).toBeLessThan(96);
    const outcomes = lines.map(({ outcome }) => outcome);
    expect(outcomes).toEqual([...Array(kept).fill("ok"), ...Array(100 - kept).fill("full"), "ok"]);
    expectReadsOfAcknowledged(lines);

    copyFileSync(join(folder, "copy"), join(folder, "journal.lmdb"));
    const store = await lmdbEngine().open({ dataDir: folder, bytesMax: 2 ** 30 });
    expect(store.scan("log", { limit: 1_000 }).length).toBe(kept - 1);
    await store.close();
  });

  test("opens an existing store, so that what it holds can still leave", () => {
    const script = `mount -t tmpfs -o size=6m none /mnt && "$0" "$1" /mnt/data 20 65536 lmdb &&
      (cat /dev/zero > /mnt/filler || true) && "$0" "$2" /mnt/data lmdb`;
    const args = [process.execPath, childPath("store-faults"), childPath("store-holder")];
    const run = spawnSync("unshare", ["-m", "sh", "-c", script, ...args], {
      encoding: "utf8",
      input: "",
    });
    expect(run.stdout.trim().split("\n").at(-1)).toBe("open");
  });

  test("says DISK_FULL when there is no room to create a store", () => {
    const script = 'mount -t tmpfs -o size=64k none /mnt && "$@"';
    const args = [
      "-m",
      "sh",
      "-c",
      script,
      "sh",
      process.execPath,
      childPath("store-holder"),
      "/mnt/data",
      "lmdb",
    ];
    const { stdout } = spawnSync("unshare", args, { encoding: "utf8", input: "" });
    expect(stdout).toMatch(/^DISK_FULL no room to open the journal in \/mnt\/data/);
  });
});
