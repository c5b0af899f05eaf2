/**
 * Whom to dial: what discoveries said, each with a backoff of its own, tried for ever.
 *
 * Problem: a peer is heard of in several ways at once, moves, leaves, comes back under another id at the same
 * address, and networks part and heal. Approach: one target per thing to dial. One that is known by address
 * alone is the operator's word and never given up; one known by node id goes when the peer said goodbye, or
 * when its discovery lost it and it cannot be reached for a while. Each is dialled by the best address that
 * answers, of those that were found and those that the node said of itself when it was linked. One that is known by
 * a worse one only is sent on by the node that it reaches, once; if that leads nowhere, what is known will do.
 * Where a discovery named a node and another one answered, it is tried seldom. What other nodes told, or an earlier
 * life remembers, counts less than a discovery: it is tried more and more seldom, and given up after half a minute if
 * it never was linked, else after about a day. Who is told of by others has most likely just come, and dials everybody
 * it hears of: nodes that have run for a while let it.
 *
 * Bounds: `peersMax` targets; one that was only told gives way to a found one, and of those that were never linked
 * there are at most a quarter; more are ignored and counted.
 */
import { MeshError } from "../../errors.ts";
import type { PeerHint } from "../../ports/discovery.ts";
import type { Connection, Transport } from "../../ports/transport.ts";
import type { HelloFrame } from "../../wire/handshake.ts";
import type { Environment } from "../environment.ts";
import { asReached, preferenceOf, type Speaker, sendOn, transportFor } from "./better-addresses.ts";
import {
  type DialTarget,
  doubt,
  foundAt,
  type Hearsay,
  isHopeless,
  linkedAt,
  newTarget,
  nextBackoffMs,
  patienceOf,
  placesToDial,
  toldAt,
} from "./dial-target.ts";
import type { Link } from "./link.ts";
import type { LinkOrigin } from "./link-origin.ts";
import type { Refusal } from "./link-owner.ts";
import { noteUnauthorized } from "./refusals.ts";

export interface DiallerOwner {
  isLinked(nodeId: string): boolean;
  /** A connection was made: greet over it. */
  dialled(connection: Connection, origin: Omit<LinkOrigin, "dialled">): void;
}

const DIAL_TIMEOUT_MS = 3_000;
/** Of an address that only the node itself gave: it may be one that its own network alone knows. */
const LEARNED_TIMEOUT_MS = 1_000;
/** Up to so many tries in a row follow one another within 2 s. */
const OFTEN_ATTEMPTS = 5;
/** A node that has run for so long has heard of those that were there before it. */
const SETTLED_MS = 5_000;
/** How long it leaves to one that it is told of to dial, so that the two do not dial each other. */
const NEWCOMER_MS = 2_000;
/** A dial that takes longer than this is no reason to refuse the peer's own. */
const DIAL_LIKELY_MS = 500;

export class Dialler {
  readonly #env: Environment;
  readonly #transports: readonly Transport[];
  readonly #owner: DiallerOwner;
  readonly #targets = new Map<string, DialTarget>();
  readonly #sinceMs: number;
  #stopped = false;

  constructor(env: Environment, transports: readonly Transport[], owner: DiallerOwner) {
    this.#env = env;
    this.#transports = transports;
    this.#owner = owner;
    this.#sinceMs = env.clock.monotonicMs();
  }

  /** Targets known. */
  get size(): number {
    return this.#targets.size;
  }

  /** A link with this node is likely to come up from here soon. */
  isDialing(nodeId: string): boolean {
    const now = this.#env.clock.monotonicMs();
    for (const target of this.#targets.values()) {
      if (target.nodeId !== nodeId || !target.dialing) continue;
      if (now - target.dialingSinceMs < DIAL_LIKELY_MS) return true;
    }
    return false;
  }

  /** How to refuse a peer that had better dial this node elsewhere; undefined when it may stay. */
  sendOn(own: Speaker, hello: HelloFrame, scheme: string): Refusal | undefined {
    const refusal = sendOn(this.#transports, own, hello, scheme);
    if (refusal !== undefined) this.#env.counters.count("link.sentOn");
    return refusal;
  }

  /** A discovery heard of a peer. */
  found(hint: PeerHint): void {
    if (this.#stopped) return;
    const nodeId = hint.nodeId ?? "";
    const key = nodeId === "" ? hint.addresses.join(",") : nodeId;
    const target = this.#targets.get(key);
    if (target === undefined) {
      this.#add(newTarget(key, nodeId, hint.addresses));
      return;
    }
    if (foundAt(target, hint.addresses)) this.#dialSoon(target, 0);
  }

  /** Somebody who is linked with the node told of it, or an earlier life of this node knew it there. */
  introduced(nodeId: string, addresses: readonly string[], how: Hearsay): void {
    if (this.#stopped || this.#owner.isLinked(nodeId)) return;
    for (const target of this.#targets.values()) {
      if (target.nodeId !== nodeId) continue;
      if (toldAt(target, addresses)) this.#again(target);
      return;
    }
    if (how === "told" && this.#strangers() >= this.#env.limits.peersMax / 4) {
      this.#env.counters.count("discovery.tooManyTold");
      return;
    }
    const ranMs = this.#env.clock.monotonicMs() - this.#sinceMs;
    const isNewcomer = how === "told" && ranMs > SETTLED_MS;
    this.#add(newTarget(nodeId, nodeId, addresses, how), isNewcomer ? NEWCOMER_MS : 0);
  }

  /** It is wanted now: unless it is tried often anyway, that is not waited for, nor is it given up. */
  call(nodeId: string): void {
    for (const target of this.#targets.values()) {
      if (target.nodeId !== nodeId || target.dialing || target.attempts < OFTEN_ATTEMPTS) continue;
      target.attempts = OFTEN_ATTEMPTS;
      this.#dialSoon(target, 0);
    }
  }

  /** A discovery says the peer is gone. Only dialling stops; the link decides what is alive. */
  forgotten(nodeId: string): void {
    const target = this.#targets.get(nodeId);
    if (target === undefined) return;
    if (this.#isLinked(target)) target.lost = true;
    else this.#remove(target);
  }

  /** A session with the peer is up, whoever dialled. */
  linked(nodeId: string, addresses: readonly string[]): void {
    for (const target of this.#targets.values()) {
      // One that is known by node id may have been told the address of another node.
      const isThere = !target.named && addresses.some((one) => target.addresses.includes(one));
      if (target.nodeId !== nodeId && !isThere) continue;
      linkedAt(target, nodeId, addresses);
    }
  }

  /** A link has ended: what it was dialled for, and whatever leads to its peer, is dialled again. */
  ended(link: Link, code: string): void {
    if (this.#stopped) return;
    const peerId = link.greeted ? link.peer.nodeId : "";
    for (const target of [...this.#targets.values()]) {
      const dialled = link.dialled && target.through === link.address;
      if (!dialled && (peerId === "" || target.nodeId !== peerId)) continue;
      const isSentOn = dialled && link.better !== undefined && !target.insists;
      if (dialled && target.dialing && !isSentOn && doubt(target, link.address, code)) {
        this.#env.counters.count("discovery.elsewhere");
      }
      if (dialled) target.dialing = false;
      const isLate = code === "TIMEOUT" && !link.greeted;
      if (dialled) target.unanswered = isLate ? target.unanswered + 1 : 0;
      const isOwn = !target.named && target.addresses.includes(link.address);
      const isItself = code === "SELF" && dialled && isOwn;
      if (isItself) this.#remove(target);
      else if (code === "STOPPED" && target.named) this.#remove(target);
      else if (isSentOn) this.#sentOn(target, link);
      else this.#meant(target, dialled ? code : "", peerId);
    }
  }

  stop(): void {
    this.#stopped = true;
    for (const target of this.#targets.values()) this.#stopTimer(target);
    this.#targets.clear();
  }

  // --- inside --------------------------------------------------------------------------------

  #add(target: DialTarget, delayMs = 0): void {
    const isFull = this.#targets.size >= this.#env.limits.peersMax;
    if (isFull && (target.hearsay !== undefined || !this.#makeRoom())) {
      this.#env.counters.count("discovery.tooManyPeers");
      return;
    }
    this.#targets.set(target.key, target);
    this.#dialSoon(target, delayMs);
  }

  /** One that no discovery has found gives way. */
  #makeRoom(): boolean {
    for (const target of this.#targets.values()) {
      if (target.hearsay === undefined || this.#isLinked(target)) continue;
      this.#remove(target);
      return true;
    }
    return false;
  }

  #strangers(): number {
    let count = 0;
    for (const { hearsay } of this.#targets.values()) if (hearsay === "told") count++;
    return count;
  }

  #meant(target: DialTarget, code: string, peerId: string): void {
    if (target.nodeId === "" && peerId !== "") target.nodeId = peerId;
    // Another node lives at the operator's address now.
    if (code === "WRONG_TARGET" && !target.named) target.nodeId = "";
    this.#again(target);
  }

  #again(target: DialTarget): void {
    if (target.dialing) return;
    if (isHopeless(target)) this.#remove(target);
    else this.#dialSoon(target, nextBackoffMs(target, this.#env.random));
  }

  #remove(target: DialTarget): void {
    this.#stopTimer(target);
    this.#targets.delete(target.key);
  }

  #isLinked(target: DialTarget): boolean {
    return target.nodeId !== "" && this.#owner.isLinked(target.nodeId);
  }

  #dialSoon(target: DialTarget, delayMs: number): void {
    this.#stopTimer(target);
    target.timer = this.#env.clock.setTimer(delayMs, () => {
      target.timer = undefined;
      if (target.dialing || this.#isLinked(target)) return;
      target.dialing = true; // ends with the greeting, up or closed, or with the last address
      target.dialingSinceMs = this.#env.clock.monotonicMs();
      this.#dial(target).catch((error: unknown) => this.#failed(target, error));
    });
  }

  async #dial(target: DialTarget): Promise<void> {
    let failure: unknown = new MeshError("PEER_LOST", "no transport for its addresses");
    let redirect = !target.insists;
    for (const address of this.#ranked(placesToDial(target))) {
      const transport = transportFor(this.#transports, address);
      if (transport === undefined) continue;
      const timeoutMs = target.addresses.includes(address) ? DIAL_TIMEOUT_MS : LEARNED_TIMEOUT_MS;
      const sinceMs = this.#env.clock.monotonicMs();
      try {
        const connection = await transport.dial(address, { timeoutMs });
        if (this.#targets.get(target.key) === target) {
          target.through = address;
          const { scheme } = transport;
          const patienceMs = this.#env.times.handshakeMs * patienceOf(target);
          const { nodeId } = target;
          const origin = { address, scheme, target: nodeId, redirect, patienceMs };
          this.#owner.dialled(connection, origin);
        } else {
          refuse(connection); // stopped, or gone meanwhile
        }
        return;
      } catch (error) {
        failure = error;
        if (MeshError.is(error, "UNAUTHORIZED")) noteUnauthorized(this.#env, address, error);
        // A better one is known and silent. One that refuses may be about to listen: its node knows.
        if (this.#env.clock.monotonicMs() - sinceMs >= LEARNED_TIMEOUT_MS) redirect = false;
      }
    }
    this.#failed(target, failure);
  }

  #failed(target: DialTarget, error: unknown): void {
    target.dialing = false;
    if (this.#targets.get(target.key) !== target) return;
    this.#env.counters.count("link.dialFailed");
    const reason = error instanceof Error ? error.message : String(error);
    this.#env.logger.debug("peer not reachable", { addresses: target.addresses, reason });
    this.#again(target);
  }

  /** The node that was reached would rather be dialled elsewhere. */
  #sentOn(target: DialTarget, { better, address }: Link): void {
    if (better === undefined) return;
    const said = new Set([...better.addresses, ...target.learned]);
    target.learned = asReached([...said], address);
    target.nodeId = better.nodeId;
    target.insists = true;
    this.#dialSoon(target, 0);
  }

  /** Addresses by the preference of their transport. */
  #ranked(addresses: Iterable<string>): readonly string[] {
    const rank = (address: string) => preferenceOf(this.#transports, address);
    return [...addresses].sort((a, b) => rank(b) - rank(a));
  }

  #stopTimer(target: DialTarget): void {
    if (target.timer !== undefined) this.#env.clock.clearTimer(target.timer);
    target.timer = undefined;
  }
}

/** Closes a connection nobody wants. */
export const refuse = (connection: Connection): void => {
  connection.open({ frame: () => {}, drained: () => {}, closed: () => {} });
  connection.close();
};
