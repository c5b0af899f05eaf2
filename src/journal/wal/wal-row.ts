/** What the store below knows of the log in front of it: one row of table "meta". */

import { crc32 } from "node:zlib";
import { SALT_BYTES } from "./wal-record.ts";

/** Distinct from every key of the journal's own in that table. */
export const WAL_KEY: Uint8Array = new TextEncoder().encode("wal");

export type WalRow = {
  /** In every record of this journal's log. */
  readonly salt: Uint8Array;
  /** Number of the last commit that is in the store below with all before it. */
  readonly moved: number;
  /**
   * Number of a commit that was synced. What rows were before they were changed up to it may be nowhere any more:
   * without it the journal is no state it ever had.
   */
  readonly synced: number;
};

/** Of this row, the files' heads and the records. */
const FORMAT = 1;
const AT = { crc: 0, format: 4, moved: 8, synced: 16, salt: 24 };
const BYTES = AT.salt + SALT_BYTES;

export function encodeWalRow({ salt, moved, synced }: WalRow): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(AT.format, FORMAT, true);
  view.setBigUint64(AT.moved, BigInt(moved), true);
  view.setBigUint64(AT.synced, BigInt(synced), true);
  bytes.set(salt, AT.salt);
  view.setUint32(AT.crc, crc32(bytes.subarray(AT.format)), true);
  return bytes;
}

/** undefined: damaged, or of a format that is not known. */
export function decodeWalRow(bytes: Uint8Array): WalRow | undefined {
  if (bytes.length !== BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(AT.crc, true) !== crc32(bytes.subarray(AT.format))) return undefined;
  if (view.getUint32(AT.format, true) !== FORMAT) return undefined;
  return {
    salt: bytes.slice(AT.salt),
    moved: Number(view.getBigUint64(AT.moved, true)),
    synced: Number(view.getBigUint64(AT.synced, true)),
  };
}
