/**
 * What this node believes of every member, and how that changes.
 *
 * Problem: claims arrive by gossip, by the exchange of tables and from this node's own probes, and each way
 * deserves another trust. Approach: the later claim holds. A suspicion has a timer; a death that is only read in
 * somebody's table is no more than a suspicion here, since the news of it and of its refutation may both be old,
 * as they are when a partition heals. A claim that this node itself is anything but alive is refuted by a higher
 * incarnation. A member whose blocked process is heard is vouched for: it is stalled, whoever suspects it.
 *
 * Invariants: `tombs` are the dead and left of the table; each suspect of the table has a suspicion and nobody
 * else has; the table's claim of this node itself is alive, or left.
 * Bounds: `membersMax` members; unknown ones past it are refused. The dead give way to newcomers.
 * Source: SWIM, section 4.2; Lifeguard, section IV.
 */
import {
  type Claim,
  INCARNATION_MAX,
  incarnationOf,
  isLive,
  isSound,
  packWord,
  type SwimState,
  stateOf,
  VOUCH_MAX,
  withState,
  wordOf,
} from "./claim.ts";
import { GossipQueue } from "./gossip-queue.ts";
import type { LocalHealth } from "./local-health.ts";
import type { MemberNames } from "./member-names.ts";
import { MemberTable } from "./member-table.ts";
import { Neighbours } from "./neighbours.ts";
import { Suspicion, suspicionSpan } from "./suspicion.ts";
import type { SwimTimes } from "./swim-times.ts";
import { Tombstones } from "./tombstones.ts";

/** A suspect is told once more so many time-outs before it counts as dead. */
const LAST_CALL_TIMEOUTS = 2;

export type BeliefEvents = {
  /** Another state of a member, this node not among them. */
  changed(member: number, state: SwimState): void;
  /** This node accuses the member, doubts its life for what it read, or is about to give it up: tell it. */
  suspected(member: number): void;
  forgotten(id: string): void;
  /** Somebody knows a later life of this node: a copied or restored folder. */
  outlived(epoch: number, state: SwimState): void;
};

/** "news": meant for everybody. "row": read in a peer's table. */
export type HeardAs = "news" | "row";

export class Beliefs {
  readonly me: number;
  readonly table: MemberTable;
  readonly neighbours: Neighbours;
  readonly queue: GossipQueue;
  readonly tombs: Tombstones;
  readonly #id: string;
  readonly #names: MemberNames;
  readonly #times: SwimTimes;
  readonly #health: LocalHealth;
  readonly #events: BeliefEvents;
  readonly #suspicions = new Map<number, Suspicion>();
  /** When blocked members' processes were heard last. */
  readonly #pulses = new Map<number, number>();
  #nextEndMs = Number.POSITIVE_INFINITY;

  constructor(
    self: { readonly id: string; readonly epoch: number; readonly membersMax: number },
    names: MemberNames,
    times: SwimTimes,
    health: LocalHealth,
    events: BeliefEvents,
  ) {
    this.#id = self.id;
    this.#names = names;
    this.#times = times;
    this.#health = health;
    this.#events = events;
    this.table = new MemberTable(names, self.membersMax);
    this.me = this.table.add(self.id, self.epoch, packWord(0, 0, "alive"));
    this.neighbours = new Neighbours(names, this.table, this.me);
    this.queue = new GossipQueue(times.spreadMult);
    this.tombs = new Tombstones(times.tombstoneMs, self.membersMax);
  }

  /** When `expire` has something to do. */
  get nextMs(): number {
    return Math.min(this.#nextEndMs, this.tombs.nextMs);
  }

  /** The number of a member that is in the table; -1: it is not. */
  find(id: string): number {
    const number = this.#names.find(id);
    return number >= 0 && this.table.has(number) ? number : -1;
  }

  isNotAlive(member: number): boolean {
    return this.table.state(member) !== "alive";
  }

  // --- what is heard -------------------------------------------------------------------------

  /** Takes what somebody says. False when it is out of bounds or has no room. */
  hear(claim: Claim, as: HeardAs, nowMs: number): boolean {
    if (!isSound(claim)) return false;
    if (claim.id === this.#id) {
      this.#hearOfSelf(claim);
      return true;
    }
    const member = this.find(claim.id);
    if (member < 0) return this.#meet(claim, as, nowMs);
    if (this.table.isLater(member, claim.epoch, wordOf(claim))) {
      const witnessed = isDoubt(claim.state) ? this.#witnessed(member, claim, nowMs) : undefined;
      if (witnessed === undefined) this.#turn(member, claim, as, nowMs);
      else this.#turn(member, witnessed, "news", nowMs);
    } else if (claim.state === "suspect") this.#confirm(member, claim);
    return true;
  }

  /** Lets everybody know of this node. */
  announce(): void {
    this.#spread(this.me);
  }

  /** Takes in members that are said to live and not known yet. How many had no room or were out of bounds. */
  learn(claims: readonly Claim[]): number {
    let refused = 0;
    for (const claim of claims) {
      if (this.find(claim.id) >= 0 || !isLive(claim.state)) continue;
      if (!isSound(claim)) refused++;
      else if (this.table.add(claim.id, claim.epoch, packWord(claim.incarnation, 0, "alive")) < 0) {
        refused++;
      }
    }
    this.neighbours.rebuild();
    return refused;
  }

  /** This node cannot reach the member. */
  accuse(member: number, nowMs: number): void {
    const claim = this.table.claim(member, this.#id);
    if (claim.state === "suspect") this.#confirm(member, claim);
    if (claim.state !== "alive" && claim.state !== "stalled") return;
    // One that is stalled already fails every probe: vouching each time would use up its vouches.
    const witnessed = this.#witnessed(member, claim, nowMs);
    this.hear(witnessed ?? { ...claim, state: "suspect" }, "news", nowMs);
  }

  /** The member's process answers, and its event loop does not turn. It is stalled as soon as anybody doubts it. */
  pulse(member: number, nowMs: number): void {
    this.#pulses.set(member, nowMs);
    const claim = this.table.claim(member);
    const witnessed = isDoubt(claim.state) ? this.#witnessed(member, claim, nowMs) : undefined;
    if (witnessed !== undefined) this.hear(witnessed, "news", nowMs);
  }

  /** This node has another, higher epoch now. */
  rise(epoch: number): void {
    if (epoch <= this.table.epoch(this.me)) return;
    this.table.put(this.me, epoch, packWord(0, 0, "alive"));
    this.#spread(this.me);
  }

  /** Says goodbye: nothing that was said of this life before can come after it. */
  leave(): void {
    const incarnation = Math.min(incarnationOf(this.table.word(this.me)) + 1, INCARNATION_MAX);
    this.table.put(this.me, this.table.epoch(this.me), packWord(incarnation, 0, "left"));
    this.#spread(this.me);
  }

  // --- what time does ------------------------------------------------------------------------

  /** Ends suspicions and tombstones that are due. */
  expire(nowMs: number): void {
    if (nowMs >= this.#nextEndMs) {
      this.#nextEndMs = Number.POSITIVE_INFINITY;
      for (const [member, suspicion] of this.#suspicions) {
        if (suspicion.endMs <= nowMs) this.#die(member, nowMs);
        else if (suspicion.isLastCall(nowMs) && this.neighbours.list.includes(member)) {
          this.#events.suspected(member);
        }
        this.#nextEndMs = Math.min(this.#nextEndMs, suspicion.nextMs);
      }
    }
    for (const member of this.tombs.takeOver(nowMs)) this.#forget(member);
  }

  /** This node stood still: whoever refuted meanwhile is heard first. */
  stoodStill(untilMs: number): void {
    for (const suspicion of this.#suspicions.values()) suspicion.notBefore(untilMs);
  }

  // --- inside --------------------------------------------------------------------------------

  #hearOfSelf(claim: Claim): void {
    const epoch = this.table.epoch(this.me);
    const word = this.table.word(this.me);
    if (claim.epoch > epoch) this.#events.outlived(claim.epoch, claim.state);
    if (claim.epoch !== epoch || stateOf(word) === "left") return;
    if (wordOf(claim) <= word) {
      // Whoever says it has missed the refutation.
      if (isDoubt(claim.state) && !this.queue.has(this.me)) this.#spread(this.me);
      return;
    }
    if (claim.incarnation >= INCARNATION_MAX) return;
    this.table.put(this.me, epoch, packWord(claim.incarnation + 1, 0, "alive"));
    this.#health.failed();
    this.#spread(this.me);
  }

  /** One that is not in the table. Of the dead in somebody's table nobody needs to hear: they are on their way out. */
  #meet(claim: Claim, as: HeardAs, nowMs: number): boolean {
    const isMember = isLive(claim.state);
    if (!isMember && as === "row") return true;
    const word = wordOf(claim);
    let member = this.table.add(claim.id, claim.epoch, word);
    if (member < 0 && isMember && this.#giveUpTomb()) {
      member = this.table.add(claim.id, claim.epoch, word);
    }
    if (member < 0) return false;
    if (isMember) this.neighbours.added(member);
    this.#settle(member, claim, claim.state, nowMs);
    this.#spread(member, claim.accuser);
    return true;
  }

  /** A later claim about a known member. */
  #turn(member: number, claim: Claim, as: HeardAs, nowMs: number): void {
    const wasLive = this.table.isLive(member);
    const isDoubted = as === "row" && claim.state === "dead" && wasLive;
    const state = isDoubted ? "suspect" : claim.state;
    const word = withState(wordOf(claim), state);
    if (!this.table.isLater(member, claim.epoch, word)) {
      this.#events.suspected(member); // suspected already; it learns of its death in any case
      return;
    }
    this.table.put(member, claim.epoch, word);
    if (isLive(state) && !wasLive) {
      this.tombs.remove(member);
      this.neighbours.added(member);
    } else if (!isLive(state) && wasLive) this.neighbours.removed(member);
    this.#settle(member, claim, state, nowMs);
    if (state === "suspect" && (as === "row" || claim.accuser === this.#id)) {
      this.#events.suspected(member);
    }
    if (as === "news" || !isDoubt(state)) this.#spread(member, claim.accuser);
  }

  /** What follows from the state that the table has now. */
  #settle(member: number, claim: Claim, state: SwimState, nowMs: number): void {
    this.#suspicions.delete(member);
    if (state === "suspect") {
      const span = suspicionSpan(this.#times, this.table.live);
      const lastCallMs = LAST_CALL_TIMEOUTS * this.#times.timeoutMs;
      const suspicion = new Suspicion(span, lastCallMs, claim.accuser, nowMs);
      this.#suspicions.set(member, suspicion);
      this.#nextEndMs = Math.min(this.#nextEndMs, suspicion.nextMs);
    }
    if (!isLive(state)) this.tombs.add(member, nowMs);
    if (state === "alive") this.#pulses.delete(member);
    this.#events.changed(member, state);
  }

  #confirm(member: number, claim: Claim): void {
    const suspicion = this.#suspicions.get(member);
    if (suspicion === undefined || claim.epoch !== this.table.epoch(member)) return;
    if (wordOf(claim) !== this.table.word(member) || !suspicion.confirm(claim.accuser)) return;
    this.#nextEndMs = Math.min(this.#nextEndMs, suspicion.nextMs);
    this.#spread(member, claim.accuser);
  }

  #die(member: number, nowMs: number): void {
    this.hear({ ...this.table.claim(member), state: "dead" }, "news", nowMs);
  }

  /** What to say instead of a claim about a member whose process this node hears. */
  #witnessed(member: number, claim: Claim, nowMs: number): Claim | undefined {
    const heardMs = this.#pulses.get(member);
    if (heardMs === undefined) return undefined;
    if (nowMs - heardMs > this.#times.pulseMs) {
      this.#pulses.delete(member);
      return undefined;
    }
    const vouch = isDoubt(claim.state) ? claim.vouch + 1 : claim.vouch;
    if (claim.state === "left" || vouch > VOUCH_MAX) return undefined;
    return { ...claim, vouch, state: "stalled", accuser: "" };
  }

  #spread(member: number, accuser = ""): void {
    this.queue.put(member, this.table.claim(member, accuser));
  }

  #giveUpTomb(): boolean {
    for (const member of this.tombs.members()) {
      this.tombs.remove(member);
      this.#forget(member);
      return true;
    }
    return false;
  }

  #forget(member: number): void {
    const id = this.#names.id(member);
    this.queue.drop(member);
    this.#pulses.delete(member);
    this.table.remove(member);
    this.#events.forgotten(id);
  }
}

const isDoubt = (state: SwimState): boolean => state === "suspect" || state === "dead";

/** The claim that a session with a life of a member proves. */
export const provenAlive = (id: string, epoch: number, incarnation: number): Claim => ({
  id,
  epoch,
  incarnation,
  vouch: 0,
  state: "alive",
  accuser: "",
});
