/**
 * Blocks in memory: the newest ones, which every subscription that keeps up reads, and a few older ones
 * for those that lag or send again what was parked.
 *
 * Invariants: every durable block whose last position is after `coveredAfter` is in the tail, in order;
 * the tail holds at most `bytesMax` bytes or one block, the older ones a quarter of it or one block.
 */
import { comparePositions, type Position } from "../../core/position.ts";
import { Ring } from "../../core/ring.ts";
import type { Block } from "./block.ts";

const OLDER_MAX = 64;

export class BlockCache {
  readonly #bytesMax: number;
  readonly #tail = new Ring<Block>();
  #tailBytes = 0;
  #coveredAfter: Position;
  /** Least recently used first. */
  #older: Block[] = [];
  #olderBytes = 0;

  constructor(bytesMax: number, head: Position) {
    this.#bytesMax = bytesMax;
    this.#coveredAfter = head;
  }

  get bytes(): number {
    return this.#tailBytes + this.#olderBytes;
  }

  /** Every durable block that ends after this is in the tail. */
  get coveredAfter(): Position {
    return this.#coveredAfter;
  }

  /** A block became durable. */
  push(block: Block): void {
    this.#tail.push(block);
    this.#tailBytes += block.bytes.length;
    while (this.#tailBytes > this.#bytesMax && this.#tail.length > 1) {
      const oldest = this.#tail.shift() as Block;
      this.#tailBytes -= oldest.bytes.length;
      this.#coveredAfter = { epoch: oldest.epoch, seq: oldest.lastSeq };
    }
  }

  /** The first block of the tail that ends after the position. Right only from `coveredAfter` on. */
  after(position: Position): Block | undefined {
    let low = 0;
    let high = this.#tail.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const block = this.#tail.at(middle) as Block;
      const ends = block.epoch - position.epoch || block.lastSeq - position.seq;
      if (ends > 0) high = middle;
      else low = middle + 1;
    }
    return low < this.#tail.length ? this.#tail.at(low) : undefined;
  }

  /** The block that holds this position, if it is in memory. */
  holding(position: Position): Block | undefined {
    if (comparePositions(position, this.#coveredAfter) > 0) {
      const before = { epoch: position.epoch, seq: position.seq - 1 };
      const block = this.after(before);
      return block !== undefined && block.indexOf(position) >= 0 ? block : undefined;
    }
    const at = this.#older.findIndex((block) => block.indexOf(position) >= 0);
    if (at < 0) return undefined;
    const [block] = this.#older.splice(at, 1);
    this.#older.push(block as Block);
    return block;
  }

  /** Keeps a block that was read from the store for a while. */
  keep(block: Block): void {
    this.#older.push(block);
    this.#olderBytes += block.bytes.length;
    while (
      this.#older.length > 1 &&
      (this.#olderBytes > this.#bytesMax / 4 || this.#older.length > OLDER_MAX)
    ) {
      this.#olderBytes -= (this.#older.shift() as Block).bytes.length;
    }
  }
}
