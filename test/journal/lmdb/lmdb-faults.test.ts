/** lmdb under failing system calls and on full disks. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  canTrace,
  describeFullDisk,
  describeSlowDisk,
  expectReadsOfAcknowledged,
  FaultRig,
  type Trace,
} from "../store-faults.ts";

const rig = new FaultRig("lmdb");
const calls =
  (inject: string): Trace =>
  () => ["-e", "trace=fdatasync,pwrite64", "-e", `inject=${inject}`];

describeSlowDisk(rig, calls("fdatasync:delay_enter=120000"));
describeFullDisk(rig, { some: "6m", blocks: 100, twenty: "6m", none: "64k" });

describe.runIf(canTrace)("with failing system calls", () => {
  test("undoes a commit whose sync failed, and goes on when syncs succeed again", async () => {
    const lines = await rig.commitUnder(calls("fdatasync:error=EIO:when=3..5"), 8);
    expect(lines.map(({ outcome }) => outcome)).toEqual([
      ...["ok", "ok", "sync", "sync", "sync", "ok", "ok", "ok", "ok"],
    ]);
    expectReadsOfAcknowledged(lines);
  });

  test("loses nothing acknowledged by the failure of any one write, and goes on after it", async () => {
    let wentOn = 0;
    for (const when of [1, 2, 3, 4, 5, 6]) {
      rmSync(join(rig.folder, "journal.lmdb"), { force: true });
      const { how, lines } = await rig.runUnder(calls(`pwrite64:error=EIO:when=${when}`), 4);
      expectReadsOfAcknowledged(lines);
      // lmdb may overrun its own message of a failed page write and abort; a meta page is no such case.
      if (how === 0) {
        expect(lines.filter(({ outcome }) => outcome === "sync").length).toBe(1);
        wentOn += 1;
      } else expect(["SIGABRT", "SIGSEGV"]).toContain(how);
      await rig.expectBlocksOf(lines);
    }
    expect(wentOn).toBeGreaterThan(0);
  });
});
