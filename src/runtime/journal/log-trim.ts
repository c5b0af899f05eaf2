/**
 * Which whole blocks go when everything up to a position is no longer needed.
 *
 * Problem: a block's key tells where it starts, not where it ends or how large it is, and the store
 * cannot delete a range. Approach: blocks written in this life of the node are remembered (bounded);
 * older ones are read from the store in small steps. A block goes when its last position is at or before
 * the limit; where its header is damaged, when the next block starts at or before the limit's successor.
 *
 * Invariants: blocks go in order, from the front; a step names at most `blocksMax`; nothing changes here
 * before `apply`. A step whose commit failed must be tried again as it was: its blocks may be gone from
 * the store, and a new plan would not find them to count.
 */
import { comparePositions, type Position } from "../../core/position.ts";
import { Ring } from "../../core/ring.ts";
import type { JournalStore, StoreEntry } from "../../ports/journal-store.ts";
import { Block } from "./block.ts";
import type { Crc32 } from "./block-format.ts";
import { positionKey, positionOfKey } from "./keys.ts";

const KNOWN_MAX = 65_536;
const SCAN_MAX = 16;

type Known = { readonly first: Position; readonly lastSeq: number; readonly bytes: number };

export type TrimStep = {
  /** First positions of the blocks to remove, in order. */
  readonly blocks: readonly Position[];
  /** Size of each of them. */
  readonly sizes: readonly number[];
  /** First position of what stays, or undefined: nothing that is known. */
  readonly tail: Position | undefined;
  /** The step was cut short. */
  readonly more: boolean;
};

export class LogTrim {
  readonly #store: JournalStore;
  readonly #crc32: Crc32;
  /** The newest blocks, without a gap up to the head. */
  readonly #known = new Ring<Known>();
  #tail: Position | undefined;
  #head: Position | undefined;

  /** @param head the last durable position at open; what the store shows after it does not count */
  constructor(store: JournalStore, crc32: Crc32, head: Position | undefined) {
    this.#store = store;
    this.#crc32 = crc32;
    this.#head = head;
    this.#tail = this.#firstFrom({ epoch: 0, seq: 0 });
  }

  /** First position of the first block in the log, or undefined when it is empty. */
  get tail(): Position | undefined {
    return this.#tail;
  }

  push(block: Block): void {
    const first = { epoch: block.epoch, seq: block.firstSeq };
    this.#tail ??= first;
    this.#head = { epoch: block.epoch, seq: block.lastSeq };
    this.#known.push({ first, lastSeq: block.lastSeq, bytes: block.bytes.length });
    if (this.#known.length > KNOWN_MAX) this.#known.shift();
  }

  /** The next step towards having nothing at or before `upTo`; undefined when there is nothing to do. */
  plan(upTo: Position, blocksMax: number): TrimStep | undefined {
    const blocks: Position[] = [];
    const sizes: number[] = [];
    let at = this.#tail;
    while (at !== undefined && comparePositions(at, upTo) <= 0 && blocks.length < blocksMax) {
      const before = blocks.length;
      const budget = blocksMax - before;
      if (this.#isKnown(at)) {
        at = this.#planKnown(upTo, budget, blocks, sizes);
        break;
      }
      at = this.#planStored(at, upTo, budget, blocks, sizes);
      if (blocks.length === before) break;
    }
    if (blocks.length === 0) return undefined;
    const more = blocks.length >= blocksMax && at !== undefined && comparePositions(at, upTo) <= 0;
    return { blocks, sizes, tail: at, more };
  }

  /** The step is durable. */
  apply(step: TrimStep): void {
    for (const block of step.blocks) {
      const known = this.#known.peek();
      if (known !== undefined && comparePositions(known.first, block) <= 0) this.#known.shift();
    }
    this.#tail = step.tail;
  }

  /** A block left the log for the quarantine. */
  removed(position: Position): void {
    if (this.#tail !== undefined && comparePositions(this.#tail, position) === 0) {
      this.#tail = this.#firstFrom({ epoch: position.epoch, seq: position.seq + 1 });
    }
    if (this.#known.length === 0) return;
    // What is known must be without a gap: forget all up to the block that left.
    for (let first = this.#known.peek(); first !== undefined; first = this.#known.peek()) {
      if (comparePositions(first.first, position) > 0) break;
      this.#known.shift();
    }
  }

  #isKnown(position: Position): boolean {
    const first = this.#known.peek();
    return first !== undefined && comparePositions(first.first, position) <= 0;
  }

  #planKnown(
    upTo: Position,
    budget: number,
    blocks: Position[],
    sizes: number[],
  ): Position | undefined {
    for (let index = 0; index < this.#known.length; index++) {
      const { first, lastSeq, bytes } = this.#known.at(index) as Known;
      if (index >= budget) return first;
      if (comparePositions({ epoch: first.epoch, seq: lastSeq }, upTo) > 0) return first;
      blocks.push(first);
      sizes.push(bytes);
    }
    return undefined;
  }

  /** One step through the store: all but the last entry are bounded by the one after. */
  #planStored(
    from: Position,
    upTo: Position,
    budget: number,
    blocks: Position[],
    sizes: number[],
  ): Position | undefined {
    const entries = this.#entries(from, SCAN_MAX);
    for (let index = 0; index < entries.length; index++) {
      const entry = entries[index] as StoreEntry;
      const first = positionOfKey(entry.key);
      if (index >= budget) return first;
      const next = entries[index + 1];
      const last = this.#lastOf(entry, first, next);
      if (last === undefined || comparePositions(last, upTo) > 0) return first;
      blocks.push(first);
      sizes.push(entry.value.length);
      if (next !== undefined && this.#isKnown(positionOfKey(next.key))) {
        return positionOfKey(next.key);
      }
    }
    const last = blocks[blocks.length - 1];
    if (last === undefined) return undefined;
    return this.#firstFrom({ epoch: last.epoch, seq: last.seq + 1 });
  }

  #lastOf(entry: StoreEntry, first: Position, next: StoreEntry | undefined): Position | undefined {
    const header = Block.header(entry.value, this.#crc32);
    if (header?.epoch === first.epoch && header.firstSeq === first.seq) {
      return { epoch: first.epoch, seq: header.lastSeq };
    }
    if (next === undefined) return undefined;
    const bound = positionOfKey(next.key);
    return bound.epoch === first.epoch ? { epoch: bound.epoch, seq: bound.seq - 1 } : first;
  }

  #firstFrom(from: Position): Position | undefined {
    const entry = this.#entries(from, 1)[0];
    return entry === undefined ? undefined : positionOfKey(entry.key);
  }

  #entries(from: Position, limit: number): StoreEntry[] {
    const head = this.#head;
    if (head === undefined) return [];
    return this.#store.scan("log", {
      from: positionKey(from.epoch, from.seq),
      to: positionKey(head.epoch, head.seq + 1),
      limit,
    });
  }
}
