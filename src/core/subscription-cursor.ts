/**
 * The producer's view of one subscription: which of its messages are settled, in flight, waiting.
 *
 * Problem: walk a journal once, in order, for a group of members that come and go, keeping each key's
 * order through retries and moves, without one failing key or one slow member stopping the others, in
 * bounded memory. Approach: a window of entries in order of position. The floor is everything before the
 * first unsettled entry. A new entry is placed with the member that owns its shard (or with any); failed
 * keys wait in holds; moving shards wait at a gate; everything a lost session had in flight is placed
 * again, in order, before anything new.
 *
 * Invariants
 * - window positions strictly increase; no entry at or below the floor is in the window;
 * - of one key, at most one member has messages in flight, and they are sent in order of position;
 * - an entry is settled at most once: `settle` returns false the second time;
 * - `window.length <= windowMax` is kept by the caller through `room`.
 *
 * Source: DESIGN sections 4, 6 and 8.
 */
import { DueHeap } from "./due-heap.ts";
import {
  compareEntries,
  type Entry,
  IN_FLIGHT,
  newEntry,
  PARKED,
  READY,
  SETTLED,
  STOPPED,
} from "./entry.ts";
import { KeyHolds } from "./key-holds.ts";
import { Opening } from "./opening.ts";
import type { Position } from "./position.ts";
import { Ring } from "./ring.ts";
import { ShardGate } from "./shard-gate.ts";
import { computeShardMap, shardOf } from "./shard-map.ts";

/** An instance that declared the subscription. */
export type Member = {
  readonly id: string;
  readonly hash: number;
  weight: number;
  /** Present while a session with it is up. */
  opening: Opening | undefined;
  /** The session was lost and the member may come back: what it has stays with it. */
  lost: boolean;
  /** Takes nothing new; what is in flight is still settled. */
  draining: boolean;
  /** Placed here, not sent yet. */
  readonly queue: Ring<Entry>;
};

export type CursorOptions = {
  /** True: keys have owners and order; false: any member takes any message. */
  readonly keyed: boolean;
  readonly windowMax: number;
  /** Most messages that may wait for a retry before reading on stops. */
  readonly lookAheadMax: number;
};

/** Deaths in flight after which a message goes alone, so that one that kills its process is found. */
const DEATHS_BEFORE_ALONE = 2;

export class SubscriptionCursor {
  readonly #options: CursorOptions;
  readonly #window = new Ring<Entry>();
  readonly #members = new Map<string, Member>();
  readonly #anyQueue = new Ring<Entry>();
  readonly #unowned = new Ring<Entry>();
  readonly #holds = new KeyHolds();
  readonly #gate = new ShardGate<Member>();
  readonly #due = new DueHeap<Entry>();
  #owners: readonly (Member | undefined)[] = [];
  #floor: Position;
  #scanned: Position;
  #looseParked = 0;
  #unsent = 0;
  #keyed: boolean;

  constructor(start: Position, options: CursorOptions) {
    this.#options = options;
    this.#keyed = options.keyed;
    this.#floor = start;
    this.#scanned = start;
  }

  /** Everything at or below is settled. */
  get floor(): Position {
    return this.#floor;
  }

  /** How far the journal has been read. */
  get scanned(): Position {
    return this.#scanned;
  }

  /** Unsettled entries and settled ones behind them. */
  get windowLength(): number {
    return this.#window.length;
  }

  /** Placed, not sent. */
  get unsent(): number {
    return this.#unsent;
  }

  get parked(): number {
    return this.#holds.parked + this.#looseParked;
  }

  /** How many more entries may be read. */
  get room(): number {
    if (this.parked >= this.#options.lookAheadMax) return 0;
    return this.#options.windowMax - this.#window.length;
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#members;
  }

  /** Wall or monotonic time (the caller's choice, used throughout) at which the next parked entry falls due. */
  get nextDueMs(): number | undefined {
    return this.#due.nextDueMs;
  }

  /** The next message that concerns the subscription, in order of position. */
  add(
    epoch: number,
    seq: number,
    skip: number,
    keyHash: number,
    bytes: number,
    expireAtMs: number,
  ): Entry {
    const entry = newEntry(epoch, seq, skip, keyHash, bytes, expireAtMs);
    this.#window.push(entry);
    this.#place(entry);
    return entry;
  }

  /** Restores an entry that waited for its retry. */
  addParked(entry: Entry, dueMs: number): void {
    this.#window.push(entry);
    this.#park(entry, dueMs);
  }

  /** Restores a dead letter that stops its key: the messages after it wait. */
  addStopped(entry: Entry): void {
    this.#window.push(entry);
    this.#holds.park(entry);
    entry.state = STOPPED;
  }

  /** The journal was read up to here. */
  read(position: Position): void {
    this.#scanned = position;
    if (this.#window.length === 0) this.#floor = position;
  }

  // --- members -------------------------------------------------------------------------------

  /** A member that can own shards. Returns it; a known one keeps its queue. */
  join(id: string, hash: number, weight: number): Member {
    let member = this.#members.get(id);
    if (member === undefined) {
      member = {
        id,
        hash,
        weight,
        opening: undefined,
        lost: false,
        draining: false,
        queue: new Ring<Entry>(),
      };
      this.#members.set(id, member);
    }
    member.weight = weight;
    member.draining = false;
    this.#remap([]);
    return member;
  }

  /** The session is lost. Nothing moves until the member is back (`open`) or given up (`leave`). */
  lose(member: Member): void {
    member.lost = true;
  }

  /**
   * A session with the member is up, with a new opening. What it had in flight in the one before is sent
   * to it again, in order, before anything new: it may still run it.
   */
  open(member: Member): Opening {
    const before = member.opening?.unsettledEntries() ?? [];
    for (const entry of before) {
      entry.state = READY;
      entry.pinnedTo = member.id;
      this.#unsent++;
    }
    if (before.length > 0) {
      takeAll(member.queue, before);
      before.sort(compareEntries);
      for (const entry of before) member.queue.push(entry);
    }
    member.lost = false;
    member.opening = new Opening();
    return member.opening;
  }

  /**
   * The member is dead or has left: what it had and its shards go to the others, in order. `died`: its
   * process is known to be gone, which makes what it had in flight suspect.
   * @returns entries that killed a process while alone in it; the caller counts a failed attempt
   */
  leave(member: Member, died: boolean): Entry[] {
    const entries = member.opening?.unsettledEntries() ?? [];
    const killers: Entry[] = [];
    member.opening = undefined;
    this.#members.delete(member.id);
    for (const entry of entries) {
      if (died) {
        entry.deaths++;
        if (entries.length === 1 && entry.deaths > DEATHS_BEFORE_ALONE) killers.push(entry);
      }
      this.#leaveState(entry);
      entry.state = READY;
      this.#unsent++;
    }
    takeAll(member.queue, entries);
    for (const entry of entries) this.#unpin(entry);
    this.#remap(entries);
    return killers;
  }

  /** The member takes nothing new. */
  drain(member: Member): void {
    if (member.draining) return;
    member.draining = true;
    const entries: Entry[] = [];
    takeAll(member.queue, entries);
    for (const entry of entries) this.#unpin(entry);
    this.#remap(entries);
  }

  /**
   * A new definition gives keys owners, or takes them away. False, and nothing changed, while something is
   * in flight or waits: then the old definition holds on.
   */
  setKeyed(keyed: boolean): boolean {
    if (keyed === this.#keyed) return true;
    for (const { opening } of this.#members.values()) {
      if (opening !== undefined && opening.unsettled > 0) return false;
    }
    if (this.parked > 0) return false;
    this.#keyed = keyed;
    this.#replace([]);
    return true;
  }

  ownerOf(keyHash: number): Member | undefined {
    return this.#owners[shardOf(keyHash)];
  }

  /** Owner per shard, for `shards()`. */
  get owners(): readonly (Member | undefined)[] {
    return this.#owners;
  }

  // --- sending -------------------------------------------------------------------------------

  /**
   * The next entry to send to this member, or undefined. The caller checks expiry, calls `sent` or
   * `settle`, and asks again.
   */
  next(member: Member): Entry | undefined {
    const opening = member.opening;
    if (opening === undefined || member.draining || member.lost) return undefined;
    const entry = this.#peekReady(member.queue) ?? this.#peekReady(this.#anyQueue);
    if (entry === undefined || !opening.canSend(entry.bytes)) return undefined;
    if (entry.deaths >= DEATHS_BEFORE_ALONE && opening.unsettled > 0) return undefined;
    return this.#suspectInFlight(opening) ? undefined : entry;
  }

  /** `entry` (from `next`) leaves for the member. Returns whether the consumer must lift a stop of its key. */
  sent(member: Member, entry: Entry): boolean {
    const opening = member.opening as Opening;
    if (member.queue.peek() === entry) member.queue.shift();
    else this.#anyQueue.shift();
    opening.sent(entry);
    this.#unsent--;
    const pinned = entry.pinnedTo !== "";
    entry.pinnedTo = "";
    if (!this.#hasOwner(entry)) return false;
    if (!pinned) this.#gate.sent(entry, member); // a pinned one never left the gate's count
    return opening.stoppedKeys.size > 0 && opening.stoppedKeys.delete(entry.keyHash);
  }

  /** Parked entries due at `nowMs` are placed; returns how many. */
  wake(nowMs: number): number {
    let woken = 0;
    for (
      let entry = this.#due.popDue(nowMs);
      entry !== undefined;
      entry = this.#due.popDue(nowMs)
    ) {
      if (entry.state !== PARKED) continue;
      if (this.#hasOwner(entry)) {
        const hold = this.#holds.get(entry.keyHash);
        if (hold === undefined || hold.head !== entry || hold.probing) continue;
        hold.probing = true;
      } else {
        this.#looseParked--;
      }
      entry.state = READY;
      entry.dueMs = -1;
      this.#place(entry);
      woken++;
    }
    return woken;
  }

  // --- settling ------------------------------------------------------------------------------

  /** The entry has ended, wherever it was. False when it had ended before. */
  settle(entry: Entry): boolean {
    if (entry.state === SETTLED) return false;
    this.#leaveState(entry);
    entry.state = SETTLED;
    this.#afterEnd(entry);
    this.#advance();
    return true;
  }

  /** A failed attempt in flight at the member: the entry, and its key, wait until `dueMs`. */
  retry(member: Member, entry: Entry, dueMs: number): void {
    this.#leaveState(entry);
    if (this.#hasOwner(entry)) member.opening?.stoppedKeys.add(entry.keyHash);
    this.#park(entry, dueMs);
  }

  /** Not attempted: placed again, in order, or behind the head of their key. */
  giveBack(entries: Entry[]): void {
    for (const entry of entries) {
      this.#leaveState(entry);
      entry.state = READY;
      this.#unsent++;
    }
    this.#replace(entries);
  }

  /**
   * The entry failed for good and stops its key: it stays unsettled, and what follows of its key waits,
   * until `resume` or `settle`. Only for entries with a key.
   */
  stop(member: Member, entry: Entry): void {
    this.#leaveState(entry);
    member.opening?.stoppedKeys.add(entry.keyHash);
    this.#holds.park(entry);
    entry.state = STOPPED;
  }

  /** A stopped entry is tried again, from its first attempt, before what waits behind it. */
  resume(entry: Entry): boolean {
    const hold = this.#holds.get(entry.keyHash);
    if (entry.state !== STOPPED || hold?.head !== entry) return false;
    entry.attempts = 0;
    entry.state = READY;
    hold.probing = true;
    this.#place(entry);
    return true;
  }

  /** The unsettled entry at this position, if it was read. */
  find(epoch: number, seq: number): Entry | undefined {
    let low = 0;
    let high = this.#window.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const entry = this.#window.at(middle) as Entry;
      if (entry.epoch < epoch || (entry.epoch === epoch && entry.seq < seq)) low = middle + 1;
      else high = middle;
    }
    const entry = this.#window.at(low);
    const found = entry?.epoch === epoch && entry.seq === seq && entry.state !== SETTLED;
    return found ? entry : undefined;
  }

  /** Unsettled entries in order of position. */
  *unsettled(): IterableIterator<Entry> {
    for (let at = 0; at < this.#window.length; at++) {
      const entry = this.#window.at(at) as Entry;
      if (entry.state !== SETTLED) yield entry;
    }
  }

  // --- inside --------------------------------------------------------------------------------

  #hasOwner(entry: Entry): boolean {
    return this.#keyed && entry.keyHash >= 0;
  }

  #place(entry: Entry): void {
    this.#unsent++;
    this.#route(entry);
  }

  /** Puts a READY entry where it waits to be sent. */
  #route(entry: Entry): void {
    const pinned = entry.pinnedTo === "" ? undefined : this.#members.get(entry.pinnedTo);
    if (pinned !== undefined) {
      pinned.queue.push(entry);
      return;
    }
    if (!this.#hasOwner(entry)) {
      this.#anyQueue.push(entry);
      return;
    }
    const hold = this.#holds.get(entry.keyHash);
    if (hold !== undefined && hold.head !== entry) {
      this.#unsent--;
      this.#holds.follow(entry, hold);
      return;
    }
    const owner = this.ownerOf(entry.keyHash);
    if (owner === undefined) this.#unowned.push(entry);
    else if (this.#gate.admit(entry, owner)) owner.queue.push(entry);
  }

  /** Entries whose shard may move now. */
  #reopen(entries: Entry[] | undefined): void {
    if (entries === undefined) return;
    for (const entry of entries) if (entry.state === READY) this.#route(entry);
  }

  /** Puts entries back before everything placed and not sent, all in order of position. */
  #replace(entries: Entry[]): void {
    const all = entries;
    for (const member of this.#members.values()) takeAll(member.queue, all);
    takeAll(this.#anyQueue, all);
    takeAll(this.#unowned, all);
    for (const entry of this.#gate.drain()) all.push(entry);
    all.sort(compareEntries);
    let before: Entry | undefined;
    for (const entry of all) {
      if (entry !== before && entry.state === READY) this.#route(entry);
      before = entry;
    }
  }

  #remap(displaced: Entry[]): void {
    const members = [...this.#members.values()].filter((member) => !member.draining);
    const owners = computeShardMap(members);
    this.#owners = Array.from(owners, (index) => members[index]);
    this.#replace(displaced);
  }

  /** The first entry of the queue that may still be sent; others are dropped or moved to their hold. */
  #peekReady(queue: Ring<Entry>): Entry | undefined {
    for (let entry = queue.peek(); entry !== undefined; entry = queue.peek()) {
      if (entry.state === READY) {
        if (this.#holds.size === 0 || !this.#hasOwner(entry)) return entry;
        const hold = this.#holds.get(entry.keyHash);
        if (hold === undefined || hold.head === entry) return entry;
        queue.shift();
        this.#unsent--;
        this.#unpin(entry);
        this.#holds.follow(entry, hold);
      } else {
        queue.shift();
      }
    }
    return undefined;
  }

  #suspectInFlight(opening: Opening): boolean {
    if (opening.unsettled !== 1) return false;
    const first = opening.inFlight(opening.next - 1);
    return first !== undefined && first.deaths >= DEATHS_BEFORE_ALONE;
  }

  #park(entry: Entry, dueMs: number): void {
    if (this.#hasOwner(entry)) {
      const hold = this.#holds.park(entry);
      if (hold.head !== entry) return;
    } else {
      entry.state = PARKED;
      this.#looseParked++;
    }
    entry.dueMs = dueMs;
    this.#due.push(dueMs, entry);
  }

  /** Undoes what the entry's present state counts. */
  #leaveState(entry: Entry): void {
    if (entry.state === READY) {
      this.#unsent--;
      this.#unpin(entry);
    } else if (entry.state === PARKED && !this.#hasOwner(entry)) this.#looseParked--;
    else if (entry.state === IN_FLIGHT && this.#hasOwner(entry)) {
      this.#reopen(this.#gate.ended(entry));
    }
  }

  /** It no longer belongs to the member that had it. */
  #unpin(entry: Entry): void {
    if (entry.pinnedTo === "") return;
    entry.pinnedTo = "";
    if (this.#hasOwner(entry)) this.#reopen(this.#gate.ended(entry));
  }

  /** If the entry was the head of its key's hold, the followers go on. */
  #afterEnd(entry: Entry): void {
    if (this.#holds.size === 0 || !this.#hasOwner(entry)) return;
    const hold = this.#holds.get(entry.keyHash);
    if (hold !== undefined && hold.head === entry) this.#releaseHold(entry.keyHash);
  }

  #releaseHold(keyHash: number): void {
    const followers = this.#holds.release(keyHash).filter((entry) => entry.state === PARKED);
    if (followers.length === 0) return;
    for (const entry of followers) {
      entry.state = READY;
      this.#unsent++;
    }
    this.#replace(followers);
  }

  #advance(): void {
    let last: Entry | undefined;
    for (let entry = this.#window.peek(); entry !== undefined; entry = this.#window.peek()) {
      if (entry.state !== SETTLED) break;
      last = entry;
      this.#window.shift();
    }
    if (last === undefined) return;
    const next = this.#window.peek();
    if (next === undefined) this.#floor = this.#scanned;
    else this.#floor = { epoch: last.epoch, seq: last.seq };
  }
}

const takeAll = (queue: Ring<Entry>, into: Entry[]): void => {
  for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) into.push(entry);
};
