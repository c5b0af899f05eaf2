/** Whether a data folder can hold a journal. The folder of a running node is not touched. */

import { once } from "node:events";
import { constants } from "node:fs";
import { access, mkdtemp, open, rm, stat, statfs } from "node:fs/promises";
import { createConnection } from "node:net";
import { dirname, join, resolve } from "node:path";
import { performance } from "node:perf_hooks";
import { type Finding, ok, problem, warning } from "./finding.ts";

const FREE_BYTES_MIN = 1024 ** 3;
const SYNCS = 20;
/** A disk whose flush takes longer makes every publish wait as long. */
const SYNC_MS_MAX = 20;
/** File systems over a network, by the numbers of statfs(2): NFS, SMB, CIFS, SMB 2. */
const NETWORK_TYPES = new Set([0x6969, 0x517b, 0xff534d42, 0xfe534d42]);

export const checkFolder = async (dataDir: string): Promise<Finding[]> => {
  const folder = resolve(dataDir);
  const existing = await nearestExisting(folder);
  try {
    await access(existing, constants.W_OK);
  } catch {
    const remedy = "give the process's user the right to write there, or choose another dataDir";
    return [problem("folder", `${existing} cannot be written`, remedy)];
  }
  const findings: Finding[] = [];
  if (existing === folder && (await isHeld(folder))) {
    findings.push(
      warning(
        "folder",
        `a running node has ${folder} open`,
        "one process a folder: give another process a dataDir of its own",
      ),
    );
  }
  const { bavail, bsize, type } = await statfs(existing);
  const freeBytes = bavail * bsize;
  const free = `${(freeBytes / 1024 ** 3).toFixed(1)} GiB free at ${existing}`;
  findings.push(
    freeBytes >= FREE_BYTES_MIN
      ? ok("folder", free)
      : problem("folder", free, "free space, or choose a disk with room for journal.bytesMax"),
  );
  if (NETWORK_TYPES.has(type)) {
    const remedy =
      "choose a local disk: locks and flushes of network file systems are not dependable";
    findings.push(problem("folder", `${existing} is on a network file system`, remedy));
  }
  findings.push(await checkSync(existing));
  return findings;
};

const checkSync = async (folder: string): Promise<Finding> => {
  const made = await mkdtemp(join(folder, ".meshbus-doctor-"));
  try {
    const file = await open(join(made, "sync"), "w");
    const times: number[] = [];
    for (let n = 0; n < SYNCS; n++) {
      const startMs = performance.now();
      await file.write("a block of a journal");
      await file.datasync();
      times.push(performance.now() - startMs);
    }
    await file.close();
    const median = times.sort((a, b) => a - b)[SYNCS / 2] as number;
    const found = `a flush takes ${median.toFixed(2)} ms (median of ${SYNCS})`;
    if (median <= SYNC_MS_MAX) return ok("disk", found);
    return warning("disk", found, "every publish waits for one: choose a faster disk");
  } finally {
    await rm(made, { recursive: true, force: true });
  }
};

const nearestExisting = async (folder: string): Promise<string> => {
  for (let at = folder; ; at = dirname(at)) {
    const found = await stat(at).catch(() => undefined);
    if (found?.isDirectory() || at === dirname(at)) return at;
  }
};

/** Whether somebody answers at the folder's lock. */
const isHeld = async (folder: string): Promise<boolean> => {
  const socket = createConnection(join(folder, "lock.sock"));
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
};
