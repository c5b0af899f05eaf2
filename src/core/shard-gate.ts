/**
 * Keeps a moving shard shut until its old owner has settled what it had.
 *
 * Problem: when the shard map changes, a key's next message must not reach the new owner while an earlier
 * one is still with the old owner. Approach: count what is in flight per shard and remember at whom; a
 * message of a shard in flight elsewhere waits at the gate; when the count falls to zero the gate opens
 * and the waiting messages go, in order (DESIGN section 8).
 *
 * Invariant: `count[s] > 0` implies that everything of shard s in flight is at `holder[s]`.
 */
import type { Entry } from "./entry.ts";
import { SHARD_COUNT, shardOf } from "./shard-map.ts";

export class ShardGate<Holder> {
  readonly #count = new Uint32Array(SHARD_COUNT);
  readonly #holder: (Holder | undefined)[] = new Array(SHARD_COUNT).fill(undefined);
  readonly #waiting = new Map<number, Entry[]>();

  /** True when the entry may be queued for `holder`; otherwise it waits here. */
  admit(entry: Entry, holder: Holder): boolean {
    const shard = shardOf(entry.keyHash);
    const waiting = this.#waiting.get(shard);
    if (waiting !== undefined) {
      waiting.push(entry);
      return false;
    }
    if ((this.#count[shard] as number) === 0 || this.#holder[shard] === holder) return true;
    this.#waiting.set(shard, [entry]);
    return false;
  }

  sent(entry: Entry, holder: Holder): void {
    const shard = shardOf(entry.keyHash);
    this.#count[shard] = (this.#count[shard] as number) + 1;
    this.#holder[shard] = holder;
  }

  /** The entry is no longer in flight; returns the messages that waited for that, or undefined. */
  ended(entry: Entry): Entry[] | undefined {
    const shard = shardOf(entry.keyHash);
    const count = (this.#count[shard] as number) - 1;
    this.#count[shard] = count;
    if (count > 0 || this.#waiting.size === 0) return undefined;
    const waiting = this.#waiting.get(shard);
    if (waiting !== undefined) this.#waiting.delete(shard);
    return waiting;
  }

  /** Takes out everything that waits (the map changed: it is placed anew). */
  drain(): Entry[] {
    const entries = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    return entries;
  }
}
