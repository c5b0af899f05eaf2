/** Opens the log that stands in front of a store: reads what is in it, or begins it. */

import { randomBytes } from "node:crypto";
import { MeshError } from "../../errors.ts";
import { LogRoom, type StoreBelow, type WalLimits } from "./log-room.ts";
import { Overlay } from "./overlay.ts";
import { readLog } from "./read-log.ts";
import type { SegmentFiles } from "./segment-file.ts";
import { type RingLimits, SegmentRing } from "./segment-ring.ts";
import { SALT_BYTES } from "./wal-record.ts";
import { decodeWalRow, encodeWalRow, WAL_KEY, type WalRow } from "./wal-row.ts";
import { WalStore } from "./wal-store.ts";

export type LogLimits = WalLimits &
  Omit<RingLimits, "bytesMax"> & {
    /** Of the log's files together. */
    readonly logBytesMax: number;
    /** Large values of so many bytes in a commit are written, and synced, before what says so. */
    readonly tailFirstBytes: number;
  };

/** Takes the files over, and closes them when it fails. @throws MeshError JOURNAL_DAMAGED; what the store throws */
export async function openLog(
  below: StoreBelow,
  files: SegmentFiles,
  limits: LogLimits,
): Promise<WalStore> {
  const found = files.open();
  try {
    const row = knownRow(below, found.length) ?? newRow();
    const { salt, moved } = row;
    const overlay = new Overlay();
    const { live, free, next, torn } = readLog(found, salt, moved, overlay);
    const ring = new SegmentRing(
      files,
      salt,
      { live, free },
      { ...limits, bytesMax: limits.logBytesMax },
    );
    if (!row.begun) {
      // The salt is known before a record has it, and that there is a log before there is something in it.
      await below.commit([{ table: "meta", key: WAL_KEY, value: encodeWalRow(row) }]);
      await ring.add(0);
      const begun = encodeWalRow({ ...row, begun: true });
      await below.commit([{ table: "meta", key: WAL_KEY, value: begun }]);
    }
    const room = new LogRoom({ below, ring, overlay, salt, moved, limits });
    return new WalStore({
      below,
      overlay,
      room,
      salt,
      next,
      torn,
      tailFirstBytes: limits.tailFirstBytes,
    });
  } catch (error) {
    for (const file of found) file.close();
    throw error;
  }
}

const newRow = (): WalRow => ({ salt: randomBytes(SALT_BYTES), moved: 0, begun: false });

/** @throws MeshError JOURNAL_DAMAGED when log and lmdb file do not belong together */
function knownRow(below: StoreBelow, files: number): WalRow | undefined {
  const bytes = below.get("meta", WAL_KEY);
  const row = bytes && decodeWalRow(bytes);
  let reason: string | undefined;
  if (bytes !== undefined && row === undefined) reason = "its row about the log is damaged";
  else if (row === undefined && files > 0) reason = "there are log files that it does not know";
  else if (row?.begun === true && files === 0) reason = "its log files are missing";
  if (reason === undefined) return row;
  throw new MeshError("JOURNAL_DAMAGED", `the journal cannot be opened: ${reason}`, {
    details: { reason },
  });
}
