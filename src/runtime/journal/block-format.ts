/**
 * The bytes of a journal block, version 1. All numbers are little endian.
 *
 * ```
 *  0  magic "MBJB"
 *  4  u32  CRC-32 (IEEE) of everything from byte 8 to the end
 *  8  u32  CRC-32 of bytes 12 to 63, so that a damaged body leaves the positions known
 * 12  u16  format version          14  u16  flags: 1 = expiry column, 2 = target column
 * 16  u32  length of the block     20  u32  epoch
 * 24  u64  position (seq) of the first record
 * 32  u64  earliest hybrid time    40  u64  latest hybrid time   (ms << 16 | counter)
 * 48  u32  count of records        52  u32  where the envelopes end and the columns start
 * 56  u16  count of subjects       58  u16  count of targets     60  u32  zero
 * 64  envelopes, one after the other
 *     columns, one value per record: u32 end of its envelope, u32 key hash, u16 subject,
 *     u8 flags (1 = has a key), [f64 wall ms of expiry or -1], [u16 target or 0xffff]
 *     subjects: u8 kind, u16 length, UTF-8; then targets: u16 length, UTF-8
 * ```
 *
 * A record's position is the block's first plus its index. Columns make every field O(1) by index and
 * cost 11 bytes a record where nothing expires and nothing is addressed.
 */

/** CRC-32 (IEEE), unsigned: `zlib.crc32`. */
export type Crc32 = (bytes: Uint8Array) => number;

export const BLOCK_MAGIC = 0x424a424d; // "MBJB" read as a little-endian number
export const BLOCK_VERSION = 1;
export const HEADER_BYTES = 64;
/** Records, subjects and targets of one block are counted in 16 bits. */
export const BLOCK_RECORDS_MAX = 0xffff;
export const NO_TARGET = 0xffff;

export const FLAG_EXPIRY = 1;
export const FLAG_TARGETS = 2;
export const RECORD_HAS_KEY = 1;

export const AT = {
  magic: 0,
  crc: 4,
  headerCrc: 8,
  version: 12,
  flags: 14,
  length: 16,
  epoch: 20,
  firstSeq: 24,
  firstTime: 32,
  lastTime: 40,
  count: 48,
  columns: 52,
  subjects: 56,
  targets: 58,
  zero: 60,
} as const;

/** The checksum of the whole block starts here. */
export const CRC_FROM = AT.headerCrc;
/** The checksum of the header starts here. */
export const HEADER_CRC_FROM = AT.version;

/** Bytes of the columns for one record. */
export const columnBytes = (flags: number): number =>
  11 + ((flags & FLAG_EXPIRY) !== 0 ? 8 : 0) + ((flags & FLAG_TARGETS) !== 0 ? 2 : 0);

const TWO_32 = 0x1_0000_0000;

export const getUint53 = (view: DataView, at: number): number =>
  view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);

export const setUint53 = (view: DataView, at: number, value: number): void => {
  const high = Math.floor(value / TWO_32);
  view.setUint32(at, value - high * TWO_32, true);
  view.setUint32(at + 4, high, true);
};

export const getTimeMs = (view: DataView, at: number): number =>
  view.getUint32(at + 4, true) * 65_536 + view.getUint16(at + 2, true);

export const getTimeCounter = (view: DataView, at: number): number => view.getUint16(at, true);

export const setTime = (view: DataView, at: number, ms: number, counter: number): void => {
  const high = Math.floor(ms / 65_536);
  view.setUint16(at, counter, true);
  view.setUint16(at + 2, ms - high * 65_536, true);
  view.setUint32(at + 4, high, true);
};
