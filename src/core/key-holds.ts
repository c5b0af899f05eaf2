/**
 * Keys that wait: a failed message is retried later and everything after it of the same key waits behind
 * it, while other keys go on.
 *
 * Problem: order within a key must survive retries without stopping the subscription. Approach: a hold per
 * waiting key has a head (the failed message) and followers. When the head falls due it alone is sent; when
 * it has ended, the followers are released in order and the hold is gone. Followers are sorted when they
 * are released, not when they come, so that a thousand returned at once cost no more than a thousand.
 *
 * Invariants
 * - the head is earlier than every follower; an entry is in at most one hold;
 * - while a hold exists only its head is sent;
 * - followers are PARKED (most without a time of their own), STOPPED, or SETTLED and counted in `gone`; the
 *   head is PARKED or STOPPED, or READY or IN_FLIGHT on its way again.
 */
import {
  compareEntries,
  type Entry,
  type EntryState,
  type EntryTally,
  IN_FLIGHT,
  NO_TIME,
  PARKED,
  READY,
  SETTLED,
  STOPPED,
  TIME_CAME,
} from "./entry.ts";

type Hold = {
  head: Entry;
  followers: Entry[];
  /** Whether `followers` is in order of position. */
  sorted: boolean;
  /** Something failed since the head was last sent: more of the key may be on its way back. */
  dirty: boolean;
  /** Followers that have ended and were not taken out yet. */
  gone: number;
};

/** Ended followers that are left in place before they are swept out. */
const GONE_MAX = 64;

export class KeyHolds {
  readonly #tally: EntryTally;
  readonly #holds = new Map<number, Hold>();

  constructor(tally: EntryTally) {
    this.#tally = tally;
  }

  /** Keys that wait. */
  get size(): number {
    return this.#holds.size;
  }

  /** The head whose retry time has come while another led its key, or undefined. */
  headInTime(keyHash: number): Entry | undefined {
    const head = this.#holds.get(keyHash)?.head;
    return head?.state === PARKED && head.dueMs === TIME_CAME ? head : undefined;
  }

  /** The entry is sent: what was sent of its key before comes back before its settle does. */
  sent(entry: Entry): void {
    const hold = this.#holds.get(entry.keyHash);
    if (hold?.head === entry) hold.dirty = false;
  }

  /** Whether the entry's key waits with it at its head. */
  isHead(entry: Entry): boolean {
    return this.#holds.get(entry.keyHash)?.head === entry;
  }

  /** Followers kept for the key, ended ones that were not swept out included. */
  followersOf(keyHash: number): number {
    return this.#holds.get(keyHash)?.followers.length ?? 0;
  }

  /**
   * The entry waits, for a time or (STOPPED) until it is resumed, and for the head of its key, if that is
   * another.
   */
  park(entry: Entry, state: typeof PARKED | typeof STOPPED): void {
    this.#tally.move(entry, state);
    this.lead(entry);
    const hold = this.#holds.get(entry.keyHash) as Hold;
    hold.dirty = true;
    if (hold.head !== entry) follow(entry, hold);
  }

  /** The entry is the head of its key from now on, unless an earlier one is. Its state stays. */
  lead(entry: Entry): void {
    const hold = this.#holds.get(entry.keyHash);
    if (hold === undefined) {
      this.#holds.set(entry.keyHash, {
        head: entry,
        followers: [],
        sorted: true,
        dirty: false,
        gone: 0,
      });
      return;
    }
    const former = hold.head;
    if (compareEntries(entry, former) >= 0) return;
    hold.head = entry;
    // One that stands in a queue comes to `pass`, one in flight ends or comes back.
    if (former.state !== READY && former.state !== IN_FLIGHT) follow(former, hold);
  }

  /** Whether the READY entry may be sent. Otherwise it waits behind the head of its key from now on. */
  pass(entry: Entry): boolean {
    const hold = this.#holds.get(entry.keyHash);
    if (hold === undefined || hold.head === entry) return true;
    this.lead(entry);
    if (hold.head === entry) return true;
    this.#tally.move(entry, PARKED);
    follow(entry, hold);
    return false;
  }

  /**
   * The entry, in this state until now, has ended. When it was the head: what goes on, in order
   * (PARKED still, and the caller's), up to the next that failed, which leads the key from now on.
   * `dirty`: the key waits no longer, but some of it may be on its way back.
   */
  ended(entry: Entry, state: EntryState): { readonly followers: Entry[]; readonly dirty: boolean } {
    const hold = this.#holds.get(entry.keyHash);
    if (hold?.head === entry) {
      const followers = this.#release(hold);
      return { followers, dirty: hold.dirty && !this.#holds.has(entry.keyHash) };
    }
    const waited = state === PARKED || state === STOPPED;
    if (hold !== undefined && waited && ++hold.gone > GONE_MAX) {
      if (2 * hold.gone > hold.followers.length) sweep(hold);
    }
    return { followers: [], dirty: false };
  }

  /** Dissolves every hold; returns the followers that waited for nothing else, PARKED still. */
  dissolve(): Entry[] {
    const free: Entry[] = [];
    for (const { followers } of this.#holds.values()) {
      for (const entry of followers) {
        if (entry.state === PARKED && entry.dueMs === NO_TIME) free.push(entry);
      }
    }
    this.#holds.clear();
    return free;
  }

  #release(hold: Hold): Entry[] {
    sweep(hold);
    const { followers } = hold;
    if (!hold.sorted) followers.sort(compareEntries);
    hold.sorted = true;
    const stopAt = followers.findIndex(
      ({ state, dueMs }) => state === STOPPED || dueMs !== NO_TIME,
    );
    if (stopAt < 0) {
      this.#holds.delete(hold.head.keyHash);
      return followers;
    }
    hold.head = followers[stopAt] as Entry;
    hold.followers = followers.slice(stopAt + 1);
    return followers.slice(0, stopAt);
  }
}

const follow = (entry: Entry, hold: Hold): void => {
  const last = hold.followers.at(-1);
  if (last !== undefined && compareEntries(last, entry) > 0) hold.sorted = false;
  hold.followers.push(entry);
};

const sweep = (hold: Hold): void => {
  if (hold.gone > 0) hold.followers = hold.followers.filter(({ state }) => state !== SETTLED);
  hold.gone = 0;
};
