/**
 * Keys that wait: a failed message is retried later and everything after it of the same key waits behind
 * it, while other keys go on.
 *
 * Problem: order within a key must survive retries without stopping the subscription. Approach: a hold per
 * waiting key has a head (the failed message) and followers in order of position. When the head falls due
 * it alone is sent; when it has ended, the followers are released in order and the hold is gone.
 *
 * Invariants: followers are sorted by position and all later than the head; an entry is in at most one
 * hold; while a hold exists only its head may be in flight. A hold whose head is a dead letter ("stopped")
 * never falls due.
 */
import { compareEntries, type Entry, PARKED } from "./entry.ts";

export type Hold = {
  head: Entry;
  readonly followers: Entry[];
  /** True while the head is on its way again. */
  probing: boolean;
};

export class KeyHolds {
  readonly #holds = new Map<number, Hold>();
  #parked = 0;

  /** Keys that wait. */
  get size(): number {
    return this.#holds.size;
  }

  /** Messages that wait, heads included. */
  get parked(): number {
    return this.#parked;
  }

  get(keyHash: number): Hold | undefined {
    return this.#holds.get(keyHash);
  }

  /** The entry failed and waits; returns its hold. Earlier than the head (returned late) it becomes the head. */
  park(entry: Entry): Hold {
    entry.state = PARKED;
    const hold = this.#holds.get(entry.keyHash);
    if (hold === undefined) {
      const fresh = { head: entry, followers: [], probing: false };
      this.#holds.set(entry.keyHash, fresh);
      this.#parked++;
      return fresh;
    }
    if (hold.head === entry) {
      hold.probing = false;
    } else if (compareEntries(entry, hold.head) < 0) {
      hold.followers.unshift(hold.head);
      hold.head.state = PARKED;
      hold.head = entry;
      hold.probing = false;
      this.#parked++;
    } else {
      this.follow(entry, hold);
    }
    return hold;
  }

  /** The entry waits behind the head of its key. */
  follow(entry: Entry, hold: Hold): void {
    entry.state = PARKED;
    const followers = hold.followers;
    let at = followers.length;
    while (at > 0 && compareEntries(followers[at - 1] as Entry, entry) > 0) at--;
    followers.splice(at, 0, entry);
    this.#parked++;
  }

  /** The head has ended: the hold is gone and the followers, in order, are the caller's to send. */
  release(keyHash: number): Entry[] {
    const hold = this.#holds.get(keyHash);
    if (hold === undefined) return [];
    this.#holds.delete(keyHash);
    this.#parked -= 1 + hold.followers.length;
    return hold.followers;
  }

  *heads(): IterableIterator<Entry> {
    for (const hold of this.#holds.values()) yield hold.head;
  }
}
