/**
 * Membership: who of the mesh lives, as one node knows it. SWIM with Lifeguard, over links of any transport.
 *
 * Problem: every node must know of every death within seconds, at a cost that does not grow with the mesh, with
 * frames that come late or never, and without taking a slow node for a dead one. Approach: each node probes one
 * neighbour at a time (`Prober`), believes the later of two claims (`Beliefs`), passes news on with every
 * message, and compares its table with a neighbour's now and then (`Exchange`). It calls one of the dead
 * regularly, so that a partition heals from both sides. One that stood still itself first hears what it missed.
 *
 * Use: call what happens (`met`, `heard`, `receive`...), and `advance` when `dueMs` has come; each returns what
 * to do, in order. A message goes over the link with that member, which is dialled if there is none; a message
 * that cannot be sent is dropped. Time is an argument and never falls; `random` is given.
 *
 * Invariants: no call sends more than a bounded number of messages; a message has at most `NEWS_MAX` claims, or
 * `ROWS_MAX` rows; everything kept is bounded by `membersMax` and the limits of the parts.
 * Sources: SWIM (DSN 2002), Lifeguard (2017), memberlist for what neither says; the files name the sections.
 */
import { Beliefs, provenAlive } from "./beliefs.ts";
import type { Claim, SwimState } from "./claim.ts";
import { Exchange, ROWS_MAX } from "./exchange.ts";
import { LocalHealth } from "./local-health.ts";
import { MemberNames } from "./member-names.ts";
import { ProbeOrder, pickSome } from "./probe-order.ts";
import { Prober } from "./prober.ts";
import { type SwimMessage, swimMessage } from "./swim-message.ts";
import { NEWS_MAX, type SwimEffect, SwimOutbox } from "./swim-outbox.ts";
import type { SwimTimes } from "./swim-times.ts";

/** Members, the dead included, that one node keeps. */
export const MEMBERS_MAX = 16_384;

export type SwimOptions = {
  readonly id: string;
  readonly epoch: number;
  readonly times: SwimTimes;
  /** Draws from 0 up to 1. */
  readonly random: () => number;
  /** Shared by several nodes in one process; default: its own. */
  readonly names?: MemberNames;
  readonly membersMax?: number;
};

export class Swim {
  readonly #id: string;
  readonly #times: SwimTimes;
  readonly #random: () => number;
  readonly #names: MemberNames;
  readonly #health = new LocalHealth();
  readonly #beliefs: Beliefs;
  readonly #exchange: Exchange;
  readonly #prober: Prober;
  readonly #order: ProbeOrder;
  #orderVersion = 0;
  readonly #out: SwimOutbox;
  #nowMs: number;
  #probeMs: number;
  #gossipMs: number;
  #exchangeMs: number;
  #reachMs: number;
  #refused = 0;
  #isAnnounced = false;

  constructor(options: SwimOptions, nowMs: number) {
    const { id, epoch, times, random, membersMax = MEMBERS_MAX } = options;
    this.#id = id;
    this.#times = times;
    this.#random = random;
    this.#names = options.names ?? new MemberNames();
    this.#order = new ProbeOrder(random);
    this.#beliefs = new Beliefs({ id, epoch, membersMax }, this.#names, times, this.#health, {
      changed: (member, state) => this.#changed(member, state),
      suspected: (member) => this.#out.send("ping", member), // its answer brings the refutation
      forgotten: (gone) => this.#out.push({ type: "forgotten", id: gone }),
      outlived: (epoch, state) => this.#out.push({ type: "outlived", epoch, state }),
    });
    this.#out = new SwimOutbox(this.#names, this.#beliefs);
    this.#exchange = new Exchange(this.#names, this.#beliefs.table);
    this.#prober = new Prober(times, this.#health, {
      ping: (member, number) => this.#out.send("ping", member, { number }),
      askHelpers: (member, number) => this.#askHelpers(member, number),
      answerFor: (asker, kind, number) => this.#out.reply(kind, asker, { number }),
      unreachable: (member) => this.#beliefs.accuse(member, this.#nowMs),
    });
    this.#nowMs = nowMs;
    // Nodes that start together do not speak together.
    this.#probeMs = nowMs + random() * times.probeMs;
    this.#gossipMs = nowMs + random() * times.gossipMs;
    this.#exchangeMs = nowMs + random() * times.exchangeMs;
    this.#reachMs = nowMs + random() * times.reachMs;
  }

  /** Members that are alive, stalled or suspect, this one included. */
  get live(): number {
    return this.#beliefs.table.live;
  }

  /** Lifeguard's score: 0 is well. */
  get healthScore(): number {
    return this.#health.score;
  }

  /** Claims that were out of bounds or had no room. */
  get refused(): number {
    return this.#refused;
  }

  /** Whom this node keeps links with. */
  neighbours(): string[] {
    return this.#beliefs.neighbours.list.map((member) => this.#names.id(member));
  }

  /** Whether `heard` would be an answer to something: who is told of every frame need not be, otherwise. */
  get isAsking(): boolean {
    return this.#prober.isBusy;
  }

  /** The latest claims about all other members. */
  *others(): IterableIterator<Claim> {
    const { table, me } = this.#beliefs;
    for (let member = 0; member < table.span; member++) {
      if (member !== me && table.has(member)) yield table.claim(member);
    }
  }

  /** undefined: not known. */
  stateOf(id: string): SwimState | undefined {
    const member = this.#beliefs.find(id);
    return member < 0 ? undefined : this.#beliefs.table.state(member);
  }

  /** The latest claim about a member, this one included. */
  claimOf(id: string): Claim | undefined {
    const member = this.#beliefs.find(id);
    return member < 0 ? undefined : this.#beliefs.table.claim(member);
  }

  /** When `advance` is to be called, if nothing happens before. */
  get dueMs(): number {
    const { queue, tombs, nextMs } = this.#beliefs;
    let due = Math.min(this.#probeMs, this.#exchangeMs, nextMs, this.#prober.nextMs);
    if (queue.size > 0) due = Math.min(due, this.#gossipMs);
    if (tombs.size > 0) due = Math.min(due, this.#reachMs);
    return due;
  }

  // --- what happens --------------------------------------------------------------------------

  /**
   * A session with this life of a member is up: both tables are compared. `incarnation` is what an earlier life of
   * this node knew of it: an accusation that it has refuted by then is worth nothing.
   */
  met(id: string, epoch: number, nowMs: number, incarnation = 0): SwimEffect[] {
    this.#enter(nowMs);
    if (!this.#isAnnounced) this.#beliefs.announce();
    this.#isAnnounced = true;
    this.#hear(provenAlive(id, epoch, incarnation), nowMs);
    const member = this.#beliefs.find(id);
    if (member >= 0) this.#compare(member);
    return this.#out.take();
  }

  /** What is known from an earlier life or an introduction. Nothing is sent or reported. */
  learn(claims: readonly Claim[]): void {
    this.#refused += this.#beliefs.learn(claims);
  }

  /** Anything came from a member: it lives. */
  heard(id: string, nowMs: number): SwimEffect[] {
    this.#enter(nowMs);
    const member = this.#beliefs.find(id);
    if (member >= 0) this.#prober.heard(member);
    return this.#out.take();
  }

  /** A link broke: the member is probed at once. */
  linkLost(id: string, nowMs: number): SwimEffect[] {
    this.#enter(nowMs);
    const member = this.#beliefs.find(id);
    if (member >= 0 && this.#beliefs.table.isLive(member)) this.#prober.start(member, nowMs);
    return this.#out.take();
  }

  /** The member's process answers although its event loop is blocked. */
  pulse(id: string, nowMs: number): SwimEffect[] {
    this.#enter(nowMs);
    const member = this.#beliefs.find(id);
    if (member >= 0) this.#beliefs.pulse(member, nowMs);
    return this.#out.take();
  }

  receive(from: string, message: SwimMessage, nowMs: number): SwimEffect[] {
    this.#enter(nowMs);
    const sender = this.#beliefs.find(from);
    const wasGone = sender >= 0 && !this.#beliefs.table.isLive(sender);
    if (sender >= 0) this.#prober.heard(sender);
    this.#read(from, message, nowMs);
    this.#answer(from, message, nowMs);
    // It is back, and was told so by itself: a partition has healed, and there is much to tell.
    if (wasGone && this.#beliefs.table.isLive(sender)) this.#compare(sender);
    return this.#out.take();
  }

  /** This node goes on under a higher epoch: it jumped above another life of itself. */
  rise(epoch: number, nowMs: number): SwimEffect[] {
    this.#enter(nowMs);
    this.#beliefs.rise(epoch);
    return this.#out.take();
  }

  /** Says goodbye to a few, who pass it on. */
  leave(nowMs: number): SwimEffect[] {
    this.#enter(nowMs);
    this.#beliefs.leave();
    this.#gossip(this.#beliefs.queue.sendsMax(this.live));
    return this.#out.take();
  }

  /** Time has passed. */
  advance(nowMs: number): SwimEffect[] {
    this.#enter(nowMs);
    this.#beliefs.expire(nowMs);
    this.#prober.advance(nowMs);
    if (nowMs >= this.#probeMs) {
      this.#probeMs = nowMs + this.#times.probeMs * this.#health.multiplier;
      this.#probeNext(nowMs);
    }
    if (nowMs >= this.#gossipMs) {
      this.#gossipMs = nowMs + this.#times.gossipMs;
      this.#gossip(this.#times.gossipFanout);
    }
    if (nowMs >= this.#exchangeMs) {
      this.#exchangeMs = nowMs + this.#times.exchangeMs;
      for (const member of this.#someNeighbours(1)) this.#compare(member);
    }
    if (nowMs >= this.#reachMs) {
      this.#reachMs = nowMs + this.#times.reachMs;
      this.#callDead();
    }
    return this.#out.take();
  }

  // --- inside --------------------------------------------------------------------------------

  #hear(claim: Claim, nowMs: number): void {
    if (!this.#beliefs.hear(claim, "news", nowMs)) this.#refused++;
  }

  #read(from: string, message: SwimMessage, nowMs: number): void {
    const isTable = message.kind === "rows";
    const claims = message.claims.slice(0, isTable ? ROWS_MAX : NEWS_MAX + 1);
    for (const claim of claims) {
      const told = isTable ? { ...claim, accuser: from } : claim;
      if (!this.#beliefs.hear(told, isTable ? "row" : "news", nowMs)) this.#refused++;
    }
  }

  #answer(from: string, message: SwimMessage, nowMs: number): void {
    const { kind, number, buckets } = message;
    if (kind === "ping") this.#out.reply("ack", from, { number });
    else if (kind === "ack") this.#prober.acked(number);
    else if (kind === "nack") this.#prober.nacked(number);
    else if (kind === "relay") {
      const target = this.#beliefs.find(message.target);
      if (target >= 0 && message.target !== this.#id) {
        this.#prober.help(from, number, target, nowMs);
      }
    } else if (kind === "digest") {
      const wanted = this.#exchange.differing(message);
      if (wanted.length > 0) this.#sendRows(from, buckets, wanted, wanted);
    } else if (kind === "rows" && message.wanted.length > 0) {
      this.#sendRows(from, buckets, message.wanted, []);
    }
    const sender = this.#beliefs.find(from);
    // Whoever speaks lives; if this node has it otherwise, its refutation is needed.
    const isAnswered = kind === "ping" || kind === "ack";
    if (sender >= 0 && !isAnswered && this.#beliefs.isNotAlive(sender)) {
      this.#out.send("news", sender);
    }
  }

  #changed(member: number, state: SwimState): void {
    if (state === "dead" || state === "left") this.#prober.drop(member);
    this.#out.push({ type: "state", id: this.#names.id(member), state });
  }

  #probeNext(nowMs: number): void {
    const { neighbours } = this.#beliefs;
    if (this.#orderVersion !== neighbours.version) {
      this.#orderVersion = neighbours.version;
      this.#order.changed(neighbours.list);
    }
    const member = this.#order.next();
    if (member >= 0) this.#prober.start(member, nowMs);
  }

  #askHelpers(member: number, number: number): number {
    const target = this.#names.id(member);
    const { list } = this.#beliefs.neighbours;
    const helpers = pickSome(list, this.#times.helpers, member, this.#random);
    for (const helper of helpers) this.#out.send("relay", helper, { number, target });
    return helpers.length;
  }

  #gossip(fanout: number): void {
    if (this.#beliefs.queue.size === 0) return;
    for (const member of this.#someNeighbours(fanout)) this.#out.send("news", member);
  }

  /** One of the dead is asked whether it is: a partition heals like that. */
  #callDead(): void {
    const { tombs, table } = this.#beliefs;
    if (tombs.size === 0) return;
    const dead = [...tombs.members()].filter((member) => table.state(member) === "dead");
    const member = dead[Math.floor(this.#random() * dead.length)];
    if (member !== undefined) this.#out.send("ping", member);
  }

  #someNeighbours(count: number): number[] {
    return pickSome(this.#beliefs.neighbours.list, count, -1, this.#random);
  }

  #compare(member: number): void {
    this.#out.send("digest", member, this.#exchange.digest());
  }

  #sendRows(to: string, buckets: number, of: readonly number[], wanted: readonly number[]): void {
    const from = Math.floor(this.#random() * this.#beliefs.table.span);
    const rows = this.#exchange.rows(buckets, of, from);
    this.#out.sendRows(to, swimMessage("rows", { buckets, wanted }, rows));
  }

  /** Begins every call: whoever comes late by more than an answer may take stood still meanwhile. */
  #enter(nowMs: number): void {
    const { probeMs, timeoutMs } = this.#times;
    const sinceLastMs = nowMs - this.#nowMs;
    this.#nowMs = nowMs;
    if (sinceLastMs <= timeoutMs || nowMs - this.dueMs <= timeoutMs) return;
    this.#health.failed();
    this.#prober.stoodStill(nowMs);
    this.#beliefs.stoodStill(nowMs + probeMs + timeoutMs);
  }
}
