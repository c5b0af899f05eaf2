/**
 * One commit in the write-ahead log: what changed, so that it can be found again and told from a torn one.
 *
 * All numbers are little endian.
 * ```
 *  0  magic "MBWR"           4  u32  CRC-32 of byte 8 to the end of the rows
 *  8  u32  CRC-32 of the tail, unless it is `tailFirst`
 * 12  u32  bytes of the rows
 * 16  u64  number of the commit
 * 24  u64  bytes of the tail
 * 32  8 B  salt of the journal
 * 40  u32  flags: 1 = tailFirst     44  u32  zero
 * 48  rows: u8 table, u8 kind (0 removed, 1 value follows the key, 2 value in the tail), u16 key length,
 *     u32 value length, key, value of kind 1
 *     tail: the values of kind 2, one after the other
 * ```
 * A record begins at a multiple of RECORD_ALIGN_BYTES, a sector: writing one never writes a sector of another
 * anew. Large values are in the tail so that they are written from where they lie, without a copy, and so that
 * whoever opens a log reads its rows only. A large tail has no checksum, which takes milliseconds: it is
 * written and synced before its header is (`tailFirst`), so that a header says that the tail is whole. The salt keeps what users send from being taken for a record.
 */

import { crc32 } from "node:zlib";
import { type StoreWrite, TABLES, type Table } from "../../ports/journal-store.ts";

export const RECORD_ALIGN_BYTES = 512;
export const HEADER_BYTES = 48;
export const SALT_BYTES = 8;
/** Values from here on lie in the tail, and stay on disk until they are read. */
export const TAIL_VALUE_BYTES = 1_024;

const MAGIC = 0x5257424d; // "MBWR" read as a little-endian number
const AT = {
  magic: 0,
  crc: 4,
  tailCrc: 8,
  rowBytes: 12,
  number: 16,
  tail: 24,
  salt: 32,
  flags: 40,
};
const CRC_FROM = AT.tailCrc;
const ROW_BYTES = 8;
const TAIL_FIRST = 1;
const REMOVED = 0;
const INLINE = 1;
const IN_TAIL = 2;

const TABLE_INDEX = new Map<Table, number>(TABLES.map((table, index) => [table, index]));

export type EncodedRecord = {
  /** Header and rows. */
  readonly head: Uint8Array;
  /** The large values themselves, behind it. */
  readonly tail: readonly Uint8Array[];
  /** Of all of it. */
  readonly bytes: number;
  /** The tail has to be on the disk before the head is written. */
  readonly tailFirst: boolean;
};

export type RecordHeader = {
  readonly number: number;
  readonly rowBytes: number;
  readonly tailBytes: number;
  readonly crc: number;
  readonly tailCrc: number;
  readonly tailFirst: boolean;
};

/** A row as it stands in the log; `valueAt` counts from the start of the record. */
export type RecordRow = {
  readonly table: Table;
  readonly key: Uint8Array;
  /** A small value; undefined: removed, or in the tail. */
  readonly value: Uint8Array | undefined;
  /** Where a value of the tail begins, or -1. */
  readonly valueAt: number;
  readonly valueBytes: number;
};

/** A tail of `tailFirstBytes` or more goes first. */
export function encodeRecord(
  writes: readonly StoreWrite[],
  number: number,
  salt: Uint8Array,
  tailFirstBytes: number,
): EncodedRecord {
  const tail: Uint8Array[] = [];
  let tailBytes = 0;
  let rowBytes = 0;
  for (const { key, value } of writes) {
    rowBytes += ROW_BYTES + key.length;
    if (value === undefined) continue;
    if (value.length < TAIL_VALUE_BYTES) rowBytes += value.length;
    else {
      tail.push(value);
      tailBytes += value.length;
    }
  }
  const tailFirst = tailBytes >= tailFirstBytes;
  const tailCrc = tailFirst ? 0 : tail.reduce((crc, value) => crc32(value, crc), 0);
  const head = new Uint8Array(HEADER_BYTES + rowBytes);
  const view = new DataView(head.buffer);
  view.setUint32(AT.magic, MAGIC, true);
  view.setUint32(AT.tailCrc, tailCrc, true);
  view.setUint32(AT.rowBytes, rowBytes, true);
  view.setBigUint64(AT.number, BigInt(number), true);
  view.setBigUint64(AT.tail, BigInt(tailBytes), true);
  head.set(salt, AT.salt);
  view.setUint32(AT.flags, tailFirst ? TAIL_FIRST : 0, true);
  let at = HEADER_BYTES;
  for (const { table, key, value } of writes) {
    const inline = value !== undefined && value.length < TAIL_VALUE_BYTES;
    view.setUint8(at, TABLE_INDEX.get(table) as number);
    view.setUint8(at + 1, value === undefined ? REMOVED : inline ? INLINE : IN_TAIL);
    view.setUint16(at + 2, key.length, true);
    view.setUint32(at + 4, value?.length ?? 0, true);
    head.set(key, at + ROW_BYTES);
    at += ROW_BYTES + key.length;
    if (!inline) continue;
    head.set(value, at);
    at += value.length;
  }
  view.setUint32(AT.crc, crc32(head.subarray(CRC_FROM)), true);
  return { head, tail, bytes: head.length + tailBytes, tailFirst };
}

/** The header if there is one of this journal; what follows it is not looked at. */
export function readHeader(bytes: Uint8Array, salt: Uint8Array): RecordHeader | undefined {
  if (bytes.length < HEADER_BYTES || bytes[0] !== (MAGIC & 0xff)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(AT.magic, true) !== MAGIC) return undefined;
  for (let at = 0; at < SALT_BYTES; at += 1) {
    if (bytes[AT.salt + at] !== salt[at]) return undefined;
  }
  return {
    number: Number(view.getBigUint64(AT.number, true)),
    rowBytes: view.getUint32(AT.rowBytes, true),
    tailBytes: Number(view.getBigUint64(AT.tail, true)),
    crc: view.getUint32(AT.crc, true),
    tailCrc: view.getUint32(AT.tailCrc, true),
    tailFirst: (view.getUint32(AT.flags, true) & TAIL_FIRST) !== 0,
  };
}

/** True when header and rows (`bytes`: both, without the tail) are as they were written. */
export const isWhole = (bytes: Uint8Array, header: RecordHeader): boolean =>
  crc32(bytes.subarray(CRC_FROM)) === header.crc;

/** The rows of header and rows that are whole, in the order they were written; arrays are views of `bytes`. */
export function* rowsOf(bytes: Uint8Array): Generator<RecordRow> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = HEADER_BYTES;
  let valueAt = bytes.length;
  while (at < bytes.length) {
    const table = TABLES[view.getUint8(at)] as Table;
    const kind = view.getUint8(at + 1);
    const keyEnd = at + ROW_BYTES + view.getUint16(at + 2, true);
    const valueBytes = view.getUint32(at + 4, true);
    const key = bytes.subarray(at + ROW_BYTES, keyEnd);
    at = keyEnd;
    if (kind === INLINE) {
      at += valueBytes;
      yield { table, key, value: bytes.subarray(keyEnd, at), valueAt: -1, valueBytes };
    } else if (kind === IN_TAIL) {
      yield { table, key, value: undefined, valueAt, valueBytes };
      valueAt += valueBytes;
    } else yield { table, key, value: undefined, valueAt: -1, valueBytes: 0 };
  }
}

/** Where the record behind one of `bytes` begins. */
export const aligned = (bytes: number): number =>
  Math.ceil(bytes / RECORD_ALIGN_BYTES) * RECORD_ALIGN_BYTES;
