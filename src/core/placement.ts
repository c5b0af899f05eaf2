/**
 * Where messages wait to be sent, and to which member of a subscription each one goes.
 *
 * Problem: every key has one owner at a time, although members join, drain, lose their sessions, come back
 * and die; keyless messages go to whoever has room. Approach: a queue per member and one for everybody.
 * Tokens, or the shard map where there are none, name the owner of a key; a gate keeps a shard shut while another member still has some of
 * it; what a lost session had in flight is pinned to its member until that is back or given up. Adding and
 * sending are O(1); a change of members, or a message that comes back before others of its key, places
 * everything that waits anew, in order of position.
 *
 * Invariants
 * - an entry stands in exactly one queue (or waits at the gate) iff it is READY; ended ones may linger until
 *   they are met or outnumber the rest;
 * - of one key, what stands in a queue is in order of position, but for the head of its hold, which goes
 *   first: the rest steps behind it as it is met;
 * - the gate counts what is in flight and what is pinned, with an owner, and nothing else.
 *
 * Source: DESIGN sections 6 and 8.
 */
import { compareEntries, type Entry, type EntryTally, IN_FLIGHT, READY } from "./entry.ts";
import type { KeyHolds } from "./key-holds.ts";
import { entriesWith, type Member, mayGoBeside, newMember } from "./member.ts";
import { Opening } from "./opening.ts";
import { Ring } from "./ring.ts";
import { ShardGate } from "./shard-gate.ts";
import { shardOf } from "./shard-map.ts";
import { type HolderOf, ShardOwners } from "./shard-owners.ts";

/** Ended entries that may stand in queues before they are swept out. */
const STALE_MAX = 256;
/** Entries put back at once for each of which its queue is searched; more are sorted in with the rest. */
const SCANS_MAX = 16;

export class Placement {
  readonly #tally: EntryTally;
  readonly #holds: KeyHolds;
  readonly #members = new Map<string, Member>();
  readonly #anyQueue = new Ring<Entry>();
  readonly #unowned = new Ring<Entry>();
  readonly #gate = new ShardGate<Member>();
  readonly #owners: ShardOwners;
  #keyed: boolean;
  #stale = 0;

  /** `holderOf` absent: the map over the members says who owns what. */
  constructor(
    how: { readonly keyed: boolean; readonly holderOf?: HolderOf },
    tally: EntryTally,
    holds: KeyHolds,
  ) {
    this.#owners = new ShardOwners(this.#members, how.holderOf);
    this.#keyed = how.keyed;
    this.#tally = tally;
    this.#holds = holds;
  }

  get keyed(): boolean {
    return this.#keyed;
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#members;
  }

  get owners(): ShardOwners {
    return this.#owners;
  }

  hasOwner(entry: Entry): boolean {
    return this.#keyed && entry.keyHash >= 0;
  }

  // --- members -------------------------------------------------------------------------------

  join(id: string, hash: number, weight: number): Member {
    const known = this.#members.get(id);
    if (known !== undefined && known.weight === weight && !known.draining) return known;
    const member = known ?? newMember(id, hash, weight);
    member.weight = weight;
    member.draining = false;
    this.#members.set(id, member);
    this.#owners.joined();
    this.replaceAll([]);
    return member;
  }

  open(member: Member): Opening {
    const again = member.opening?.end() ?? [];
    for (const entry of again) {
      this.#tally.move(entry, READY);
      entry.pinnedTo = member.id; // and stays counted at the gate
    }
    if (member.mourned) {
      this.#takeReady(member.queue, again); // nothing of it runs in the new life
      for (const entry of again.slice()) this.#unpin(entry, again);
    }
    if (again.length > 0) this.replaceAll(again);
    member.lost = false;
    member.mourned = false;
    member.opening = new Opening();
    return member.opening;
  }

  leave(member: Member): void {
    if (this.#members.get(member.id) !== member) return;
    const displaced: Entry[] = [];
    this.#takeReady(member.queue, displaced);
    for (const entry of displaced.slice()) this.#unpin(entry, displaced);
    for (const entry of member.opening?.end() ?? []) {
      this.#tally.move(entry, READY);
      displaced.push(entry);
      if (this.hasOwner(entry)) append(displaced, this.#gate.ended(entry));
    }
    member.opening = undefined;
    this.#members.delete(member.id);
    this.#owners.left(member);
    this.replaceAll(displaced);
  }

  drain(member: Member): void {
    if (member.draining) return;
    member.draining = true;
    this.#owners.left(member);
    this.replaceAll([]);
  }

  /** Tokens of these shards may be with others than before. */
  holdersChanged(shards: readonly number[]): void {
    if (this.#owners.holdersChanged(shards)) this.replaceAll([]);
  }

  /** False, and nothing changed, when two members have messages of one shard in flight. */
  setKeyed(keyed: boolean): boolean {
    const holders = new Map<number, Member>();
    const counted: { entry: Entry; member: Member }[] = [];
    for (const member of keyed ? this.#members.values() : []) {
      for (const entry of entriesWith(member)) {
        if (entry.keyHash < 0) continue;
        const shard = shardOf(entry.keyHash);
        if ((holders.get(shard) ?? member) !== member) return false;
        holders.set(shard, member);
        counted.push({ entry, member });
      }
    }
    const waiting = this.#gate.drain();
    this.#gate.reset();
    this.#keyed = keyed;
    for (const { entry, member } of counted) this.#gate.sent(entry, member);
    for (const entry of waiting) this.#unowned.push(entry); // taken up again by `replaceAll`
    return true;
  }

  // --- sending -------------------------------------------------------------------------------

  next(member: Member): Entry | undefined {
    const { opening } = member;
    if (opening === undefined || member.lost) return undefined;
    const entry = this.#first(member);
    if (entry === undefined || !opening.canSend(entry.bytes)) return undefined;
    return mayGoBeside(opening, entry) ? entry : undefined;
  }

  sent(member: Member, entry: Entry): boolean {
    const opening = member.opening as Opening;
    if (member.queue.peek() === entry) member.queue.shift();
    else this.#anyQueue.shift();
    opening.sent(entry);
    this.#tally.move(entry, IN_FLIGHT);
    const pinned = entry.pinnedTo !== "";
    entry.pinnedTo = "";
    entry.resume = false;
    if (!this.hasOwner(entry)) return false;
    if (this.#holds.size > 0) this.#holds.sent(entry);
    if (!pinned) this.#gate.sent(entry, member); // a pinned one never left the gate's count
    if (opening.stoppedKeys.size > 0) entry.resume = opening.stoppedKeys.delete(entry.keyHash);
    return entry.resume;
  }

  // --- placing -------------------------------------------------------------------------------

  /** Puts a READY entry behind what waits, or behind the head of its key. */
  place(entry: Entry): void {
    if (entry.pinnedTo !== "") {
      const pinned = this.#members.get(entry.pinnedTo);
      if (pinned !== undefined) {
        pinned.queue.push(entry);
        return;
      }
    }
    if (!this.#keyed || entry.keyHash < 0) {
      this.#anyQueue.push(entry);
      return;
    }
    if (this.#holds.size > 0 && !this.#holds.pass(entry)) return;
    const owner = this.#owners.of(shardOf(entry.keyHash));
    if (owner === undefined) this.#unowned.push(entry);
    else if (this.#gate.admit(entry, owner)) owner.queue.push(entry);
  }

  /** Puts back entries that may be earlier than others of their keys that wait; ended ones drop out. */
  placeAgain(entries: Entry[]): void {
    const before: Entry[] = [];
    const many = entries.length > SCANS_MAX;
    for (const entry of entries.sort(compareEntries)) {
      if (entry.state !== READY) this.#stale--;
      else if (this.#goesBefore(entry, many)) before.push(entry);
      else if (entry.state === READY) this.place(entry);
    }
    if (before.length > 0) this.replaceAll(before);
  }

  /**
   * A key goes on without the message it waited for: not before what is in flight of it is back. What is pinned of it
   * was behind that message at its member, and has not started there.
   */
  shut(keyHash: number): void {
    const isNew = this.#gate.shut(keyHash);
    const opened: Entry[] = [];
    let unpinned = 0;
    for (const { queue } of this.#members.values()) {
      for (let at = 0; at < queue.length; at++) {
        const entry = queue.at(at) as Entry;
        if (entry.keyHash !== keyHash || entry.pinnedTo === "" || entry.state !== READY) continue;
        this.#unpin(entry, opened);
        unpinned++;
      }
    }
    if (isNew || unpinned > 0) this.replaceAll(opened);
  }

  /** Puts back everything that waits, and these READY entries, in order of position. */
  replaceAll(entries: Entry[]): void {
    for (const { queue } of this.#members.values()) this.#takeReady(queue, entries);
    this.#takeReady(this.#anyQueue, entries);
    this.#takeReady(this.#unowned, entries);
    append(entries, this.#gate.drain());
    this.#stale = 0;
    entries.sort(compareEntries);
    this.#unpinUnstarted(entries);
    for (const entry of entries) if (entry.state === READY) this.place(entry);
  }

  /**
   * The entry is about to leave READY or IN_FLIGHT (another state changes nothing here).
   * @returns READY entries that waited for that; the caller places them once it has changed the state
   */
  remove(entry: Entry): Entry[] | undefined {
    if (entry.state === READY) {
      this.#stale++; // it stands in a queue until it is met
      if (entry.pinnedTo === "") return undefined;
    } else if (entry.state !== IN_FLIGHT) return undefined;
    entry.pinnedTo = "";
    return this.hasOwner(entry) ? this.#gate.ended(entry) : undefined;
  }

  /** Drops ended entries from the queues once they outnumber those that wait. */
  sweep(): void {
    if (this.#stale > STALE_MAX && this.#stale > this.#tally.count(READY)) this.replaceAll([]);
  }

  /** Whether something of the entry's shard is in flight. */
  shardInFlight(entry: Entry): boolean {
    return this.#gate.inFlight(entry.keyHash) > 0;
  }

  // --- inside --------------------------------------------------------------------------------

  /** What may be sent first: in order of position, so that neither queue starves the other. */
  #first(member: Member): Entry | undefined {
    const own = this.#peek(member.queue);
    if (member.draining) return own; // only what is pinned stands there
    const free = this.#peek(this.#anyQueue);
    if (own === undefined || free === undefined) return own ?? free;
    return own.pinnedTo !== "" || compareEntries(own, free) < 0 ? own : free;
  }

  /** The first entry of the queue that may be sent; those that may not leave it. */
  #peek(queue: Ring<Entry>): Entry | undefined {
    for (let entry = queue.peek(); entry !== undefined; entry = queue.peek()) {
      if (entry.state !== READY) {
        queue.shift();
        this.#stale--;
        continue;
      }
      if (this.#mayPass(entry)) return entry;
      queue.shift();
      const opened: Entry[] = [];
      this.#unpin(entry, opened);
      this.placeAgain(opened);
    }
    return undefined;
  }

  /** Whether the entry may be sent; otherwise it waits behind the head of its key from now on. */
  #mayPass(entry: Entry): boolean {
    return this.#holds.size === 0 || !this.hasOwner(entry) || this.#holds.pass(entry);
  }

  /** Whether something of the entry's key waits where the entry belongs, and may be later. */
  #goesBefore(entry: Entry, assume: boolean): boolean {
    if (!this.hasOwner(entry) || !this.#mayPass(entry)) return false;
    if (assume) return true;
    const { keyHash } = entry;
    if (this.#gate.holdsBack(keyHash)) return true;
    const queue = this.#owners.of(shardOf(keyHash))?.queue ?? this.#unowned;
    for (let at = 0; at < queue.length; at++) if (queue.at(at)?.keyHash === keyHash) return true;
    return false;
  }

  #takeReady(queue: Ring<Entry>, into: Entry[]): void {
    for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) {
      if (entry.state === READY) into.push(entry);
      else this.#stale--;
    }
  }

  /**
   * A pinned entry has not started at its member when an earlier one of its key is not there any more: that
   * one failed or was returned, and this one's own return was lost. `entries` is in order and all there is
   * to place, the gate's included.
   */
  #unpinUnstarted(entries: readonly Entry[]): void {
    if (!entries.some(({ pinnedTo }) => pinnedTo !== "")) return;
    const keys = new Set<number>();
    for (const entry of entries) {
      if (entry.state !== READY || !this.hasOwner(entry)) continue;
      const isFirst = this.#mayPass(entry) && !keys.has(entry.keyHash);
      if (entry.pinnedTo === "") keys.add(entry.keyHash);
      else if (!isFirst) this.#unpin(entry, []);
    }
  }

  /** It no longer belongs to the member that had it; what waited for that joins `opened`. */
  #unpin(entry: Entry, opened: Entry[]): void {
    if (entry.pinnedTo === "") return;
    entry.pinnedTo = "";
    if (this.hasOwner(entry)) append(opened, this.#gate.ended(entry));
  }
}

const append = (entries: Entry[], more: readonly Entry[] | undefined): void => {
  if (more !== undefined) for (const entry of more) entries.push(entry);
};
