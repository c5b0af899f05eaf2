/**
 * Writes protobuf primitives into a growing arena.
 *
 * Problem: encoding is on the hot path; allocating a buffer per message or walking a message twice to
 * learn its size costs more than writing it. Approach: one arena, written front to back; a length that
 * is not known yet gets room reserved in front and is filled in afterwards. The arena is allocated when
 * first needed, so that a writer used once costs one allocation.
 *
 * Invariants: bytes `0..position` of `buffer` are written, the rest is undefined and never handed out;
 * `position <= buffer.length`. `ensure(n)` may replace `buffer`: read it again afterwards. Hot encoders
 * call `ensure` once with an upper bound and then write to `buffer` directly.
 *
 * Source: protobuf encoding guide (varints, wire types, packed fields).
 */
import { WireError } from "./wire-error.ts";

const EMPTY = Buffer.alloc(0);
const INITIAL_BYTES_DEFAULT = 256;
/** Up to this many characters a loop beats a call into the runtime. */
const SHORT_TEXT = 64;

export class ByteWriter {
  /** The arena. Owned by the writer until `take`. */
  buffer: Buffer = EMPTY;
  /** Bytes written so far, and where the next one goes. */
  position = 0;
  readonly #initialBytes: number;

  /** @param initialBytes size of a fresh arena, at least 16; it doubles when a message needs more. */
  constructor(initialBytes: number = INITIAL_BYTES_DEFAULT) {
    this.#initialBytes = Math.max(16, initialBytes);
  }

  /** Makes room for `count` more bytes. */
  ensure(count: number): void {
    if (this.position + count > this.buffer.length) this.#grow(count);
  }

  /** A field's tag: `field << 3 | wireType`. */
  tag(tag: number): void {
    this.uint64(tag);
  }

  /** A single raw byte. */
  byte(value: number): void {
    this.ensure(1);
    this.buffer[this.position++] = value;
  }

  bool(value: boolean): void {
    this.byte(value ? 1 : 0);
  }

  /** A varint below 2^32. @throws WireError outside of that */
  uint32(value: number): void {
    if (!(value <= 0xffff_ffff)) throw new WireError(`number ${value} is outside 0..2^32-1`);
    this.uint64(value);
  }

  /** A varint of an integer up to 2^53-1; a fraction is cut off. @throws WireError outside of that */
  uint64(value: number): void {
    this.ensure(8);
    this.position = putVarint(this.buffer, this.position, value);
  }

  /** Four bytes, little endian; the lower 32 bits of `value`. */
  fixed32(value: number): void {
    this.ensure(4);
    this.setFixed32(this.position, value);
    this.position += 4;
  }

  /** Eight bytes, little endian, from two 32-bit halves. */
  fixed64(high: number, low: number): void {
    this.ensure(8);
    this.setFixed32(this.position, low);
    this.setFixed32(this.position + 4, high);
    this.position += 8;
  }

  /** Overwrites four bytes written before. */
  setFixed32(at: number, value: number): void {
    const buffer = this.buffer;
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
    buffer[at + 2] = value >>> 16;
    buffer[at + 3] = value >>> 24;
  }

  /** Bytes as they are, without a length. */
  raw(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** A length, then the bytes. */
  bytes(bytes: Uint8Array): void {
    this.ensure(8 + bytes.length);
    this.position = putVarint(this.buffer, this.position, bytes.length);
    this.buffer.set(bytes, this.position);
    this.position += bytes.length;
  }

  /** A length, then the text as UTF-8. Lone surrogates become U+FFFD. */
  string(text: string): void {
    const length = text.length;
    this.ensure(8 + length * 3);
    if (length <= SHORT_TEXT) {
      const buffer = this.buffer;
      const start = this.position + 1;
      let index = 0;
      for (; index < length; index++) {
        const code = text.charCodeAt(index);
        if (code > 0x7f) break;
        buffer[start + index] = code;
      }
      if (index === length) {
        buffer[start - 1] = length;
        this.position = start + length;
        return;
      }
    }
    this.position = putVarint(this.buffer, this.position, Buffer.byteLength(text));
    this.position += this.buffer.write(text, this.position, "utf8");
  }

  /** Reserves `lengthBytes` (1 to 5) for the length of what follows; returns where that starts. */
  open(lengthBytes: number): number {
    this.ensure(lengthBytes);
    this.position += lengthBytes;
    return this.position;
  }

  /** Fills in the length reserved by `open`, in its shortest form: what follows moves if need be. */
  close(start: number, lengthBytes: number): void {
    const length = this.position - start;
    const needed = varintBytes(length);
    const at = start - lengthBytes;
    if (needed !== lengthBytes) {
      this.ensure(needed);
      this.buffer.copyWithin(at + needed, start, this.position);
      this.position = at + needed + length;
    }
    putVarint(this.buffer, at, length);
  }

  /** Fills in the length reserved by `open` as a varint padded to `lengthBytes`; nothing moves. */
  closePadded(start: number, lengthBytes: number): void {
    putPaddedVarint(this.buffer, start - lengthBytes, lengthBytes, this.position - start);
  }

  /**
   * Hands over what was written and starts anew. The bytes belong to the caller: a result that fills
   * half of the arena or more is a view of it (and the writer takes a new one), a smaller one is copied
   * to a buffer of its size, so that keeping it does not keep the arena.
   */
  take(): Uint8Array {
    const size = this.position;
    const buffer = this.buffer;
    this.position = 0;
    if (size * 2 >= buffer.length) {
      this.buffer = EMPTY;
      return size === buffer.length ? buffer : buffer.subarray(0, size);
    }
    const copy = Buffer.allocUnsafe(size);
    buffer.copy(copy, 0, 0, size);
    this.#shrink();
    return copy;
  }

  /** What was written, where it is until something else is; starts anew. */
  lend(): Uint8Array {
    const lent = this.buffer.subarray(0, this.position);
    this.position = 0;
    return lent;
  }

  /** Forgets what was written. */
  reset(): void {
    this.position = 0;
    this.#shrink();
  }

  /** One large message must not leave a large arena behind. */
  #shrink(): void {
    if (this.buffer.length > this.#initialBytes) this.buffer = EMPTY;
  }

  #grow(count: number): void {
    const needed = this.position + count;
    const bytes = Math.max(this.#initialBytes, needed, this.buffer.length * 2);
    // What is not written yet is never handed out, so it needs no zeroes.
    const larger = Buffer.allocUnsafe(bytes);
    this.buffer.copy(larger, 0, 0, this.position);
    this.buffer = larger;
  }
}

/** How many bytes the shortest varint of an integer from 0 to 2^53-1 takes: 1 to 8. */
export const varintBytes = (value: number): number => {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  if (value < 0x1000_0000) return 4;
  let bytes = 5;
  for (let rest = value / 0x8_0000_0000; rest >= 1; rest /= 128) bytes++;
  return bytes;
};

/** Writes a varint at `at`, where 8 bytes must be free; returns the position behind it. */
export const putVarint = (buffer: Uint8Array, at: number, value: number): number => {
  let position = at;
  if (value >= 0 && value <= 0x7fff_ffff) {
    let rest = value | 0;
    while (rest > 0x7f) {
      buffer[position++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[position++] = rest;
    return position;
  }
  if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
    throw new WireError(`number ${value} is outside 0..2^53-1`);
  }
  let rest = Math.floor(value);
  while (rest > 0x7f) {
    const next = Math.floor(rest / 128);
    buffer[position++] = (rest - next * 128) | 0x80;
    rest = next;
  }
  buffer[position++] = rest;
  return position;
};

/** Writes `value` as a varint of exactly `width` bytes, padded with zero groups (legal, not shortest). */
export const putPaddedVarint = (
  buffer: Uint8Array,
  at: number,
  width: number,
  value: number,
): void => {
  if (varintBytes(value) > width) throw new WireError(`length ${value} needs over ${width} bytes`);
  const last = at + width - 1;
  let rest = value;
  for (let position = at; position < last; position++) {
    buffer[position] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  buffer[last] = rest;
};
