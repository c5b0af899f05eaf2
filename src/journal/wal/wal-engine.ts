/**
 * The journal's engine: a write-ahead log in front of another one, lmdb.
 *
 * Layout: what the other engine has, and `journal.wal.1`, `journal.wal.2`, ... The folder's lock is
 * the other engine's; the log is read before the store is handed out, and belongs to it: both hold the same salt.
 */

import { resolve } from "node:path";
import {
  type JournalEngine,
  type JournalStore,
  type OpenStoreOptions,
  TABLES,
} from "../../ports/journal-store.ts";
import { isFull } from "../full-disk.ts";
import { openError } from "../open-error.ts";
import type { StoreBelow } from "./log-room.ts";
import { type FirstRows, hasLog, openLog } from "./open-log.ts";
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
const HEADROOM_BYTES = 16 * 1024 * 1024;

export type WalOptions = {
  /** Rows with which the store below is refused by those who would open it without the log. */
  readonly refusedAlone?: FirstRows;
};

/**
 * Durable engine for one process per folder, on a local file system (not NFS).
 *
 * `bytesMax` bounds what lmdb holds and what the log holds for it: past it commits fail with StoreError "full", small
 * ones a little later than large ones. The log's files take a quarter of that beside it, at most 256 MiB, or what one
 * commit needs. Keys: 1 to 511 B. Values: under 4 GiB, tried to 64 MiB.
 */
export function walEngine(
  below: JournalEngine<StoreBelow>,
  { refusedAlone = () => [] }: WalOptions = {},
): JournalEngine {
  return { name: "wal", open: (options) => openWalStore(below, options, refusedAlone) };
}

async function openWalStore(
  engine: JournalEngine<StoreBelow>,
  options: OpenStoreOptions,
  refusedAlone: FirstRows,
): Promise<JournalStore> {
  const { bytesMax } = options;
  const dataDir = resolve(options.dataDir);
  const below = await engine.open({ ...options, bytesMax: bytesMax + HEADROOM_BYTES });
  try {
    return await openLog(
      below,
      new FolderSegments(dataDir),
      {
        bytesMax,
        rowsMax: ROWS_MAX,
        memoryBytesMax: MEMORY_BYTES_MAX,
        segmentBytesMin: SEGMENT_BYTES_MIN,
        segmentBytesMax: SEGMENT_BYTES_MAX,
        tailFirstBytes: TAIL_FIRST_BYTES,
        logBytesMax: Math.min(Math.max(bytesMax / LOG_PART, LOG_BYTES_MIN), LOG_BYTES_MAX),
      },
      refusedAlone,
    );
  } catch (error) {
    // Where there is no room to begin a log, what is in the store below can still leave.
    if (isFull(error) && hasAnything(below) && !hasLog(below)) return below;
    await below.close();
    throw openError(error, dataDir);
  }
}

const hasAnything = (below: JournalStore): boolean =>
  TABLES.some((table) => below.scan(table, { limit: 1 }).length > 0);
