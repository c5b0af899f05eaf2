/**
 * Reads durable blocks in order, from memory or the store, and finds damage.
 *
 * Problem: many subscriptions walk the log at their own pace; a block may be damaged on disk; the store
 * may already show what is not durable. Approach: nothing after the durable head is ever returned;
 * recent blocks come from the cache; others are fetched by key (the next block's key is known from the
 * last position of the one before) and checked. A damaged block is reported once and moved to table
 * "quarantine" by the next commit; until then it is skipped here.
 *
 * Invariants: blocks returned are whole, durable and in order of position; a block that is skipped has
 * been reported; at most DAMAGED_MAX damaged blocks (and DAMAGED_BYTES_MAX, or one) wait for their commit (then reading pauses: see
 * `onReadable`).
 */
import { comparePositions, type Position } from "../../core/position.ts";
import type { JournalStore, StoreEntry } from "../../ports/journal-store.ts";
import { Block } from "./block.ts";
import { BlockCache } from "./block-cache.ts";
import type { Crc32 } from "./block-format.ts";
import type { Committer } from "./committer.ts";
import { positionKey, positionOfKey } from "./keys.ts";

/** A block that failed its checksum. */
export type DamageInfo = {
  readonly epoch: number;
  readonly firstSeq: number;
  /** The last position it can have held; undefined when nothing tells. */
  readonly lastSeq: number | undefined;
  /** Size of the block. */
  readonly bytes: number;
};

export type LogReaderOptions = {
  readonly store: JournalStore;
  readonly crc32: Crc32;
  readonly cacheBytesMax: number;
  /** The last durable position at open, or undefined. */
  readonly head: Position | undefined;
  /** Called once per damaged block. The reader wants `flush` in the same batch. */
  readonly onDamage: (info: DamageInfo) => void;
};

type Damaged = { readonly position: Position; readonly bytes: Uint8Array };

const DAMAGED_MAX = 32;
const DAMAGED_BYTES_MAX = 4 * 2 ** 20;
const BEFORE_ALL: Position = { epoch: 0, seq: 0 };

export class LogReader {
  readonly #store: JournalStore;
  readonly #crc32: Crc32;
  readonly #onDamage: (info: DamageInfo) => void;
  readonly cache: BlockCache;
  readonly #damaged = new Map<string, Damaged>();
  #head: Position | undefined;
  #damagedBytes = 0;
  #paused = false;

  constructor(options: LogReaderOptions) {
    this.#store = options.store;
    this.#crc32 = options.crc32;
    this.#onDamage = options.onDamage;
    this.#head = options.head;
    this.cache = new BlockCache(options.cacheBytesMax, options.head ?? BEFORE_ALL);
  }

  /** The last durable position, or undefined. */
  get head(): Position | undefined {
    return this.#head;
  }

  /** Blocks become durable in order of position. */
  push(block: Block): void {
    this.cache.push(block);
    this.#head = { epoch: block.epoch, seq: block.lastSeq };
  }

  /** The first whole block that ends after the position. */
  read(after: Position): Block | undefined {
    if (comparePositions(after, this.cache.coveredAfter) >= 0) return this.cache.after(after);
    const cached = this.cache.holding({ epoch: after.epoch, seq: after.seq + 1 });
    if (cached !== undefined) return cached;
    let entry = this.#firstEntry(after);
    while (entry !== undefined) {
      const position = positionOfKey(entry.key);
      if (this.#head === undefined || comparePositions(position, this.#head) > 0) return undefined;
      const block = this.#open(entry, position);
      if (block === "paused") return undefined;
      if (block !== undefined && isAfter(block, after)) return block;
      entry = this.#entryFrom({ epoch: position.epoch, seq: position.seq + 1 });
    }
    return undefined;
  }

  /** The block that holds the position, or undefined: trimmed, damaged, never written, not durable. */
  holding(position: Position): Block | undefined {
    const cached = this.cache.holding(position);
    if (cached !== undefined) return cached;
    if (comparePositions(position, this.cache.coveredAfter) > 0) return undefined;
    const entry = this.#entryUpTo(position);
    if (entry === undefined) return undefined;
    const block = this.#open(entry, positionOfKey(entry.key));
    return block instanceof Block && block.indexOf(position) >= 0 ? block : undefined;
  }

  /** Writes the moves of damaged blocks. They count as moved when `moved` is called. */
  flush(committer: Committer): void {
    for (const { position, bytes } of this.#damaged.values()) {
      const key = positionKey(position.epoch, position.seq);
      committer.write("quarantine", key, bytes);
      committer.write("log", key, undefined);
    }
  }

  /** Damaged blocks that wait for their commit. */
  damaged(): readonly Damaged[] {
    return [...this.#damaged.values()];
  }

  isDamaged(position: Position): boolean {
    return this.#damaged.size > 0 && this.#damaged.has(nameOf(position));
  }

  /** These blocks are in quarantine now. True when a read had to stop for lack of room. */
  moved(blocks: readonly Damaged[]): boolean {
    for (const { position, bytes } of blocks) {
      if (this.#damaged.delete(nameOf(position))) this.#damagedBytes -= bytes.length;
    }
    const paused = this.#paused;
    this.#paused = false;
    return paused;
  }

  #firstEntry(after: Position): StoreEntry | undefined {
    const key = positionKey(after.epoch, after.seq + 1);
    const value = this.#store.get("log", key);
    if (value !== undefined) return { key, value };
    const entry = this.#entryUpTo(after);
    if (entry !== undefined) {
      const header = Block.header(entry.value, this.#crc32);
      if (header === undefined) return entry;
      if (header.epoch === after.epoch && header.lastSeq > after.seq) return entry;
    }
    return this.#entryFrom({ epoch: after.epoch, seq: after.seq + 1 });
  }

  /** The last entry whose first position is at or before this one. */
  #entryUpTo(position: Position): StoreEntry | undefined {
    const to = positionKey(position.epoch, position.seq + 1);
    return this.#store.scan("log", { to, limit: 1, reverse: true })[0];
  }

  #entryFrom(position: Position): StoreEntry | undefined {
    return this.#store.scan("log", {
      from: positionKey(position.epoch, position.seq),
      limit: 1,
    })[0];
  }

  #open(entry: StoreEntry, position: Position): Block | undefined | "paused" {
    if (this.isDamaged(position)) return undefined;
    try {
      const block = Block.open(entry.value, this.#crc32);
      if (block.epoch === position.epoch && block.firstSeq === position.seq) {
        this.cache.keep(block);
        return block;
      }
    } catch {
      // Whatever is wrong with it, it is not served.
    }
    if (this.#damaged.size >= DAMAGED_MAX || this.#damagedBytes >= DAMAGED_BYTES_MAX) {
      this.#paused = true;
      return "paused";
    }
    this.#damagedBytes += entry.value.length;
    this.#damaged.set(nameOf(position), { position, bytes: entry.value });
    this.#onDamage({
      epoch: position.epoch,
      firstSeq: position.seq,
      lastSeq: this.#lastSeqOf(entry, position),
      bytes: entry.value.length,
    });
    return undefined;
  }

  #lastSeqOf(entry: StoreEntry, position: Position): number | undefined {
    const header = Block.header(entry.value, this.#crc32);
    if (header?.epoch === position.epoch && header.firstSeq === position.seq) return header.lastSeq;
    const next = this.#entryFrom({ epoch: position.epoch, seq: position.seq + 1 });
    if (next !== undefined) {
      const first = positionOfKey(next.key);
      if (first.epoch === position.epoch) return first.seq - 1;
    }
    const head = this.#head;
    return head !== undefined && head.epoch === position.epoch ? head.seq : undefined;
  }
}

const nameOf = (position: Position): string => `${position.epoch}:${position.seq}`;

const isAfter = (block: Block, after: Position): boolean =>
  block.epoch > after.epoch || (block.epoch === after.epoch && block.lastSeq > after.seq);
