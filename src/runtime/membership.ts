/**
 * Who of the mesh lives, as its members tell each other: the membership machine on this node's links and clock.
 *
 * Problem: a node must hear of deaths it cannot see itself, and a host that vanished breaks no link; but what others
 * say may be late, wrong or a lie. Approach: the machine of `core/swim` is told of sessions, frames, lost links and
 * blocked peers, and its messages travel as frames over the links there are. Its verdicts inform: what this node
 * sends, waits for and owns follows its links and leases alone. A link that says nothing, of a peer that the mesh
 * calls dead, is closed sooner than it would be; from there on the lease counts as ever.
 *
 * Invariants: no lease ends sooner because of what is heard here; a link over which something came within a lease
 * stays; a peer that has not said that it takes gossip is sent none.
 * Bounds: `peersMax` x MEMBERS_PER_PEER members; GOSSIP_PER_S messages of a link a second, more are dropped; a node
 * jumps above what others say of its lives once in JUMP_EVERY_MS.
 */

import { LEASES_WAITED } from "../core/stall.ts";
import type { Claim, SwimState } from "../core/swim/claim.ts";
import { MEMBERS_MAX, Swim } from "../core/swim/swim.ts";
import type { SwimMessage } from "../core/swim/swim-message.ts";
import type { SwimEffect } from "../core/swim/swim-outbox.ts";
import { type SwimPreset, swimTimes } from "../core/swim/swim-times.ts";
import type { Timer } from "../ports/clock.ts";
import type { GossipFrame } from "../wire/gossip.ts";
import type { Environment } from "./environment.ts";
import type { Link } from "./link/link.ts";
import type { LinkTable } from "./link/link-table.ts";
import type { Liveness } from "./link/liveness.ts";
import type { Peer } from "./link/peer.ts";

/** Bit of `Identity.features`: this node takes Gossip. */
export const GOSSIP_FEATURE = 1;

const MEMBERS_PER_PEER = 4;
const GOSSIP_PER_S = 512;
const JUMP_EVERY_MS = 600_000;

export interface MembershipHost {
  /** A message for a member waits for a link with it, or one of the dead is called. */
  call(nodeId: string): void;
  /** Others know a life of this node that is over and above this one. */
  outlived(epoch: number): void;
}

export class Membership {
  readonly #env: Environment;
  readonly #selfId: string;
  readonly #links: LinkTable;
  readonly #liveness: Liveness;
  readonly #host: MembershipHost;
  readonly #swim: Swim;
  readonly #heard = new Map<Link, { sinceMs: number; count: number }>();
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  #refused = 0;
  #jumpMs = Number.NEGATIVE_INFINITY;
  /** When links were looked after last, and until when silence may be this process's own. */
  #beatMs: number;
  #readsUntilMs = 0;
  #stopped = false;

  constructor(
    env: Environment,
    self: { readonly nodeId: string; readonly epoch: number },
    { membership: preset }: { readonly membership: SwimPreset },
    links: LinkTable,
    liveness: Liveness,
    host: MembershipHost,
  ) {
    this.#env = env;
    this.#selfId = self.nodeId;
    this.#links = links;
    this.#liveness = liveness;
    this.#host = host;
    this.#beatMs = this.#nowMs();
    const { nodeId: id, epoch } = self;
    const membersMax = Math.min(MEMBERS_MAX, env.limits.peersMax * MEMBERS_PER_PEER);
    const random = (): number => env.random.fraction();
    const times = swimTimes(preset, env.times.heartbeatMs);
    const options = { id, epoch, times, random, membersMax };
    this.#swim = new Swim(options, this.#nowMs());
    this.#arm();
  }

  /** What the mesh says of a member; undefined: nothing. */
  claimOf(nodeId: string): Claim | undefined {
    return this.#swim.claimOf(nodeId);
  }

  /** What the mesh says of all other members. */
  others(): IterableIterator<Claim> {
    return this.#swim.others();
  }

  /** Goodbye, while links are there to carry it. */
  stop(): void {
    if (this.#stopped) return;
    this.#do(this.#swim.leave(this.#nowMs()));
    this.#stopped = true;
    if (this.#timer !== undefined) this.#env.clock.clearTimer(this.#timer);
    this.#timer = undefined;
  }

  // --- what happens --------------------------------------------------------------------------

  /** A session is up; `incarnation` is what an earlier life of this node knew of this life of the peer. */
  up(link: Link, { nodeId, epoch }: Peer, incarnation: number): void {
    if (!this.#speaks(link)) return;
    this.#do(this.#swim.met(nodeId, epoch, this.#nowMs(), incarnation));
  }

  /** The link is gone. One that said goodbye says so to the mesh as well. */
  down(link: Link, { nodeId, state }: Peer): void {
    this.#heard.delete(link);
    if (state !== "left" && this.#speaks(link)) {
      this.#do(this.#swim.linkLost(nodeId, this.#nowMs()));
    }
  }

  /** Anything came over the link. */
  heard(link: Link): void {
    if (this.#swim.isAsking && this.#speaks(link)) {
      this.#do(this.#swim.heard(link.peer.nodeId, this.#nowMs()));
    }
  }

  told(link: Link, frame: GossipFrame): void {
    if (!this.#speaks(link)) return;
    if (this.#isFlood(link)) {
      this.#env.counters.count("membership.flooded");
      return;
    }
    this.#do(this.#swim.receive(link.peer.nodeId, frame, this.#nowMs()));
    const refused = this.#swim.refused - this.#refused;
    if (refused > 0) this.#env.counters.count("membership.refused", refused);
    this.#refused += refused;
  }

  /** A heartbeat of the link: what its silence means. */
  beat(link: Link): void {
    if (link.peer.nodeId === this.#selfId) this.#beatOwn();
    if (!this.#speaks(link)) return;
    const { nodeId, epoch } = link.peer;
    const silentMs = link.silentMs();
    if (this.#liveness.isBlocked(nodeId, silentMs)) {
      this.#do(this.#swim.pulse(nodeId, this.#nowMs()));
      return;
    }
    if (silentMs <= this.#env.times.leaseMs * LEASES_WAITED) return;
    if (this.#nowMs() < this.#readsUntilMs) return;
    const claim = this.#swim.claimOf(nodeId);
    if (claim?.state !== "dead" || claim.epoch < epoch) return;
    this.#env.counters.count("membership.silentLinks");
    link.close("TIMEOUT", "nothing was heard for a lease, and the mesh counts the peer as dead");
  }

  /** This node goes on under a higher epoch. */
  rise(epoch: number): void {
    this.#do(this.#swim.rise(epoch, this.#nowMs()));
  }

  // --- inside --------------------------------------------------------------------------------

  #nowMs(): number {
    return this.#env.clock.monotonicMs();
  }

  /** Whether the peer is another node that takes gossip. */
  #speaks({ peer: { nodeId, features } }: Link): boolean {
    return !this.#stopped && (features & GOSSIP_FEATURE) !== 0 && nodeId !== this.#selfId;
  }

  /** Of the link to itself: whether this process stood still, and whom it vouches for without a link. */
  #beatOwn(): void {
    const { heartbeatMs } = this.#env.times;
    const nowMs = this.#nowMs();
    if (nowMs - this.#beatMs > 2 * heartbeatMs) this.#readsUntilMs = nowMs + heartbeatMs;
    this.#beatMs = nowMs;
    for (const { nodeId, state, link } of this.#links.peers.values()) {
      if (link !== undefined) continue;
      const isLost = state === "lost" && this.#liveness.isBlocked(nodeId, Number.POSITIVE_INFINITY);
      if (state === "stalled" || isLost) this.#do(this.#swim.pulse(nodeId, nowMs));
    }
  }

  #isFlood(link: Link): boolean {
    const nowMs = this.#nowMs();
    const heard = this.#heard.get(link);
    if (heard === undefined || nowMs - heard.sinceMs >= 1_000) {
      this.#heard.set(link, { sinceMs: nowMs, count: 1 });
      return false;
    }
    return ++heard.count > GOSSIP_PER_S;
  }

  #do(effects: readonly SwimEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "send") this.#send(effect.to, effect.message);
      else if (effect.type === "state") this.#changed(effect.id, effect.state);
      else if (effect.type === "outlived") this.#outlived(effect.epoch, effect.state);
    }
    this.#arm();
  }

  #send(to: string, message: SwimMessage): void {
    const link = this.#links.peers.get(to)?.link;
    if (link?.isUp !== true) {
      if (message.kind === "ping") this.#host.call(to);
      return;
    }
    // Whoever reads nothing is asked whether it lives, and told that it is doubted; the rest can wait.
    if (!this.#speaks(link) || (link.congested && message.kind !== "ping")) return;
    link.send({ type: "gossip", session: link.session, ...message });
  }

  /** Of a life that this node met, its link and its lease tell whether it is dead. */
  #changed(nodeId: string, state: SwimState): void {
    const { counters, report } = this.#env;
    if (state === "suspect") counters.count("membership.suspected");
    if (state === "dead") counters.count("membership.died");
    const peer = this.#links.peers.get(nodeId);
    const service = peer?.service ?? "";
    const isMet = peer !== undefined && peer.epoch >= (this.#swim.claimOf(nodeId)?.epoch ?? 0);
    const isOpen = !isMet || peer.state === "lost";
    if (state === "suspect" && isOpen) report({ type: "peer-suspect", nodeId, service });
    if (state === "dead" && !isMet) report({ type: "peer-dead", nodeId, service });
  }

  /** Of a life that goes on, the links say which of the two stays; to jump would make them jump in turn, for ever. */
  #outlived(epoch: number, state: SwimState): void {
    if (state !== "dead" && state !== "left") return;
    const nowMs = this.#nowMs();
    if (nowMs - this.#jumpMs < JUMP_EVERY_MS) return;
    this.#jumpMs = nowMs;
    this.#env.counters.count("membership.outlived");
    this.#host.outlived(epoch);
  }

  #arm(): void {
    if (this.#stopped) return;
    const { dueMs } = this.#swim;
    if (this.#timer !== undefined) {
      if (dueMs >= this.#timerMs) return;
      this.#env.clock.clearTimer(this.#timer);
    }
    this.#timerMs = dueMs;
    const delayMs = Math.max(1, Math.ceil(dueMs - this.#nowMs()));
    this.#timer = this.#env.clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      this.#do(this.#swim.advance(this.#nowMs()));
    });
  }
}
