/**
 * The journal engine on lmdb: opens a data folder, or refuses it with a clear error.
 *
 * Order: folder (0700), lock, data file, environment. A new data file is made under another name and
 * gets its own only when it is complete and synced, so that a crash while creating it leaves no
 * half-made store, and a file under the final name that is not whole is damage.
 * Layout: `journal.lmdb` and `journal.lmdb-lock` (lmdb), `lock.sock` and `lock.pid` (FolderLock).
 */

import {
  chmodSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { MeshError } from "../../errors.ts";
import type { JournalEngine, OpenStoreOptions } from "../../ports/journal-store.ts";
import { openError } from "../open-error.ts";
import { syncFolder } from "../sync-folder.ts";
import { DataFile } from "./data-file.ts";
import { FolderLock } from "./folder-lock.ts";
import { LmdbEnvironment } from "./lmdb-environment.ts";
import { LmdbStore } from "./lmdb-store.ts";

const FILE_NAME = "journal.lmdb";
/** More than lmdb needs for 16 readers. */
const LOCK_FILE_BYTES = 8192;
const FIRST_ROOM_BYTES = 2 * 1024 * 1024;

/**
 * Durable engine for one process per folder, on a local file system (not NFS).
 *
 * `bytesMax` bounds the pages in use: past it commits fail with StoreError "full", small ones a little
 * later than large ones. The file itself can grow past it by pages that are free but do not fit, and
 * never shrinks. Keys: 1 to 511 B. Values: up to 4 GiB in lmdb, tried to 64 MiB.
 */
export function lmdbEngine(): JournalEngine<LmdbStore> {
  return { name: "lmdb", open: openStore };
}

async function openStore(options: OpenStoreOptions): Promise<LmdbStore> {
  const dataDir = resolve(options.dataDir);
  try {
    await makeFolder(dataDir);
    const lock = await FolderLock.acquire(dataDir);
    try {
      return await openLocked(dataDir, lock, options.bytesMax);
    } catch (error) {
      await lock.release();
      throw error;
    }
  } catch (error) {
    throw openError(error, dataDir);
  }
}

async function openLocked(dataDir: string, lock: FolderLock, bytesMax: number) {
  const path = join(dataDir, FILE_NAME);
  if (!existsSync(path)) await createFile(path, bytesMax);
  fillLockFile(`${path}-lock`);
  const file = DataFile.open(path);
  try {
    chmodSync(path, 0o600);
    const environment = openEnvironment(path, bytesMax);
    return new LmdbStore({ environment, file, lock, bytesMax });
  } catch (error) {
    file.close();
    throw error;
  }
}

/** The header was sound, so what lmdb itself refuses (beyond the system's errors) is damage. */
function openEnvironment(path: string, bytesMax: number): LmdbEnvironment {
  try {
    return new LmdbEnvironment({ path, bytesMax });
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: string };
    if (typeof code === "number" && code > 0) throw error;
    throw new MeshError(
      "JOURNAL_DAMAGED",
      `the journal file ${path} cannot be opened: ${message}`,
      {
        cause: error,
        details: { path, reason: message },
      },
    );
  }
}

async function createFile(path: string, bytesMax: number): Promise<void> {
  const draft = `${path}.new`;
  removeDraft(draft);
  try {
    // lmdb must not be the one to find out that the disk is full (see DataFile).
    await writeFile(draft, new Uint8Array(FIRST_ROOM_BYTES), { mode: 0o600 });
    removeDraft(draft);
    fillLockFile(`${draft}-lock`);
    const environment = new LmdbEnvironment({ path: draft, bytesMax });
    await environment.close();
    const file = DataFile.open(draft);
    try {
      await file.extend(FIRST_ROOM_BYTES);
      await file.sync();
    } finally {
      file.close();
    }
    renameSync(draft, path);
  } finally {
    removeDraft(draft);
  }
  await syncFolder(dirname(path));
}

/** lmdb writes its lock file through a map, where a full disk is a SIGBUS: give it its blocks before. */
function fillLockFile(path: string): void {
  if (existsSync(path) && statSync(path).size >= LOCK_FILE_BYTES) return;
  writeFileSync(path, new Uint8Array(LOCK_FILE_BYTES), { mode: 0o600 });
}

function removeDraft(draft: string): void {
  rmSync(draft, { force: true });
  rmSync(`${draft}-lock`, { force: true });
}

/** Creates the folder and what is missing above it; each new name is synced in its parent. */
async function makeFolder(dataDir: string): Promise<void> {
  const first = mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let folder = dataDir; folder.length >= first.length; folder = dirname(folder)) {
    await syncFolder(dirname(folder));
    if (folder === dirname(folder)) return;
  }
}
