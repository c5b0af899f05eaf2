/**
 * Reads protobuf primitives, strictly bounded.
 *
 * Problem: the bytes come from a peer or a disk and may be anything. Approach: one cursor between
 * `position` and `limit`; every read checks the limit; a nested message narrows it (`enter`, `leave`)
 * instead of recursing, so depth costs nothing and no length can reach outside of its parent.
 *
 * Invariants: `position <= limit <= bytes.length`; whatever the bytes, a read returns a value or throws
 * WireError, and each byte is looked at a constant number of times. Stricter than protobuf asks: a
 * uint32 above 2^32-1, a uint64 above 2^53-1, invalid UTF-8, groups, and a known field with another
 * wire type are errors. Unknown fields are skipped.
 */
import { type HybridTime, hybridTimeFrom } from "./hybrid-time.ts";
import { WireError } from "./wire-error.ts";

/**
 * Most nested messages in one frame. An empty one takes 2 bytes on the wire and over 100 in memory:
 * without a bound of its own a large frame of them could exhaust the heap.
 */
export const MESSAGES_MAX = 262_144;

const VARINT_BYTES_MAX = 10;
/** Up to this many bytes building a string by hand beats a call into the runtime. */
const SHORT_TEXT = 8;
/** Up to this many bytes looking for a non-ASCII one and decoding as Latin-1 beats a UTF-8 decoder. */
const ASCII_TEXT = 256;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class ByteReader {
  readonly bytes: Uint8Array;
  /** Index in `bytes` of the next byte. */
  position: number;
  /** Index in `bytes` of the first byte that must not be read. */
  limit: number;
  #messages = 0;

  /** Reads `bytes` from `start` (default 0) to `end` (default, and at most, its length). */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    if (!(start >= 0 && start <= end && end <= bytes.length)) {
      throw new WireError(`range ${start}..${end} is outside the ${bytes.length} bytes given`);
    }
    this.bytes = bytes;
    this.position = start;
    this.limit = end;
  }

  /** `field << 3 | wireType`, with a field number of at least 1. */
  tag(): number {
    const tag = this.uint32();
    if (tag < 8) throw new WireError(`tag ${tag} has no field number`);
    return tag;
  }

  uint32(): number {
    const value = this.uint64();
    if (value > 0xffff_ffff) throw new WireError(`number ${value} exceeds 2^32-1`);
    return value;
  }

  /** A varint up to 2^53-1. */
  uint64(): number {
    const at = this.position;
    if (at < this.limit) {
      const first = this.bytes[at] as number;
      if (first < 0x80) {
        this.position = at + 1;
        return first;
      }
    }
    return this.#longVarint();
  }

  /** Any varint but zero is true. */
  bool(): boolean {
    return this.uint64() !== 0;
  }

  /** Four bytes, little endian, unsigned. */
  fixed32(): number {
    const at = this.position;
    if (this.limit - at < 4)
      throw new WireError(`fixed32 exceeds the ${this.limit - at} bytes left`);
    this.position = at + 4;
    return readFixed32(this.bytes, at);
  }

  /** Passes a fixed64 and returns where it is. */
  fixed64At(): number {
    const at = this.position;
    if (this.limit - at < 8)
      throw new WireError(`fixed64 exceeds the ${this.limit - at} bytes left`);
    this.position = at + 8;
    return at;
  }

  /** A fixed64 as hybrid time. */
  time(): HybridTime {
    const at = this.fixed64At();
    return hybridTimeFrom(readFixed32(this.bytes, at + 4), readFixed32(this.bytes, at));
  }

  /** Reads a length and returns where what it measures ends; `position` is its start. */
  end(): number {
    const length = this.uint64();
    const left = this.limit - this.position;
    if (length > left) throw new WireError(`length ${length} exceeds the ${left} bytes left`);
    return this.position + length;
  }

  /** A view, not a copy. */
  view(): Uint8Array {
    const end = this.end();
    const start = this.position;
    this.position = end;
    return this.bytes.subarray(start, end);
  }

  /** Valid UTF-8. */
  string(): string {
    const end = this.end();
    const start = this.position;
    this.position = end;
    return readText(this.bytes, start, end);
  }

  /** As `end`, of a nested message: it counts as one. */
  nestedEnd(): number {
    if (++this.#messages > MESSAGES_MAX) {
      throw new WireError(`more than ${MESSAGES_MAX} nested messages`);
    }
    return this.end();
  }

  /** Narrows the reader to the nested message that starts here; returns what `leave` needs. */
  enter(): number {
    const end = this.nestedEnd();
    const outer = this.limit;
    this.limit = end;
    return outer;
  }

  /** Ends a nested message: the reader goes on behind it. */
  leave(outer: number): void {
    this.position = this.limit;
    this.limit = outer;
  }

  /**
   * A nested message, read by `read` up to its end.
   */
  message<Value>(read: (reader: ByteReader) => Value): Value {
    const outer = this.enter();
    const value = read(this);
    this.leave(outer);
    return value;
  }

  /** Appends the numbers of a packed repeated uint64. */
  packed(into: number[]): void {
    const outer = this.enter();
    while (this.position < this.limit) into.push(this.uint64());
    this.leave(outer);
  }

  /** Appends the numbers of a packed repeated uint32. */
  packed32(into: number[]): void {
    const outer = this.enter();
    while (this.position < this.limit) into.push(this.uint32());
    this.leave(outer);
  }

  /**
   * Skips a field that the caller has no case for. `known` has a bit set for each field number that it
   * does know: one of those came with the wrong wire type.
   */
  skip(tag: number, known: number): void {
    const field = tag >>> 3;
    const wireType = tag & 7;
    if (field < 32 && ((known >>> field) & 1) === 1) {
      throw new WireError(`field ${field} has wire type ${wireType}`);
    }
    if (wireType === 0) this.#skipVarint();
    else if (wireType === 1) this.#advance(8);
    else if (wireType === 2) this.position = this.end();
    else if (wireType === 5) this.#advance(4);
    else throw new WireError(`field ${field} has unsupported wire type ${wireType}`);
  }

  #advance(count: number): void {
    const left = this.limit - this.position;
    if (count > left) throw new WireError(`${count} bytes exceed the ${left} bytes left`);
    this.position += count;
  }

  /** An unknown varint may use all 64 bits. */
  #skipVarint(): void {
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      if (this.#next() < 0x80) return;
    }
    throw new WireError(`varint is longer than ${VARINT_BYTES_MAX} bytes`);
  }

  #longVarint(): number {
    let value = 0;
    let scale = 1;
    // Sums of non-negative doubles are monotone: what exceeds 2^53-1 cannot round below it.
    for (let count = 0; count < VARINT_BYTES_MAX; count++) {
      const byte = this.#next();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) throw new WireError("number exceeds 2^53-1");
        return value;
      }
      scale *= 128;
    }
    throw new WireError(`varint is longer than ${VARINT_BYTES_MAX} bytes`);
  }

  #next(): number {
    if (this.position >= this.limit) throw new WireError("varint exceeds the bytes left");
    return this.bytes[this.position++] as number;
  }
}

/** An unsigned little-endian 32-bit number; the caller has checked the bounds. */
export const readFixed32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0;

/** Decodes UTF-8 within bounds that the caller has checked. @throws WireError when it is not valid */
export const readText = (bytes: Uint8Array, start: number, end: number): string => {
  if (end - start <= SHORT_TEXT) {
    let text = "";
    let at = start;
    for (; at < end; at++) {
      const code = bytes[at] as number;
      if (code > 0x7f) break;
      text += String.fromCharCode(code);
    }
    if (at === end) return text;
  }
  if (end - start <= ASCII_TEXT && Buffer.isBuffer(bytes) && isAscii(bytes, start, end)) {
    return bytes.toString("latin1", start, end);
  }
  try {
    return utf8.decode(bytes.subarray(start, end));
  } catch {
    throw new WireError(`text of ${end - start} bytes is not valid UTF-8`);
  }
};

/** True when every byte is below 128. */
export const isAscii = (bytes: Uint8Array, start: number, end: number): boolean => {
  for (let at = start; at < end; at++) {
    if ((bytes[at] as number) > 0x7f) return false;
  }
  return true;
};
