/**
 * The first sector of a log's file: whose it is and how large it was made, so that a file that was cut short, or comes
 * from elsewhere, is told from one that is free.
 *
 * u32 magic "MBWS", u32 CRC-32 of what follows, u64 bytes of the file, 8 B salt of the journal; zeros.
 */

import { crc32 } from "node:zlib";
import { RECORD_ALIGN_BYTES, SALT_BYTES } from "./wal-record.ts";

/** Records begin here. */
export const SEGMENT_HEAD_BYTES = RECORD_ALIGN_BYTES;

const MAGIC = 0x5357424d; // "MBWS" read as a little-endian number
const AT = { magic: 0, crc: 4, capacity: 8, salt: 16 };
const END = AT.salt + SALT_BYTES;

export function segmentHead(capacity: number, salt: Uint8Array): Uint8Array {
  const head = new Uint8Array(SEGMENT_HEAD_BYTES);
  const view = new DataView(head.buffer);
  view.setUint32(AT.magic, MAGIC, true);
  view.setBigUint64(AT.capacity, BigInt(capacity), true);
  head.set(salt, AT.salt);
  view.setUint32(AT.crc, crc32(head.subarray(AT.capacity, END)), true);
  return head;
}

/** Why a file that begins so, of so many bytes, is not one of this journal's; undefined: it is. */
export function wrongWith(
  head: Uint8Array,
  capacity: number,
  salt: Uint8Array,
): string | undefined {
  if (head.length < END) return `it ends at ${head.length} B`;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const isSound =
    view.getUint32(AT.magic, true) === MAGIC &&
    view.getUint32(AT.crc, true) === crc32(head.subarray(AT.capacity, END));
  if (!isSound) return "its first sector is damaged";
  if (salt.some((byte, at) => head[AT.salt + at] !== byte)) return "it is of another journal";
  const made = Number(view.getBigUint64(AT.capacity, true));
  return made === capacity ? undefined : `it has ${capacity} B of the ${made} B it was made with`;
}
