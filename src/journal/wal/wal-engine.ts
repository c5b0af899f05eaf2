/**
 * The journal's engine: a write-ahead log in front of another one, lmdb.
 *
 * Layout: what the other engine has, and `journal.wal.1`, `journal.wal.2`, ... The folder's lock is
 * the other engine's; the log is read before the store is handed out, and belongs to it: both hold the same salt.
 */

import { resolve } from "node:path";
import type { JournalEngine, JournalStore, OpenStoreOptions } from "../../ports/journal-store.ts";
import { openError } from "../open-error.ts";
import type { StoreBelow } from "./log-room.ts";
import { openLog } from "./open-log.ts";
import { FolderSegments } from "./segment-file.ts";

const SEGMENT_BYTES_MIN = 512 * 1024;
const SEGMENT_BYTES_MAX = 16 * 1024 * 1024;
const TAIL_FIRST_BYTES = 1024 * 1024;
const ROWS_MAX = 16_384;
const MEMORY_BYTES_MAX = 4 * 1024 * 1024;
const LOG_BYTES_MAX = 256 * 1024 * 1024;
const LOG_BYTES_MIN = 4 * 1024 * 1024;
/** Part of `bytesMax` that the log may take at most, beside what lmdb holds. */
const LOG_PART = 4;
/** bytesMax is kept here; lmdb needs more than its rows while they are moved to it. */
const HEADROOM_BYTES = 8 * 1024 * 1024;

/**
 * Durable engine for one process per folder, on a local file system (not NFS).
 *
 * `bytesMax` bounds what lmdb holds and what the log holds for it: past it commits fail with StoreError "full", small
 * ones a little later than large ones. The log's files take a quarter of that beside it, at most 256 MiB, or what one
 * commit needs. Keys: 1 to 511 B. Values: under 4 GiB, tried to 64 MiB.
 */
export function walEngine(below: JournalEngine<StoreBelow>): JournalEngine {
  return { name: "wal", open: (options) => openWalStore(below, options) };
}

async function openWalStore(
  engine: JournalEngine<StoreBelow>,
  options: OpenStoreOptions,
): Promise<JournalStore> {
  const { bytesMax } = options;
  const dataDir = resolve(options.dataDir);
  const below = await engine.open({ ...options, bytesMax: bytesMax + HEADROOM_BYTES });
  try {
    return await openLog(below, new FolderSegments(dataDir), {
      bytesMax,
      rowsMax: ROWS_MAX,
      memoryBytesMax: MEMORY_BYTES_MAX,
      segmentBytesMin: SEGMENT_BYTES_MIN,
      segmentBytesMax: SEGMENT_BYTES_MAX,
      tailFirstBytes: TAIL_FIRST_BYTES,
      logBytesMax: Math.min(Math.max(bytesMax / LOG_PART, LOG_BYTES_MIN), LOG_BYTES_MAX),
    });
  } catch (error) {
    await below.close();
    throw openError(error, dataDir);
  }
}
