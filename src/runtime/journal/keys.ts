/**
 * Keys of the store's tables, whose byte order is the order of what they stand for.
 *
 * Problem: the store compares keys as bytes and engines bound their length; positions and composites of
 * names and positions must sort, and no two different composites may share a key. Approach: numbers are
 * big endian of fixed width; a text is its UTF-8 bytes with 0x00 written as 0x00 0xff, ended by 0x00 0x00
 * (so "a" sorts before "a\0" before "ab", and no text's key is a prefix of another's); a text that takes
 * more than TEXT_BYTES_MAX so is cut at 80 bytes and ended by 0x00 0x01 and its length and two hashes
 * of the whole text, which orders texts only up to the cut. Two long texts share a key with a chance
 * of 2^-64, and on purpose more easily: rows keyed by a text from outside store it and compare it.
 *
 * Invariants: a key of one text and two positions stays below 160 bytes, of three texts below 400;
 * for short texts, compare(keyOf(a), keyOf(b)) equals the order of a and b by UTF-8 bytes, then numbers.
 *
 * Source: the tuple encoding of FoundationDB (its escape of 0x00).
 */
import type { Position } from "../../core/position.ts";

/** Texts whose escaped form is longer than this are cut and hashed. */
export const TEXT_BYTES_MAX = 112;
/** No key made here is longer. */
export const KEY_BYTES_MAX = 400;
const TEXT_BYTES_KEPT = 80;
const POSITION_BYTES = 12;
const TWO_32 = 0x1_0000_0000;

/** Part of a composite key. Numbers are integers from 0 to 2^53-1. */
export type KeyPart = string | number | Position;

/** epoch (4 bytes), seq (8 bytes), big endian. */
export const positionKey = (epoch: number, seq: number): Uint8Array => {
  const key = Buffer.allocUnsafe(POSITION_BYTES);
  putPosition(key, 0, epoch, seq);
  return key;
};

/** The position that starts at `offset` of a key (default 0). @throws RangeError when too short */
export const positionOfKey = (key: Uint8Array, offset = 0): Position => {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  return {
    epoch: view.getUint32(offset),
    seq: view.getUint32(offset + 4) * TWO_32 + view.getUint32(offset + 8),
  };
};

/**
 * A key of several parts, ordered part by part. Parts at one place must be of one type.
 * @throws RangeError when the key would exceed KEY_BYTES_MAX
 */
export const compositeKey = (...parts: readonly KeyPart[]): Uint8Array => {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for (const part of parts) {
    const piece = partKey(part);
    pieces.push(piece);
    bytes += piece.length;
  }
  if (bytes > KEY_BYTES_MAX) throw new RangeError(`key of ${bytes} B exceeds ${KEY_BYTES_MAX} B`);
  return Buffer.concat(pieces, bytes);
};

/** The exclusive upper bound of all keys that start with `prefix`; undefined when there is none. */
export const prefixEnd = (prefix: Uint8Array): Uint8Array | undefined => {
  for (let at = prefix.length - 1; at >= 0; at--) {
    const byte = prefix[at] as number;
    if (byte === 0xff) continue;
    const end = Buffer.from(prefix.subarray(0, at + 1));
    end[at] = byte + 1;
    return end;
  }
  return undefined;
};

/** Order of two keys as the store sees it. */
export const compareKeys = (a: Uint8Array, b: Uint8Array): number => Buffer.compare(a, b);

const partKey = (part: KeyPart): Uint8Array => {
  if (typeof part === "string") return textKey(part);
  if (typeof part === "number") {
    const key = Buffer.allocUnsafe(8);
    putUint53(key, 0, part);
    return key;
  }
  return positionKey(part.epoch, part.seq);
};

const putPosition = (key: Buffer, at: number, epoch: number, seq: number): void => {
  key.writeUInt32BE(epoch, at);
  putUint53(key, at + 4, seq);
};

const putUint53 = (key: Buffer, at: number, value: number): void => {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`key number ${value} is outside 0..2^53-1`);
  }
  const high = Math.floor(value / TWO_32);
  key.writeUInt32BE(high, at);
  key.writeUInt32BE(value - high * TWO_32, at + 4);
};

const textKey = (text: string): Uint8Array => {
  const plain = Buffer.from(text, "utf8");
  let zeros = 0;
  for (const byte of plain) if (byte === 0) zeros++;
  const escaped = Buffer.allocUnsafe(plain.length + zeros + 2);
  let at = 0;
  for (const byte of plain) {
    escaped[at++] = byte;
    if (byte === 0) escaped[at++] = 0xff;
  }
  escaped[at++] = 0;
  escaped[at++] = 0;
  return at - 2 <= TEXT_BYTES_MAX ? escaped : cutKey(plain, escaped);
};

/** The first bytes, 0x00 0x01, the length and two 32-bit hashes of the whole text. */
const cutKey = (plain: Buffer, escaped: Buffer): Uint8Array => {
  // An escape is not cut in half: its 0x00 would look like the start of an end mark.
  const kept = escaped[TEXT_BYTES_KEPT - 1] === 0 ? TEXT_BYTES_KEPT - 1 : TEXT_BYTES_KEPT;
  const key = Buffer.allocUnsafe(kept + 14);
  escaped.copy(key, 0, 0, kept);
  key.writeUInt16BE(1, kept);
  key.writeUInt32BE(plain.length, kept + 2);
  key.writeUInt32BE(fnv1a(plain, 0x811c9dc5), kept + 6);
  key.writeUInt32BE(fnv1a(plain, 0x5bd1e995), kept + 10);
  return key;
};

const fnv1a = (bytes: Uint8Array, seed: number): number => {
  let hash = seed;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
};
