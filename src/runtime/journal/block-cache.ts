/**
 * Blocks in memory: the newest ones, which every subscription that keeps up reads, and a few older ones
 * for those that lag or send again what was parked.
 *
 * A block of large messages weighs a part of its bytes: nearly all of it is payload, which costs as much to read and check
 * anew as it did to write, and the few objects that go with it burden no collection. So what one commit of such messages
 * brought is still there when it is sent.
 *
 * Invariants: every durable block whose last position is after `coveredAfter` is in the tail, in order;
 * the tail weighs at most `bytesMax` or is one block, the older ones half of it or one block.
 */
import { comparePositions, type Position } from "../../core/position.ts";
import { Ring } from "../../core/ring.ts";
import type { Block } from "./block.ts";

const OLDER_MAX = 64;
/** Messages above this are large, and weigh a thirty-second part. */
const LARGE_BYTES = 16 * 1024;
const LARGE_SHARE = 32;

export class BlockCache {
  readonly #bytesMax: number;
  readonly #tail = new Ring<Block>();
  #tailWeight = 0;
  #coveredAfter: Position;
  /** Least recently used first. */
  #older: Block[] = [];
  #olderWeight = 0;

  constructor(bytesMax: number, head: Position) {
    this.#bytesMax = bytesMax;
    this.#coveredAfter = head;
  }

  get bytes(): number {
    let bytes = 0;
    for (let at = 0; at < this.#tail.length; at++)
      bytes += (this.#tail.at(at) as Block).bytes.length;
    for (const block of this.#older) bytes += block.bytes.length;
    return bytes;
  }

  /** Every durable block that ends after this is in the tail. */
  get coveredAfter(): Position {
    return this.#coveredAfter;
  }

  /** A block became durable. */
  push(block: Block): void {
    this.#tail.push(block);
    this.#tailWeight += weightOf(block);
    while (this.#tailWeight > this.#bytesMax && this.#tail.length > 1) {
      const oldest = this.#tail.shift() as Block;
      this.#tailWeight -= weightOf(oldest);
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
    this.#olderWeight += weightOf(block);
    while (
      this.#older.length > 1 &&
      (this.#olderWeight > this.#bytesMax / 2 || this.#older.length > OLDER_MAX)
    ) {
      this.#olderWeight -= weightOf(this.#older.shift() as Block);
    }
  }
}

const weightOf = ({ bytes, count }: Block): number =>
  bytes.length > count * LARGE_BYTES ? bytes.length / LARGE_SHARE : bytes.length;
