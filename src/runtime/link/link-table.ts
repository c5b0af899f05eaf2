/**
 * Every peer this node knows, the links with them, and the loop that dials.
 *
 * Problem: peers are heard of in several ways at once, both sides may dial, links break, processes come
 * back with a new epoch, and a copied data folder must be noticed. Approach: one target per thing to dial
 * with its own backoff, tried for ever; at most one link per peer, chosen by `judgeRival`; a peer whose
 * link is gone is "lost" until its lease has run out, then "dead".
 *
 * Bounds: `peersMax` peers and as many targets; more are ignored and counted.
 */
import {
  epochToJump,
  isRejection,
  judgeRival,
  negotiate,
  type Rejection,
} from "../../core/session.ts";
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { PeerHint } from "../../ports/discovery.ts";
import type { Connection, Transport } from "../../ports/transport.ts";
import type { HelloFrame, Identity, WelcomeFrame } from "../../wire/handshake.ts";
import { type Environment, hybridNow } from "../environment.ts";
import { Link, type LinkOwner } from "./link.ts";

export const PROTOCOL_MIN = 1;
export const PROTOCOL_MAX = 1;

export type PeerState = "alive" | "lost" | "dead" | "left";

export type Peer = {
  readonly nodeId: string;
  service: string;
  epoch: number;
  nonce: Uint8Array;
  addresses: readonly string[];
  link: Link | undefined;
  state: PeerState;
  timer: Timer | undefined;
};

type Target = {
  readonly key: string;
  nodeId: string;
  addresses: readonly string[];
  readonly source: string;
  attempts: number;
  timer: Timer | undefined;
  dialing: boolean;
};

/** What the table tells the node's runtime. */
export interface LinkTableEvents {
  /** What this node says of itself. */
  identity(): Omit<Identity, "time">;
  up(link: Link, peer: Peer): void;
  /** The link is gone. `restarted`: a new life of the peer is already known. */
  down(link: Link, peer: Peer, reason: MeshError): void;
  /** The peer's lease has run out, or it came back with a new epoch: what it ran is over. */
  dead(nodeId: string, state: "dead" | "left"): void;
  /** A peer has seen a higher epoch of this node, or another nonce of this one. */
  jumpEpoch(above: number): void;
  /** Remembers the highest epoch seen of a peer, on disk. */
  remember(nodeId: string, epoch: number, nonce: Uint8Array): void;
}

/** The frames of running sessions, handled by the node's runtime. */
export type FrameOwner = Pick<LinkOwner, "frame" | "heartbeat" | "turn" | "drained">;

const DIAL_TIMEOUT_MS = 3_000;
const BACKOFF_MIN_MS = 50;
const BACKOFF_MAX_MS = 5_000;

export class LinkTable implements LinkOwner {
  readonly #env: Environment;
  readonly #events: LinkTableEvents;
  readonly #frames: FrameOwner;
  readonly #transports: readonly Transport[];
  readonly #peers = new Map<string, Peer>();
  readonly #targets = new Map<string, Target>();
  readonly #known = new Map<string, { epoch: number; nonce: Uint8Array }>();
  readonly #links = new Set<Link>();
  #stopped = false;

  constructor(
    env: Environment,
    transports: readonly Transport[],
    events: LinkTableEvents,
    frames: FrameOwner,
  ) {
    this.#env = env;
    this.#transports = transports;
    this.#events = events;
    this.#frames = frames;
  }

  get peers(): ReadonlyMap<string, Peer> {
    return this.#peers;
  }

  /** Peers with a running session, the node itself included. */
  *live(): IterableIterator<Peer & { link: Link }> {
    for (const peer of this.#peers.values()) {
      if (peer.link?.isUp) yield peer as Peer & { link: Link };
    }
  }

  /** True while no dial to a known target is under way that never got an answer. */
  get settled(): boolean {
    for (const target of this.#targets.values()) {
      if (target.attempts === 0 && !this.#isLinked(target)) return false;
    }
    return true;
  }

  /** Restores what earlier lives of this node saw of a peer. */
  restore(nodeId: string, epoch: number, nonce: Uint8Array): void {
    if (this.#known.size < this.#env.limits.peersMax * 4) this.#known.set(nodeId, { epoch, nonce });
  }

  /** The node's own link to itself. */
  addLocal(link: Link, identity: Identity): void {
    this.#peers.set(identity.nodeId, newPeer(identity, link));
    this.#links.add(link);
    link.startLocal(identity);
  }

  /** An incoming connection. */
  accept(connection: Connection): void {
    if (this.#stopped || this.#links.size >= this.#env.limits.peersMax * 2) {
      this.#env.counters.count("link.tooMany");
      connection.open({ frame: () => {}, drained: () => {}, closed: () => {} });
      connection.close();
      return;
    }
    this.#start(connection, { dialled: false, target: "", address: connection.remote });
  }

  /** A discovery heard of a peer. */
  found(hint: PeerHint): void {
    if (this.#stopped || hint.nodeId === this.#events.identity().nodeId) return;
    const nodeId = hint.nodeId ?? "";
    const key = nodeId === "" ? hint.addresses.join(",") : nodeId;
    let target = this.#targets.get(key);
    if (target === undefined) {
      if (this.#targets.size >= this.#env.limits.peersMax) {
        this.#env.counters.count("discovery.tooManyPeers");
        return;
      }
      target = {
        key,
        nodeId,
        addresses: hint.addresses,
        source: hint.source,
        attempts: 0,
        timer: undefined,
        dialing: false,
      };
      this.#targets.set(key, target);
      this.#dialSoon(target, 0);
      return;
    }
    if (target.addresses.join() === hint.addresses.join()) return;
    target.addresses = hint.addresses; // the peer moved: the old addresses are worth nothing
    target.attempts = 0;
    this.#dialSoon(target, 0);
  }

  /** A discovery says the peer is gone. Only dialling stops; the link decides what is alive. */
  forgotten(nodeId: string): void {
    const target = this.#targets.get(nodeId);
    if (target === undefined || this.#isLinked(target)) return;
    this.#stopTimer(target);
    this.#targets.delete(nodeId);
  }

  stop(code: string, message: string): void {
    this.#stopped = true;
    for (const target of this.#targets.values()) this.#stopTimer(target);
    this.#targets.clear();
    for (const link of [...this.#links]) link.close(code, message);
    for (const peer of this.#peers.values()) this.#stopTimer(peer);
  }

  // --- LinkOwner -----------------------------------------------------------------------------

  hello(link: Link): HelloFrame {
    const known = this.#known.get(link.target);
    return {
      type: "hello",
      session: 0,
      identity: this.#identity(),
      targetNodeId: link.target,
      knownEpoch: known?.epoch ?? 0,
      knownNonce: known?.nonce ?? new Uint8Array(0),
    };
  }

  greet(link: Link, hello: HelloFrame): WelcomeFrame | Rejection {
    const verdict = this.#judge(link, hello, hello.targetNodeId);
    if (isRejection(verdict)) return verdict;
    const peerId = hello.identity.nodeId;
    if (this.#events.identity().nodeId < peerId && this.#isDialing(peerId)) {
      return { code: "ALREADY_LINKED", message: "this node is dialling you" };
    }
    const known = this.#known.get(peerId);
    return {
      type: "welcome",
      session: newSession(this.#env.random.bytes(4)),
      identity: this.#identity(),
      protocol: verdict.protocol,
      knownEpoch: known?.epoch ?? 0,
      knownNonce: known?.nonce ?? new Uint8Array(0),
    };
  }

  welcomed(link: Link, welcome: WelcomeFrame): Rejection | undefined {
    const verdict = this.#judge(link, welcome, "");
    if (isRejection(verdict)) return verdict;
    if (link.target !== "" && link.target !== welcome.identity.nodeId) {
      return {
        code: "WRONG_TARGET",
        message: `dialled ${link.target}, met ${welcome.identity.nodeId}`,
      };
    }
    return undefined;
  }

  up(link: Link): void {
    const identity = link.peer;
    const local = identity.nodeId === this.#events.identity().nodeId;
    let peer = this.#peers.get(identity.nodeId);
    if (peer === undefined) {
      peer = newPeer(identity, link);
      this.#peers.set(identity.nodeId, peer);
    } else if (!local) {
      this.#replaceLife(peer, link);
    }
    const known = this.#known.get(identity.nodeId);
    if (!local && (known === undefined || known.epoch !== identity.epoch)) {
      this.#known.set(identity.nodeId, { epoch: identity.epoch, nonce: identity.nonce });
      this.#events.remember(identity.nodeId, identity.epoch, identity.nonce);
    }
    this.#events.up(link, peer);
    if (!local) this.#report("peer-up", peer, "");
  }

  frame(...args: Parameters<FrameOwner["frame"]>): void {
    this.#frames.frame(...args);
  }

  heartbeat(link: Link): ReturnType<FrameOwner["heartbeat"]> {
    return this.#frames.heartbeat(link);
  }

  turn(link: Link): void {
    this.#frames.turn(link);
  }

  drained(link: Link): void {
    this.#frames.drained(link);
  }

  closed(link: Link, reason: MeshError): void {
    this.#links.delete(link);
    const peer = link.greeted ? this.#peers.get(link.peer.nodeId) : undefined;
    if (peer?.link === link) {
      const left = reason.details.code === "STOPPED";
      peer.link = undefined;
      peer.state = left ? "left" : "lost";
      this.#events.down(link, peer, reason);
      this.#report("peer-down", peer, reason.message);
      if (left) this.#events.dead(peer.nodeId, "left");
      else if (!this.#stopped) this.#armDeath(peer);
    } else {
      this.#noteRefusal(link, reason);
    }
    if (!this.#stopped) this.#redial(link);
  }

  // --- inside --------------------------------------------------------------------------------

  #identity(): Identity {
    return { ...this.#events.identity(), time: hybridNow(this.#env) };
  }

  #judge(
    link: Link,
    frame: HelloFrame | WelcomeFrame,
    target: string,
  ): { protocol: number } | Rejection {
    const local = this.#events.identity();
    const remote = frame.identity;
    const verdict = negotiate(local, remote, target);
    if (isRejection(verdict)) return verdict;
    const jump = epochToJump(local, { epoch: frame.knownEpoch, nonce: frame.knownNonce });
    if (jump !== undefined) this.#events.jumpEpoch(jump);
    const existing = this.#peers.get(remote.nodeId)?.link;
    if (existing?.isUp) {
      const rival = { ...existing.peer, dialled: existing.dialled };
      const judgement = judgeRival(local.nodeId, remote.nodeId, rival, {
        ...remote,
        dialled: link.dialled,
      });
      if (judgement === "keep") return { code: "ALREADY_LINKED", message: "a link is up" };
      if (judgement === "duplicate") {
        return {
          code: "DUPLICATE_NODE",
          message: `two processes run as node ${remote.nodeId}; the later is refused`,
        };
      }
    }
    if (!this.#peers.has(remote.nodeId) && this.#peers.size >= this.#env.limits.peersMax) {
      return { code: "TOO_MANY_PEERS", message: `peersMax ${this.#env.limits.peersMax} reached` };
    }
    return verdict;
  }

  /** A session with a peer that was known before: the same life again, or a new one. */
  #replaceLife(peer: Peer, link: Link): void {
    const identity = link.peer;
    const older = peer.link;
    peer.link = undefined;
    if (older !== undefined && older !== link) {
      this.#events.down(older, peer, new MeshError("PEER_LOST", "replaced by another link"));
      older.close("DUPLICATE_LINK", "another link between the two nodes is kept");
    }
    this.#stopTimer(peer);
    if (peer.epoch !== identity.epoch) this.#events.dead(peer.nodeId, "dead");
    peer.link = link;
    peer.state = "alive";
    peer.service = identity.service;
    peer.epoch = identity.epoch;
    peer.nonce = identity.nonce;
    peer.addresses = identity.addresses;
  }

  /** The lease: after it, what the peer had goes to others. */
  #armDeath(peer: Peer): void {
    this.#stopTimer(peer);
    peer.timer = this.#env.clock.setTimer(this.#env.times.leaseMs * 1.1, () => {
      peer.timer = undefined;
      peer.state = "dead";
      this.#events.dead(peer.nodeId, "dead");
      this.#env.report({ type: "peer-dead", nodeId: peer.nodeId, service: peer.service });
    });
  }

  #start(connection: Connection, how: { dialled: boolean; target: string; address: string }): Link {
    const link = new Link(this.#env, this, connection, how);
    this.#links.add(link);
    link.start();
    return link;
  }

  #isLinked(target: Target): boolean {
    if (target.nodeId === "") return false;
    return this.#peers.get(target.nodeId)?.link?.isUp ?? false;
  }

  #isDialing(nodeId: string): boolean {
    return this.#targets.get(nodeId)?.dialing ?? false;
  }

  #dialSoon(target: Target, delayMs: number): void {
    this.#stopTimer(target);
    target.timer = this.#env.clock.setTimer(delayMs, () => {
      target.timer = undefined;
      if (!target.dialing && !this.#isLinked(target)) void this.#dial(target);
    });
  }

  async #dial(target: Target): Promise<void> {
    target.dialing = true;
    let failure: unknown;
    for (const address of this.#ranked(target.addresses)) {
      const transport = this.#transportOf(address);
      if (transport === undefined) continue;
      try {
        const connection = await transport.dial(address, { timeoutMs: DIAL_TIMEOUT_MS });
        if (this.#stopped) {
          connection.open({ frame: () => {}, drained: () => {}, closed: () => {} });
          connection.close();
          return;
        }
        this.#start(connection, { dialled: true, target: target.nodeId, address });
        return; // `dialing` ends with the greeting: up or closed
      } catch (error) {
        failure = error;
      }
    }
    target.dialing = false;
    if (this.#stopped) return;
    this.#env.counters.count("link.dialFailed");
    this.#env.logger.debug("peer not reachable", {
      addresses: target.addresses,
      reason: failure instanceof Error ? failure.message : "no transport for its addresses",
    });
    this.#dialSoon(target, this.#backoffMs(target));
  }

  #backoffMs(target: Target): number {
    const capMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(target.attempts++, 10));
    return capMs * (0.5 + 0.5 * this.#env.random.fraction());
  }

  /** A dialled link has ended: its target is dialled again unless the peer is linked otherwise. */
  #redial(link: Link): void {
    for (const target of this.#targets.values()) {
      const mine =
        (link.dialled && target.addresses.includes(link.address)) ||
        (link.greeted && target.nodeId === link.peer.nodeId);
      if (!mine) continue;
      if (link.dialled && target.addresses.includes(link.address)) target.dialing = false;
      if (link.greeted && link.dialled && target.nodeId === "") target.nodeId = link.peer.nodeId;
      if (!target.dialing) this.#dialSoon(target, this.#backoffMs(target));
    }
  }

  #noteRefusal(link: Link, reason: MeshError): void {
    if (!link.dialled || this.#stopped) return;
    const code = String(reason.details.code ?? "");
    if (code === "SELF") {
      for (const [key, target] of this.#targets) {
        if (target.addresses.includes(link.address)) this.#targets.delete(key);
      }
      return;
    }
    if (code === "" || code === "ALREADY_LINKED" || code === "DUPLICATE_LINK") return;
    this.#env.counters.count(`link.refused.${code}`);
    if (code !== "WRONG_MESH") {
      this.#env.logger.warn("link refused", {
        address: link.address,
        code,
        reason: reason.message,
      });
    }
    this.#env.report({
      type: "link-refused",
      address: link.address,
      code,
      message: reason.message,
    });
  }

  #report(type: "peer-up" | "peer-down", peer: Peer, reason: string): void {
    if (peer.nodeId === this.#events.identity().nodeId) return;
    const { nodeId, service } = peer;
    if (type === "peer-up") {
      for (const target of this.#targets.values()) {
        if (target.nodeId === nodeId || peer.addresses.some((a) => target.addresses.includes(a))) {
          target.nodeId = nodeId;
          target.attempts = 0;
          target.dialing = false;
        }
      }
      this.#env.report({ type, nodeId, service });
    } else {
      this.#env.report({ type, nodeId, service, reason });
    }
  }

  /** Addresses by the preference of their transport. */
  #ranked(addresses: readonly string[]): readonly string[] {
    const rank = (address: string) => this.#transportOf(address)?.preference ?? -1;
    return [...addresses].sort((a, b) => rank(b) - rank(a));
  }

  #transportOf(address: string): Transport | undefined {
    const scheme = address.slice(0, address.indexOf("://"));
    return this.#transports.find((transport) => transport.scheme === scheme);
  }

  #stopTimer(holder: { timer: Timer | undefined }): void {
    if (holder.timer !== undefined) this.#env.clock.clearTimer(holder.timer);
    holder.timer = undefined;
  }
}

const newPeer = (identity: Identity, link: Link): Peer => ({
  nodeId: identity.nodeId,
  service: identity.service,
  epoch: identity.epoch,
  nonce: identity.nonce,
  addresses: identity.addresses,
  link,
  state: "alive",
  timer: undefined,
});

const newSession = (bytes: Uint8Array): number => {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return (a | (b << 8) | (c << 16) | ((d & 0x7f) << 24)) >>> 0 || 1;
};
