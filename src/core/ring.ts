/**
 * A double-ended queue over a circular array.
 *
 * Problem: `Array.shift` moves every element once the array is long, and windows of messages are
 * shifted once per message. Approach: a power-of-two array with a moving head; the index is a mask,
 * growing doubles.
 *
 * Invariants: slot `(head + i) & mask` holds element i for i < length; every other slot holds
 * undefined, so that nothing taken out is kept alive. The array never shrinks but in `clear`: the
 * caller bounds the length.
 */
import { MeshError } from "../errors.ts";

const CAPACITY_MIN = 16;

/** First in, first out, with access by index. Every call is O(1); `push` amortised. */
export class Ring<T> {
  #slots: (T | undefined)[] = emptySlots(CAPACITY_MIN);
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: T): void {
    if (this.#length === this.#slots.length) this.#grow();
    this.#slots[(this.#head + this.#length) & (this.#slots.length - 1)] = value;
    this.#length++;
  }

  /** Takes out the first element; undefined when empty. */
  shift(): T | undefined {
    if (this.#length === 0) return undefined;
    const value = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#length--;
    return value;
  }

  /** The first element; undefined when empty. */
  peek(): T | undefined {
    return this.#slots[this.#head];
  }

  /** The element at `index`, counted from the first; undefined outside 0..length-1. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.#length) return undefined;
    return this.#slots[(this.#head + index) & (this.#slots.length - 1)];
  }

  /** Replaces the element at `index`. @throws MeshError INVALID_OPTIONS outside 0..length-1 */
  set(index: number, value: T): void {
    if (!(index >= 0 && index < this.#length)) {
      throw new MeshError(
        "INVALID_OPTIONS",
        `ring index ${index} is outside 0..${this.#length - 1}`,
      );
    }
    this.#slots[(this.#head + index) & (this.#slots.length - 1)] = value;
  }

  /** Forgets every element and the room they took. */
  clear(): void {
    this.#slots = emptySlots(CAPACITY_MIN);
    this.#head = 0;
    this.#length = 0;
  }

  #grow(): void {
    const old = this.#slots;
    const slots = emptySlots<T>(old.length * 2);
    for (let at = 0; at < this.#length; at++) {
      slots[at] = old[(this.#head + at) & (old.length - 1)];
    }
    this.#slots = slots;
    this.#head = 0;
  }
}

// Filled, so that no read falls through a hole to the prototype.
const emptySlots = <T>(capacity: number): (T | undefined)[] =>
  new Array<T | undefined>(capacity).fill(undefined);
