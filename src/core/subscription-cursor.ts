/**
 * The producer's view of one subscription: which of its messages are settled, in flight, waiting.
 *
 * Problem: walk a journal once, in order, for a group of members that come and go, keeping each key's
 * order through retries and moves, without one failing key or one slow member stopping the others, in
 * bounded memory. Approach: a window of entries in order of position. The floor is everything before the
 * first unsettled entry. `Placement` decides where an entry waits to be sent; failed keys wait in holds;
 * retries fall due from a heap; what a lost session had in flight is placed again, in order, before the new.
 *
 * Invariants
 * - window positions strictly increase; no entry at or below the floor is in the window;
 * - of one key, at most one member has messages in flight, and they are sent in order of position;
 * - an entry is settled at most once: `settle` returns false the second time;
 * - `windowLength <= windowMax` is kept by the caller through `room`.
 *
 * Source: DESIGN sections 4, 6 and 8.
 */
import {
  type Entry,
  EntryTally,
  IN_FLIGHT,
  NO_TIME,
  newEntry,
  PARKED,
  READY,
  SETTLED,
  STOPPED,
  TIME_CAME,
} from "./entry.ts";
import { EntryWindow } from "./entry-window.ts";
import { KeyHolds } from "./key-holds.ts";
import { type Member, mourn } from "./member.ts";
import type { Opening } from "./opening.ts";
import { Placement } from "./placement.ts";
import type { Position } from "./position.ts";
import { RetryTimes } from "./retry-times.ts";
import type { HolderOf, ShardOwners } from "./shard-owners.ts";

export type CursorOptions = {
  /** True: keys have owners and order; false: any member takes any message. */
  readonly keyed: boolean;
  readonly windowMax: number;
  /** Most messages that may wait for a retry before reading on stops. */
  readonly lookAheadMax: number;
  /** Who holds a shard's token; absent: the map over the members says who owns what. */
  readonly holderOf?: HolderOf;
};

export class SubscriptionCursor {
  readonly #options: CursorOptions;
  readonly #tally = new EntryTally();
  readonly #window: EntryWindow;
  readonly #holds = new KeyHolds(this.#tally);
  readonly #times = new RetryTimes();
  readonly #placement: Placement;

  constructor(start: Position, options: CursorOptions) {
    this.#options = options;
    this.#placement = new Placement(options, this.#tally, this.#holds);
    this.#window = new EntryWindow(start, this.#tally);
  }

  /** Everything at or below is settled. */
  get floor(): Position {
    return this.#window.floor;
  }

  /** How far the journal has been read. */
  get scanned(): Position {
    return this.#window.scanned;
  }

  /** Unsettled entries and settled ones behind them. */
  get windowLength(): number {
    return this.#window.length;
  }

  get unsent(): number {
    return this.#tally.count(READY);
  }

  /** Waiting for a retry, stopped, or behind one of these of their key. */
  get parked(): number {
    return this.#tally.count(PARKED) + this.#tally.count(STOPPED);
  }

  get heldKeys(): number {
    return this.#holds.size;
  }

  /** How many more entries may be read. */
  get room(): number {
    const { windowMax, lookAheadMax } = this.#options;
    return this.parked >= lookAheadMax ? 0 : Math.max(0, windowMax - this.#window.length);
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#placement.members;
  }

  /** Time, by the caller's clock of `retry` and `wake`, at which the next parked entry falls due. */
  get nextDueMs(): number | undefined {
    return this.#times.nextDueMs;
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
    this.#placement.place(entry);
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
    this.#stop(entry);
  }

  /** The journal was read up to here. */
  read(position: Position): void {
    this.#window.read(position);
  }

  // --- members -------------------------------------------------------------------------------

  /** A member that can own shards. Returns it; a known one keeps its queue. */
  join(id: string, hash: number, weight: number): Member {
    return this.#placement.join(id, hash, weight);
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
    return this.#placement.open(member);
  }

  /**
   * The member's process is known to be gone, which makes what it had in flight suspect, once per life.
   * Nothing moves: it may start again (`open`) or be given up (`leave`).
   * @returns entries that killed a process while alone in it; the caller counts a failed attempt
   */
  died(member: Member): Entry[] {
    return mourn(member);
  }

  /**
   * The member is dead or has left: what it had and its shards go to the others, in order. `died`: as the
   * method of that name.
   */
  leave(member: Member, died: boolean): Entry[] {
    const killers = died ? mourn(member) : [];
    this.#placement.leave(member);
    return killers;
  }

  /** The member takes nothing new, but what a lost session left pinned to it: it may still run that. */
  drain(member: Member): void {
    this.#placement.drain(member);
  }

  /**
   * A new definition gives keys owners, or takes them away. False, and nothing changed, while two members
   * have messages of one shard in flight: then the old definition holds on.
   */
  setKeyed(keyed: boolean): boolean {
    if (keyed === this.#placement.keyed) return true;
    if (!this.#placement.setKeyed(keyed)) return false;
    const free = this.#holds.dissolve();
    for (const entry of free) this.#tally.move(entry, READY);
    if (keyed) {
      for (const entry of this.unsettled()) {
        if (entry.keyHash < 0) continue;
        if (entry.state === PARKED || entry.state === STOPPED) this.#holds.park(entry, entry.state);
      }
    }
    this.#placement.replaceAll(free);
    return true;
  }

  /** Tokens of these shards may be with others than before: what waits is placed anew. */
  holdersChanged(shards: readonly number[]): void {
    this.#placement.holdersChanged(shards);
  }

  get owners(): ShardOwners {
    return this.#placement.owners;
  }

  // --- sending -------------------------------------------------------------------------------

  /**
   * The next entry to send to this member, or undefined. The caller checks expiry, calls `sent` or
   * `settle`, and asks again.
   */
  next(member: Member): Entry | undefined {
    return this.#placement.next(member);
  }

  /** `entry` (from `next`) leaves for the member. Returns whether the consumer must lift a stop of its key. */
  sent(member: Member, entry: Entry): boolean {
    return this.#placement.sent(member, entry);
  }

  /** Parked entries due at `nowMs` are placed; returns how many. */
  wake(nowMs: number): number {
    let woken = 0;
    for (;;) {
      const entry = this.#times.popDue(nowMs);
      if (entry === undefined) return woken;
      if (this.#goOn(entry)) woken++;
    }
  }

  // --- settling ------------------------------------------------------------------------------

  /** The entry has ended, wherever it was. False when it had ended before. */
  settle(entry: Entry): boolean {
    const { state } = entry;
    if (state === SETTLED) return false;
    const opened = this.#placement.remove(entry);
    this.#tally.move(entry, SETTLED);
    entry.dueMs = NO_TIME;
    if (this.#holds.size > 0 && this.#placement.hasOwner(entry))
      this.#endHeld(entry, state, opened);
    else if (opened !== undefined) this.#placement.placeAgain(opened);
    if (state === READY) this.#placement.sweep();
    this.#window.advance();
    return true;
  }

  /** A failed attempt in flight at the member: the entry, and its key, wait until `dueMs`. */
  retry(member: Member, entry: Entry, dueMs: number): void {
    if (entry.state !== IN_FLIGHT) return;
    const opened = this.#placement.remove(entry);
    if (this.#placement.hasOwner(entry)) {
      member.opening?.stoppedKeys.add(entry.keyHash);
      // Returned untried while an earlier one of its key still runs there: that one leads the key.
      const ahead = this.#placement.shardInFlight(entry)
        ? member.opening?.aheadOf(entry)
        : undefined;
      if (ahead !== undefined) this.#holds.lead(ahead);
    }
    this.#park(entry, dueMs);
    if (opened !== undefined) this.#placement.placeAgain(opened);
  }

  /** Not attempted: placed again, in order, or behind the head of their key. */
  giveBack(entries: readonly Entry[]): void {
    const back: Entry[] = [];
    for (const entry of entries) {
      if (entry.state !== IN_FLIGHT) continue;
      const opened = this.#placement.remove(entry);
      this.#tally.move(entry, READY);
      back.push(entry);
      for (const other of opened ?? []) back.push(other);
    }
    this.#placement.placeAgain(back);
  }

  /**
   * The entry, in flight or about to be, failed for good and stops its key: what follows waits until `resume` or `settle`.
   */
  stop(member: Member, entry: Entry): void {
    const { state } = entry;
    if (state !== IN_FLIGHT && state !== READY) return;
    const opened = this.#placement.remove(entry);
    if (this.#placement.hasOwner(entry)) member.opening?.stoppedKeys.add(entry.keyHash);
    this.#stop(entry);
    if (opened !== undefined) this.#placement.placeAgain(opened);
    if (state === READY) this.#placement.sweep();
  }

  /** A stopped entry is tried again, from its first attempt, before what waits behind it. */
  resume(entry: Entry): boolean {
    if (entry.state !== STOPPED) return false;
    entry.attempts = 0;
    this.#goOn(entry);
    return true;
  }

  /** The unsettled entry at this position, if it was read. */
  find(epoch: number, seq: number): Entry | undefined {
    return this.#window.find(epoch, seq);
  }

  /** Unsettled entries in order of position. */
  unsettled(): Entry[] {
    return this.#window.unsettled();
  }

  // --- inside --------------------------------------------------------------------------------

  #park(entry: Entry, dueMs: number): void {
    if (this.#placement.hasOwner(entry)) this.#holds.park(entry, PARKED);
    else this.#tally.move(entry, PARKED);
    this.#times.set(entry, dueMs, this.parked);
  }

  /** The entry waits no longer by itself; true when it is not behind another of its key either. */
  #goOn(entry: Entry): boolean {
    const leads = !this.#placement.hasOwner(entry) || this.#holds.isHead(entry);
    entry.dueMs = leads ? NO_TIME : TIME_CAME;
    this.#tally.move(entry, leads ? READY : PARKED);
    if (leads) this.#placement.place(entry);
    return leads;
  }

  #stop(entry: Entry): void {
    if (this.#placement.hasOwner(entry)) this.#holds.park(entry, STOPPED);
    else this.#tally.move(entry, STOPPED);
  }

  /** An entry with a key ended: if it was the head of a hold, the followers go on. */
  #endHeld(entry: Entry, state: Entry["state"], opened: Entry[] | undefined): void {
    const { followers, dirty } = this.#holds.ended(entry, state);
    const again = opened ?? [];
    const head = this.#holds.headInTime(entry.keyHash);
    if (head !== undefined) {
      head.dueMs = NO_TIME;
      followers.push(head);
    }
    for (const follower of followers) {
      this.#tally.move(follower, READY);
      again.push(follower);
    }
    if (dirty) this.#placement.shut(entry.keyHash);
    if (again.length > 0) this.#placement.placeAgain(again);
  }
}
