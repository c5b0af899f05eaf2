/**
 * The tokens of every subscription this node knows, and its lease.
 *
 * Bound: a table for each subscription known as a producer (`subscriptionsMax`) or declared here; what peers
 * say of others is counted and dropped.
 */
import { Lease } from "../../core/lease.ts";
import type { HoldFrame } from "../../wire/hold.ts";
import type { Environment } from "../environment.ts";
import type { Committer } from "../journal/committer.ts";
import type { Journal } from "../journal/journal.ts";
import type { RowReader } from "../journal/pending-rows.ts";
import type { Link } from "../link/link.ts";
import { type MemberOptions, MemberShards, type ShardWork } from "./member-shards.ts";
import type { TokensHost } from "./own-part.ts";
import { PingTimes } from "./ping-times.ts";
import { SubscriptionTokens } from "./subscription-tokens.ts";

export class Ownerships implements TokensHost {
  readonly env: Environment;
  readonly committer: Committer;
  readonly store: RowReader;
  readonly selfId: string;
  readonly #lease: Lease;
  readonly #answeredSentMs: () => number;
  /** When this event loop was last seen to turn, and when it was last seen to have stood still for a lease. */
  #turnedMs: number;
  #stoodMs = Number.NEGATIVE_INFINITY;
  /** Somebody was told that the lease has run out, and waits for the next answer. */
  #lapsed = false;
  readonly #links = new Map<string, Link>();
  readonly #tokens = new Map<string, SubscriptionTokens>();
  readonly #pings = new Map<Link, PingTimes>();
  #metSinceMs: number | undefined;

  /** `answeredSentMs`: when the newest heartbeat left that was answered without this event loop. */
  constructor(env: Environment, journal: Journal, answeredSentMs: () => number) {
    this.#answeredSentMs = answeredSentMs;
    this.#turnedMs = env.clock.monotonicMs();
    this.env = env;
    this.committer = journal.committer;
    this.store = journal;
    this.selfId = journal.nodeId;
    this.#lease = new Lease(env.times.leaseMs);
  }

  /** The subscription's tokens; from now on they are kept. */
  of(id: string): SubscriptionTokens {
    let tokens = this.#tokens.get(id);
    if (tokens === undefined) {
      tokens = new SubscriptionTokens(id, this);
      this.#tokens.set(id, tokens);
    }
    return tokens;
  }

  get(id: string): SubscriptionTokens | undefined {
    return this.#tokens.get(id);
  }

  /** The subscription has ended at this producer. */
  forget(id: string): void {
    const tokens = this.#tokens.get(id);
    if (tokens === undefined) return;
    tokens.onHolders = () => {};
    if (tokens.own !== undefined) return;
    tokens.end(true);
    this.#tokens.delete(id);
  }

  /** This node is a member no longer; its declaration was taken back. */
  exit(id: string): void {
    this.#tokens.get(id)?.exit();
  }

  /** This node is a member; its declaration has been sent. What it knows goes to every peer. */
  enter(id: string, work: ShardWork, options: MemberOptions): MemberShards {
    const tokens = this.of(id);
    const { self } = options;
    const own = new MemberShards(tokens, this, work, options);
    tokens.joined(self.id, self.hash, self.weight);
    tokens.enter(own);
    for (const link of this.links()) tokens.tellAll(link);
    return own;
  }

  stop(): void {
    for (const tokens of this.#tokens.values()) tokens.end(false);
  }

  // --- links ---------------------------------------------------------------------------------

  /** After the declarations were sent over it. */
  linkUp(link: Link): void {
    const { nodeId } = link.peer;
    if (nodeId === this.selfId) return;
    this.#links.set(nodeId, link);
    this.#pings.set(link, this.#pings.get(link) ?? new PingTimes());
    this.#metSinceMs ??= this.env.clock.monotonicMs();
    for (const tokens of this.#tokens.values()) {
      if (tokens.own !== undefined) tokens.tellAll(link);
    }
  }

  linkDown(link: Link): void {
    const { nodeId } = link.peer;
    this.#pings.delete(link);
    if (this.#links.get(nodeId) !== link) return;
    this.#links.delete(nodeId);
    if (this.#links.size === 0) this.#metSinceMs = undefined;
    for (const tokens of this.#tokens.values()) {
      tokens.own?.linkDown(link);
      tokens.linkDown(nodeId);
    }
  }

  /** A heartbeat leaves over the link. */
  beat(link: Link): void {
    const now = this.env.clock.monotonicMs();
    this.#pings.get(link)?.sent(now);
    this.#turns(now);
    this.#goOn();
  }

  /** The peer has heard this heartbeat. */
  answered(link: Link, ping: number): void {
    const sentMs = this.#pings.get(link)?.answered(ping);
    if (sentMs === undefined) return;
    this.#lease.answered(sentMs);
    this.#goOn();
  }

  hold(link: Link, frame: HoldFrame): void {
    if (link.peer.nodeId === this.selfId) return;
    const tokens = this.#tokens.get(frame.subscription);
    if (tokens === undefined) this.env.counters.count("ownership.unknownSubscription");
    else tokens.heard(link, frame);
  }

  /** Before the settles of this turn leave. */
  turn(link: Link): void {
    for (const tokens of this.#tokens.values()) tokens.own?.turn(link);
  }

  // --- TokensHost ----------------------------------------------------------------------------

  links(): Iterable<Link> {
    return this.#links.values();
  }

  linkWith(nodeId: string): Link | undefined {
    return this.#links.get(nodeId);
  }

  get metSinceMs(): number | undefined {
    return this.#metSinceMs;
  }

  leaseValid(nowMs: number): boolean {
    if (this.#lease.isValid(nowMs)) return true;
    // The loop stood still, perhaps, and others were answered for it meanwhile. The whole process may have, too,
    // and have been given up: first what came meanwhile is read, which takes less than a heartbeat.
    this.#turns(nowMs);
    const hasRead = nowMs - this.#stoodMs >= this.env.times.heartbeatMs;
    if (hasRead) this.#lease.answered(this.#answeredSentMs());
    if (this.#lease.isValid(nowMs)) return true;
    this.#lapsed = true;
    return false;
  }

  #turns(nowMs: number): void {
    if (nowMs - this.#turnedMs > this.env.times.leaseMs) this.#stoodMs = nowMs;
    this.#turnedMs = nowMs;
  }

  #goOn(): void {
    if (!this.#lapsed || !this.leaseValid(this.env.clock.monotonicMs())) return;
    this.#lapsed = false;
    for (const tokens of this.#tokens.values()) tokens.own?.leaseHeard();
  }
}
