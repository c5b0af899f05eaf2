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
  /** The log has files; without them something is missing. */
  readonly begun: boolean;
};

const AT = { crc: 0, flags: 4, moved: 8, salt: 16 };
const BYTES = AT.salt + SALT_BYTES;

export function encodeWalRow({ salt, moved, begun }: WalRow): Uint8Array {
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(AT.flags, begun ? 1 : 0, true);
  view.setBigUint64(AT.moved, BigInt(moved), true);
  bytes.set(salt, AT.salt);
  view.setUint32(AT.crc, crc32(bytes.subarray(AT.flags)), true);
  return bytes;
}

/** undefined: damaged. */
export function decodeWalRow(bytes: Uint8Array): WalRow | undefined {
  if (bytes.length !== BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(AT.crc, true) !== crc32(bytes.subarray(AT.flags))) return undefined;
  return {
    salt: bytes.slice(AT.salt),
    moved: Number(view.getBigUint64(AT.moved, true)),
    begun: view.getUint32(AT.flags, true) === 1,
  };
}
