/**
 * Every peer this node knows, and the links with them.
 *
 * Problem: both sides may dial, links break, processes come back with a new epoch, and a copied data folder
 * must be noticed. Approach: at most one link per peer, chosen by `Rivals`; what a peer is without one, `Leases`
 * says. A peer that dialled is met when it answers the greeting, and so has heard what is known of it here.
 *
 * Bounds: `peersMax` peers, of which those dead or gone the longest make room for new ones; lives of four
 * times as many are remembered.
 */
import {
  epochToJump,
  isRejection,
  negotiate,
  newSession,
  type Rejection,
  sameBytes,
} from "../../core/session.ts";
import { MeshError } from "../../errors.ts";
import type { PeerHint } from "../../ports/discovery.ts";
import type { Connection, Transport } from "../../ports/transport.ts";
import type { HelloFrame, Identity, WelcomeFrame } from "../../wire/handshake.ts";
import { type Environment, hybridNow } from "../environment.ts";
import { Beats } from "./beats.ts";
import { Dialler, refuse } from "./dialler.ts";
import { ExitProbe } from "./exit-probe.ts";
import { KNOWN_PER_PEER, KnownLives } from "./known-lives.ts";
import { Leases } from "./leases.ts";
import { Link } from "./link.ts";
import type { LinkOrigin } from "./link-origin.ts";
import type { FrameOwner, LinkOwner, Refusal } from "./link-owner.ts";
import type { LinkTableEvents } from "./link-table-events.ts";
import type { Liveness } from "./liveness.ts";
import { Meetings } from "./meetings.ts";
import { newPeer, type Peer } from "./peer.ts";
import { PeerGuard } from "./peer-guard.ts";
import { JUMPED, UNTOLD } from "./refusals.ts";
import { Rivals } from "./rivals.ts";

export const PROTOCOL_MIN = 1;
export const PROTOCOL_MAX = 1;

const GREET_AGAIN = "this node jumped above another life of itself";
const TELL_KNOWN = "another start of you is known here: the next Hello says which";

export class LinkTable implements LinkOwner<Link> {
  readonly #env: Environment;
  readonly #events: LinkTableEvents;
  readonly #frames: FrameOwner<Link>;
  readonly #dialler: Dialler;
  readonly #liveness: Liveness;
  readonly #leases: Leases;
  readonly #exits: ExitProbe;
  readonly #rivals: Rivals;
  readonly #peers = new Map<string, Peer>();
  /** What this node, in all its lives, saw of its peers. */
  readonly known: KnownLives;
  readonly #links = new Set<Link>();
  readonly #guard: PeerGuard;
  readonly #meetings: Meetings;
  readonly beats: Beats;
  #stopped = false;

  constructor(
    env: Environment,
    transports: readonly Transport[],
    liveness: Liveness,
    events: LinkTableEvents,
    frames: FrameOwner<Link>,
  ) {
    this.#env = env;
    this.known = new KnownLives(env.limits.peersMax * KNOWN_PER_PEER);
    this.#meetings = new Meetings(this.known, events);
    this.#dialler = new Dialler(env, transports, {
      isLinked: (nodeId) => this.#peers.get(nodeId)?.link?.isUp ?? false,
      dialled: (connection, origin) => this.#start(connection, { dialled: true, ...origin }),
    });
    this.#liveness = liveness;
    this.#leases = new Leases(env, liveness, (nodeId) => events.dead(nodeId, "dead"));
    const isLost = (nodeId: string): boolean => this.#peers.get(nodeId)?.state === "lost";
    this.#exits = new ExitProbe(env.clock, transports, isLost, (nodeId) => events.gone(nodeId));
    this.#rivals = new Rivals(env);
    this.#guard = new PeerGuard(env);
    this.#events = events;
    this.#frames = frames;
    this.beats = new Beats(env, liveness);
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

  /** The node's own link to itself. */
  addLocal(link: Link, identity: Identity): void {
    if (this.#stopped) return;
    this.#peers.set(identity.nodeId, newPeer(identity, link));
    this.#links.add(link);
    link.startLocal(identity);
  }

  /** An incoming connection. */
  accept(connection: Connection, scheme: string): void {
    // Its own link is up when all its listeners are: before, it could not say where it is.
    const isStarting = this.#peers.size === 0;
    if (isStarting || this.#stopped || this.#links.size >= this.#env.limits.peersMax * 2) {
      if (!isStarting) this.#env.counters.count("link.tooMany");
      refuse(connection);
      return;
    }
    const address = connection.remote;
    this.#start(connection, { dialled: false, target: "", address, scheme, redirect: false });
  }

  /** A discovery heard of a peer. */
  found(hint: PeerHint): void {
    if (hint.nodeId !== this.#events.identity().nodeId) this.#dialler.found(hint);
  }

  /** A discovery says the peer is gone. Only dialling stops; the link decides what is alive. */
  forgotten(nodeId: string): void {
    this.#dialler.forgotten(nodeId);
  }

  /** Others, or earlier lives of this node, say where a peer is. */
  introduced(...args: Parameters<Dialler["introduced"]>): void {
    this.#dialler.introduced(...args);
  }

  /** A link with it is wanted now. */
  call(nodeId: string): void {
    this.#dialler.call(nodeId);
  }

  stop(code: string, message: string): void {
    this.#stopped = true;
    this.#dialler.stop();
    for (const link of [...this.#links]) link.close(code, message);
    for (const peer of this.#peers.values()) this.#leases.disarm(peer);
  }

  /** Everybody but the peer of `judged` must hear what this node says of itself now. */
  greetAgain(judged?: Link): void {
    const own = this.#events.identity().nodeId;
    for (const link of [...this.#links]) {
      if (link === judged || (link.greeted && link.peer.nodeId === own)) continue;
      link.close(JUMPED, GREET_AGAIN);
    }
  }

  /** When the newest heartbeat of this node left that some other node answered; -Infinity: none was. */
  answeredSentMs(): number {
    return this.#liveness.answeredSentMs();
  }

  // --- LinkOwner -----------------------------------------------------------------------------

  hello(link: Link): HelloFrame {
    const known = this.known.of(link.target);
    return {
      type: "hello",
      session: 0,
      identity: this.#identity(),
      targetNodeId: link.target,
      knownEpoch: known?.epoch ?? 0,
      knownNonce: known?.nonce ?? new Uint8Array(0),
      redirect: link.redirect,
    };
  }

  greet(link: Link, hello: HelloFrame): WelcomeFrame | Refusal {
    const verdict = this.#judge(link, hello, hello.targetNodeId);
    if (isRejection(verdict)) return verdict;
    const peerId = hello.identity.nodeId;
    if (this.#events.identity().nodeId < peerId && this.#dialler.isDialing(peerId)) {
      return { code: "ALREADY_LINKED", message: "this node is dialling you" };
    }
    const better = this.#dialler.sendOn(this.#events.identity(), hello, link.scheme);
    if (better !== undefined) return better;
    const known = this.known.of(peerId);
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
    const { epoch } = this.#events.identity();
    const verdict = this.#judge(link, welcome, "");
    if (this.#events.identity().epoch !== epoch) return { code: JUMPED, message: GREET_AGAIN };
    if (isRejection(verdict)) return verdict;
    if (link.target !== "" && link.target !== welcome.identity.nodeId) {
      return {
        code: "WRONG_TARGET",
        message: `dialled ${link.target}, met ${welcome.identity.nodeId}`,
      };
    }
    const isTold = link.target !== "" || !this.known.knowsOther(welcome.identity);
    return isTold ? undefined : { code: UNTOLD, message: TELL_KNOWN };
  }

  up(link: Link): void {
    this.#guard.up(link);
    const identity = link.peer;
    const local = identity.nodeId === this.#events.identity().nodeId;
    let peer = this.#peers.get(identity.nodeId);
    if (peer === undefined) {
      peer = newPeer(identity, link);
      this.#peers.set(identity.nodeId, peer);
    } else if (!local) {
      this.#replaceLife(peer, link);
    }
    if (!local) {
      this.#meetings.up(link);
      this.#liveness.watch(identity);
    }
    this.#events.up(link, peer);
    if (local) return;
    this.#dialler.linked(peer.nodeId, peer.addresses);
    const { nodeId, service } = peer;
    this.#env.report({ type: "peer-up", nodeId, service });
  }

  frame(...args: Parameters<FrameOwner<Link>["frame"]>): void {
    this.#meetings.heard(args[0]);
    if (this.#guard.takes(...args)) this.#frames.frame(...args);
  }

  stallChanged(link: Link): void {
    const peer = this.#peers.get(link.peer.nodeId);
    if (peer?.link !== link) return;
    if (link.stalled) {
      this.#leases.stalled(peer);
      return;
    }
    this.#leases.resumed(peer, "alive");
    this.#frames.drained(link); // what waited for it goes on
  }

  heartbeat(link: Link): ReturnType<FrameOwner<Link>["heartbeat"]> {
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
    this.#guard.ended(link);
    this.#meetings.ended(link);
    this.#rivals.ended(link);
    const peer = link.greeted ? this.#peers.get(link.peer.nodeId) : undefined;
    const code = String(reason.details.code ?? "");
    if (peer?.link === link) {
      const left = code === "STOPPED";
      peer.link = undefined;
      peer.state = left ? "left" : "lost";
      this.#events.down(link, peer, reason);
      const { nodeId, service } = peer;
      const local = nodeId === this.#events.identity().nodeId;
      if (!local) {
        this.#env.report({ type: "peer-down", nodeId, service, reason: reason.message });
      }
      if (left) {
        this.#liveness.unwatch(nodeId);
        this.#events.dead(nodeId, "left");
      } else if (!this.#stopped && !local) {
        this.#leases.arm(peer); // the node itself comes back
        this.#exits.look(link, code);
      }
    } else {
      if (!this.#stopped) this.#guard.refused(link, code, reason);
    }
    this.#dialler.ended(link, code);
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
    const life = { ...local, earlier: this.#events.earlierLives() };
    const jump = epochToJump(life, { epoch: frame.knownEpoch, nonce: frame.knownNonce });
    if (jump !== undefined && this.#events.jumpEpoch(jump)) this.greetAgain(link);
    const existing = this.#peers.get(remote.nodeId)?.link;
    if (existing?.isUp) {
      const rival = { ...remote, dialled: link.dialled };
      const rejection = this.#rivals.judge(local.nodeId, existing, rival);
      if (rejection !== undefined) return rejection;
    }
    return this.#guard.admit(link, remote.nodeId, this.#peers) ?? verdict;
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
    this.#leases.disarm(peer);
    const jumped = sameBytes(peer.nonce, identity.nonce); // the same life: what it runs goes on
    if (peer.epoch !== identity.epoch && !jumped) this.#events.dead(peer.nodeId, "restarted");
    peer.link = link;
    peer.state = "alive";
    peer.service = identity.service;
    peer.epoch = identity.epoch;
    peer.nonce = identity.nonce;
    peer.addresses = identity.addresses;
  }

  #start(connection: Connection, how: LinkOrigin): void {
    const link = this.#guard.link(connection, (paced) => new Link(this.#env, this, paced, how));
    this.#links.add(link);
    this.#guard.came(link);
    link.start(how.patienceMs ?? this.#env.times.handshakeMs);
  }
}
