/**
 * A set of whole numbers kept as closed ranges.
 *
 * Problem: what is settled out of order has to be remembered exactly, cheaply, and on disk. Nearly
 * all of it is contiguous. Approach: sorted, disjoint ranges in two parallel arrays with a moving
 * head: adding at the end and dropping at the front, which is what in-order traffic does, are O(1)
 * amortised; anything else is a binary search and a splice. The set does not bound itself: `size`
 * is what the caller bounds.
 *
 * Invariants, for head <= i < ends.length: `0 <= starts[i] <= ends[i] <= 2^53-1` and `ends[i] + 1 <
 * starts[i+1]` (disjoint, not even adjacent), so that equal sets have equal ranges and equal bytes.
 * Rejected: a bitmap (a single late message costs the whole span), a balanced tree (the common case
 * is one to a few dozen ranges, where the splice of a flat array is faster than any pointer).
 *
 * Bytes: LEB128 numbers: the count of ranges, then for each `start - previous end - 2` (the first:
 * `start`) and `end - start`. Every set has one encoding and no sequence of bytes has two meanings.
 */
import { MeshError } from "../errors.ts";

export type Range = { readonly from: number; readonly to: number };

const NUMBER_MAX = Number.MAX_SAFE_INTEGER;
/** A dead front of the arrays is cut off when it is longer than this and than the live part. */
const DEAD_FRONT_MAX = 64;

export class RangeSet {
  #starts: number[] = [];
  #ends: number[] = [];
  #head = 0;

  /** How many ranges there are. */
  get size(): number {
    return this.#ends.length - this.#head;
  }

  /** The lowest range, or undefined when empty. */
  get first(): Range | undefined {
    return this.#rangeAt(this.#head);
  }

  /** The highest range, or undefined when empty. */
  get last(): Range | undefined {
    return this.#rangeAt(this.#ends.length - 1);
  }

  /**
   * Adds `from`, `to` and everything between. O(1) when nothing above `from` is in the set.
   * @throws MeshError INVALID_OPTIONS unless they are integers with 0 <= from <= to <= 2^53-1
   */
  add(from: number, to: number): void {
    assertRange(from, to);
    const final = this.#ends.length - 1;
    if (final < this.#head) {
      this.#append(from, to);
      return;
    }
    const end = this.#ends[final] as number;
    if (from > end + 1) {
      this.#append(from, to);
    } else if (from >= (this.#starts[final] as number)) {
      if (to > end) this.#ends[final] = to;
    } else {
      this.#insert(from, to);
    }
  }

  has(n: number): boolean {
    const at = this.#indexOfEndFrom(n);
    return at < this.#ends.length && (this.#starts[at] as number) <= n;
  }

  /** True when every number of from..to is in the set. */
  hasAll(from: number, to: number): boolean {
    const at = this.#indexOfEndFrom(to);
    return at < this.#ends.length && (this.#starts[at] as number) <= from;
  }

  /** True when at least one number of from..to is in the set. */
  meets(from: number, to: number): boolean {
    const at = this.#indexOfEndFrom(from);
    return at < this.#ends.length && (this.#starts[at] as number) <= to;
  }

  /** Removes every number that is not above `n`. */
  removeBelow(n: number): void {
    while (this.#head < this.#ends.length && (this.#ends[this.#head] as number) <= n) this.#head++;
    if (this.#head === this.#ends.length) {
      this.#starts = [];
      this.#ends = [];
      this.#head = 0;
      return;
    }
    if ((this.#starts[this.#head] as number) <= n) this.#starts[this.#head] = n + 1;
    if (this.#head > DEAD_FRONT_MAX && this.#head > this.size) this.#compact();
  }

  /** The ranges in ascending order. Do not change the set meanwhile. */
  *ranges(): IterableIterator<Range> {
    for (let at = this.#head; at < this.#ends.length; at++) {
      yield { from: this.#starts[at] as number, to: this.#ends[at] as number };
    }
  }

  encode(): Uint8Array {
    const bytes: number[] = [];
    pushVarint(bytes, this.size);
    let base = 0;
    for (let at = this.#head; at < this.#ends.length; at++) {
      const start = this.#starts[at] as number;
      const end = this.#ends[at] as number;
      pushVarint(bytes, start - base);
      pushVarint(bytes, end - start);
      base = end + 2;
    }
    return Uint8Array.from(bytes);
  }

  /**
   * The inverse of `encode`. Takes memory in proportion to `bytes`, whatever they say.
   * @throws MeshError JOURNAL_DAMAGED when the bytes are no encoding of a set
   */
  static decode(bytes: Uint8Array): RangeSet {
    const reader = new VarintReader(bytes);
    const count = reader.next();
    const set = new RangeSet();
    let base = 0;
    for (let at = 0; at < count; at++) {
      const start = base + reader.next();
      const end = start + reader.next();
      if (end > NUMBER_MAX) throw damaged(`range ${at} ends beyond ${NUMBER_MAX}`);
      set.#append(start, end);
      base = end + 2;
    }
    if (!reader.done) throw damaged("bytes follow the last range");
    return set;
  }

  #rangeAt(at: number): Range | undefined {
    if (at < this.#head || at >= this.#ends.length) return undefined;
    return { from: this.#starts[at] as number, to: this.#ends[at] as number };
  }

  #append(from: number, to: number): void {
    this.#starts.push(from);
    this.#ends.push(to);
  }

  /** Merges a range that begins below the last one. */
  #insert(from: number, to: number): void {
    this.#compact();
    const first = this.#indexOfEndFrom(from - 1);
    let after = first;
    while (after < this.#starts.length && (this.#starts[after] as number) <= to + 1) after++;
    if (after === first) {
      this.#starts.splice(first, 0, from);
      this.#ends.splice(first, 0, to);
      return;
    }
    const start = Math.min(from, this.#starts[first] as number);
    const end = Math.max(to, this.#ends[after - 1] as number);
    this.#starts.splice(first, after - first, start);
    this.#ends.splice(first, after - first, end);
  }

  /**
   * Index of the lowest range that ends at or above `n`; one past the last range when there is
   * none.
   */
  #indexOfEndFrom(n: number): number {
    let low = this.#head;
    let high = this.#ends.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#ends[middle] as number) < n) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compact(): void {
    if (this.#head === 0) return;
    this.#starts.splice(0, this.#head);
    this.#ends.splice(0, this.#head);
    this.#head = 0;
  }
}

const assertRange = (from: number, to: number): void => {
  if (Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to) return;
  throw new MeshError(
    "INVALID_OPTIONS",
    `range ${from}..${to} is not made of integers with 0 <= from <= to <= ${NUMBER_MAX}`,
  );
};

const damaged = (what: string): MeshError =>
  new MeshError("JOURNAL_DAMAGED", `stored ranges cannot be read: ${what}`);

const pushVarint = (bytes: number[], value: number): void => {
  let rest = value;
  // Division, because the bit operators stop at 32 bits.
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
};

class VarintReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  next(): number {
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw damaged(`they stop short at byte ${this.#bytes.length}`);
      const bits = byte & 0x7f;
      value += bits * scale;
      if (value > NUMBER_MAX) throw damaged(`a number exceeds ${NUMBER_MAX}`);
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) throw damaged("a number is not in its shortest form");
        return value;
      }
      scale *= 0x80;
      if (scale > NUMBER_MAX) throw damaged("a number is longer than 8 bytes");
    }
  }
}
