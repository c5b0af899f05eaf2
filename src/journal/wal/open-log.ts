/** Opens the log that stands in front of a store: reads what is in it, or begins it. */

import { randomBytes } from "node:crypto";
import { MeshError } from "../../errors.ts";
import type { JournalStore, StoreWrite } from "../../ports/journal-store.ts";
import { isFull } from "../full-disk.ts";
import { LogMark } from "./log-mark.ts";
import { LogRoom, type StoreBelow, type WalLimits } from "./log-room.ts";
import { Overlay } from "./overlay.ts";
import { readLog } from "./read-log.ts";
import type { SegmentFile, SegmentFiles } from "./segment-file.ts";
import { SEGMENT_HEAD_BYTES } from "./segment-head.ts";
import { type RingLimits, SegmentRing } from "./segment-ring.ts";
import { RECORD_ALIGN_BYTES, SALT_BYTES } from "./wal-record.ts";
import { decodeWalRow, encodeWalRow, WAL_KEY, type WalRow } from "./wal-row.ts";
import { WalStore } from "./wal-store.ts";

export type LogLimits = WalLimits &
  Omit<RingLimits, "bytesMax"> & {
    /** Of the log's files together. */
    readonly logBytesMax: number;
    /** Large values of so many bytes in a commit are written, and synced, before what says so. */
    readonly tailFirstBytes: number;
  };

export type FirstRows = (below: JournalStore) => readonly StoreWrite[];

/** A log has been begun in front of this store. */
export const hasLog = (below: JournalStore): boolean => below.get("meta", WAL_KEY) !== undefined;

/**
 * Takes the files over, and closes them when it fails; one that cannot be begun for want of room leaves nothing.
 * `firstRows`: what the store below gets together with the first word of the log.
 * @throws MeshError JOURNAL_DAMAGED; what the store throws
 */
export async function openLog(
  below: StoreBelow,
  files: SegmentFiles,
  limits: LogLimits,
  firstRows: FirstRows = () => [],
): Promise<WalStore> {
  const found = files.open();
  let mark: LogMark | undefined;
  let ring: SegmentRing | undefined;
  try {
    const known = knownRow(below, found);
    // Files without a row about them are left from a start that did not get to it.
    if (known === undefined) for (const file of found.splice(0)) files.remove(file);
    const row = known ?? { salt: randomBytes(SALT_BYTES), moved: 0, synced: 0 };
    const { salt, moved } = row;
    mark = new LogMark(files, salt);
    const overlay = new Overlay();
    const { live, free, next, torn } = readLog(found, row, mark.number, overlay);
    // What a killed process wrote is seen here, and may not be on the disk yet.
    if (next - 1 > mark.number) await live.at(-1)?.file.sync();
    mark.note(next - 1);
    const { logBytesMax, tailFirstBytes } = limits;
    ring = new SegmentRing(files, salt, { live, free }, { ...limits, bytesMax: logBytesMax });
    if (known === undefined) {
      // There are files before it is known that there is a log, and it is known before there is something in them.
      await ring.add(0);
      const word: StoreWrite = { table: "meta", key: WAL_KEY, value: encodeWalRow(row) };
      await below.commit([word, ...firstRows(below)]);
    }
    const room = new LogRoom({ below, ring, overlay, salt, moved, limits });
    return new WalStore({ below, overlay, room, mark, salt, next, torn, tailFirstBytes });
  } catch (error) {
    for (const file of found) file.close();
    if (isFull(error) && !hasLog(below)) ring?.remove();
    else ring?.close();
    await mark?.close();
    throw error;
  }
}

/** undefined: there is no log yet. @throws MeshError JOURNAL_DAMAGED when log and lmdb file do not belong together */
function knownRow(below: StoreBelow, files: readonly SegmentFile[]): WalRow | undefined {
  const bytes = below.get("meta", WAL_KEY);
  const row = bytes && decodeWalRow(bytes);
  let reason: string | undefined;
  if (bytes !== undefined && row === undefined) {
    reason = "its row about the log is damaged, or of a later version";
  } else if (row === undefined && !files.every(isUntouched)) {
    reason = "there are log files that it does not know";
  } else if (row !== undefined && files.length === 0) reason = "its log files are missing";
  if (reason === undefined) return row;
  throw new MeshError("JOURNAL_DAMAGED", `the journal cannot be opened: ${reason}`, {
    details: { reason },
  });
}

/** Nothing was ever written where its first record goes. */
const isUntouched = (file: SegmentFile): boolean =>
  file.read(SEGMENT_HEAD_BYTES, RECORD_ALIGN_BYTES).every((byte) => byte === 0);
