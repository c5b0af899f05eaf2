/**
 * Keeps a moving shard shut until its old owner has settled what it had.
 *
 * Problem: when the shard map changes, a key's next message must not reach the new owner while an earlier
 * one is still with the old owner. Approach: count what is in flight per shard and remember at whom; a
 * message of a shard in flight elsewhere waits at the gate; when the count falls to zero the gate opens
 * and the waiting messages go, in order (DESIGN section 8). A shard can be shut for its own holder too:
 * when a key goes on without the message it waited for, what that member has of the key must be back first.
 *
 * Invariants: `count[s] > 0` implies that everything of shard s in flight is at `holder[s]`; a shard with
 * nothing in flight has no holder, is not shut, and nothing waits at it.
 */
import type { Entry } from "./entry.ts";
import { SHARD_COUNT, shardOf } from "./shard-map.ts";

export class ShardGate<Holder> {
  readonly #count = new Uint32Array(SHARD_COUNT);
  readonly #holder: (Holder | undefined)[] = new Array(SHARD_COUNT).fill(undefined);
  readonly #waiting = new Map<number, Entry[]>();
  readonly #shut = new Set<number>();

  /** Messages of the key's shard in flight. */
  inFlight(keyHash: number): number {
    return this.#count[shardOf(keyHash)] as number;
  }

  /** True when the entry may be queued for `holder`; otherwise it waits here. */
  admit(entry: Entry, holder: Holder): boolean {
    const shard = shardOf(entry.keyHash);
    if ((this.#count[shard] as number) === 0) return true;
    const isShut = this.#shut.size > 0 && this.#shut.has(shard);
    if (this.#holder[shard] === holder && !isShut) return true;
    const waiting = this.#waiting.get(shard);
    if (waiting === undefined) this.#waiting.set(shard, [entry]);
    else waiting.push(entry);
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
    if (count > 0) return undefined;
    this.#holder[shard] = undefined;
    if (this.#shut.size > 0) this.#shut.delete(shard);
    if (this.#waiting.size === 0) return undefined;
    const waiting = this.#waiting.get(shard);
    if (waiting !== undefined) this.#waiting.delete(shard);
    return waiting;
  }

  /**
   * Nothing more of the key's shard is admitted until what is in flight has ended. False when nothing is
   * in flight or the shard was shut before.
   */
  shut(keyHash: number): boolean {
    const shard = shardOf(keyHash);
    if ((this.#count[shard] as number) === 0 || this.#shut.has(shard)) return false;
    this.#shut.add(shard);
    return true;
  }

  /** Whether something of the key waits here. */
  holdsBack(keyHash: number): boolean {
    if (this.#waiting.size === 0) return false;
    const waiting = this.#waiting.get(shardOf(keyHash));
    return waiting?.some((entry) => entry.keyHash === keyHash) ?? false;
  }

  /** Takes out everything that waits (the map changed: it is placed anew). Shut shards stay shut. */
  drain(): Entry[] {
    const entries = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    return entries;
  }

  /** Forgets what is in flight. Only when nothing waits. */
  reset(): void {
    this.#count.fill(0);
    this.#holder.fill(undefined);
    this.#shut.clear();
  }
}
