/** Shows that the cut does what it is for: a writer that does not sync loses records, one that does none. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { open } from "lmdb";
import { LoopDisk } from "./loop-disk.ts";

export type ControlFigures = {
  readonly records: number;
  /** Records that were gone after the cut. */
  readonly syncedLost: number;
  readonly unsyncedLost: number;
  readonly unsyncedLmdbLost: number;
};

const RECORDS = 200;
const DISK_BYTES = 64 * 2 ** 20;
const PROGRAM = fileURLToPath(new URL("./control-process.js", import.meta.url));

export const runControls = async (folder: string): Promise<ControlFigures> => {
  const disk = await LoopDisk.create(join(folder, "control"), DISK_BYTES);
  const lostOf = async (mode: "synced" | "unsynced" | "lmdb"): Promise<number> => {
    await disk.mount(0);
    const child = spawn(process.execPath, [PROGRAM, mode, disk.folder, String(RECORDS)], {
      stdio: ["ignore", "inherit", "inherit", disk.pipe],
    });
    const gone = once(child, "close");
    await disk.cut;
    child.kill("SIGKILL");
    await gone;
    await disk.unmount();
    await disk.mount(0);
    const kept = mode === "lmdb" ? await keptInLmdb(disk.folder) : await keptInFile(disk.folder);
    await disk.unmount();
    return RECORDS - kept;
  };
  return {
    records: RECORDS,
    unsyncedLost: await lostOf("unsynced"),
    unsyncedLmdbLost: await lostOf("lmdb"),
    syncedLost: await lostOf("synced"),
  };
};

const keptInFile = async (folder: string): Promise<number> => {
  const text = await readFile(join(folder, "control.txt"), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line.startsWith("record ")).length;
};

const keptInLmdb = async (folder: string): Promise<number> => {
  const store = open({ path: join(folder, "control.lmdb") });
  const count = store.getCount();
  await store.close();
  return count;
};
