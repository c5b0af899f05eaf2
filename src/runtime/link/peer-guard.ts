/**
 * What one peer may take of this node: who may have a session, which of its frames are handled, when it must wait.
 *
 * Problem: a member does what its certificate allows, and may do it without end; a stranger may connect without end.
 * Approach: `Strangers` bounds who has not said who it is; what a peer has left is kept by its node id (PeerAllowance),
 * so that a new session gives nothing back. Above its quota of traffic a peer is *paced*: no subscription here grants
 * it credit, its requests are refused, and it is told so; what it accepted waits on its own disk. Whoever goes on all
 * the same, or sends more control frames than any node needs, loses its link and is barred for a while.
 *
 * Invariants: the node's link to itself is never limited; nothing of one peer changes what another may do; of each
 * peer at most TOLD lines are logged, told and reported. Cost without quotas: a look at the frame's type.
 * Bound: allowances of 2 x `peersMax` peers, the oldest is forgotten.
 */
import { PeerAllowance } from "../../core/peer-allowance.ts";
import { RateLimiter } from "../../core/rate-limiter.ts";
import type { Rejection } from "../../core/session.ts";
import type { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { Connection } from "../../ports/transport.ts";
import type { BatchFrame } from "../../wire/batch.ts";
import type { KnownFrame } from "../../wire/frames.ts";
import type { LimitedFrame } from "../../wire/limited.ts";
import type { Environment } from "../environment.ts";
import type { Link } from "./link.ts";
import { PacedConnection } from "./paced-connection.ts";
import { makeRoom, type Peer } from "./peer.ts";
import { noteRefusal } from "./refusals.ts";
import { Strangers } from "./strangers.ts";

/** Of control frames that cost more than a look: certificates and lists to verify, deliveries to send again. */
const CREDENTIALS_COST = 100;
const RESYNC_COST = 10;
/** A peer that was paced is not asked for more sooner. */
const PACE_MS_MIN = 20;
const TOLD = { perSecond: 0.2, burst: 3 };
const REFUSALS_LOGGED = { perSecond: 1, burst: 20 };
const TEXT_MAX = 256;

type LimitKind = "messages" | "bytes" | "control" | "sessions";
/** What a peer may say that this node has reached; other texts are counted as one. */
const KINDS: ReadonlySet<string> = new Set<LimitKind>(["messages", "bytes", "control", "sessions"]);

type Known = { readonly allowance: PeerAllowance; readonly told: RateLimiter };

export class PeerGuard {
  readonly #env: Environment;
  readonly #strangers: Strangers;
  readonly #known = new Map<string, Known>();
  readonly #paced = new Map<Link, Timer>();
  readonly #refusalsLogged = new RateLimiter(REFUSALS_LOGGED);
  readonly #hasQuota: boolean;

  constructor(env: Environment) {
    this.#env = env;
    this.#strangers = new Strangers(env);
    const { messagesPerSecond, bytesPerSecond } = env.peerLimits;
    this.#hasQuota = Math.min(messagesPerSecond, bytesPerSecond) < Number.POSITIVE_INFINITY;
  }

  /** Over a connection of which a peer that must wait is read slowly. */
  link(connection: Connection, make: (connection: Connection) => Link): Link {
    if (!this.#hasQuota) return make(connection);
    const paced = new PacedConnection(connection, this.#env.clock);
    const link = make(paced);
    paced.isPaced = () => link.paced;
    return link;
  }

  came(link: Link): void {
    this.#strangers.came(link);
  }

  /** Whether a session with this peer may begin. */
  admit(link: Link, nodeId: string, peers: Map<string, Peer>): Rejection | undefined {
    const { clock, limits } = this.#env;
    const waitMs = Math.ceil(this.#of(nodeId).allowance.sessionWaitMs(clock.monotonicMs()));
    if (waitMs > 0) {
      const message = `too many sessions, or one that went too far: none for ${waitMs} ms (peerLimits)`;
      if (!link.dialled) this.#env.counters.count("peer.limited.sessions");
      return { code: "RATE_LIMITED", message };
    }
    if (peers.has(nodeId) || makeRoom(peers, limits.peersMax)) return undefined;
    return { code: "TOO_MANY_PEERS", message: `peersMax ${limits.peersMax} reached` };
  }

  /** Before anything else hears of the session. */
  up(link: Link): void {
    this.#strangers.done(link);
    if (link.isLocal) return;
    const nowMs = this.#env.clock.monotonicMs();
    const { allowance } = this.#of(link.peer.nodeId);
    allowance.session(nowMs);
    if (this.#hasQuota) this.#look(link, allowance, nowMs);
  }

  /** It is known, or gone. */
  ended(link: Link): void {
    this.#strangers.done(link);
    const timer = this.#paced.get(link);
    if (timer === undefined) return;
    this.#paced.delete(link);
    this.#env.clock.clearTimer(timer);
  }

  /** A link that never rose. */
  refused(link: Link, code: string, reason: MeshError): void {
    const nowMs = this.#env.clock.monotonicMs();
    noteRefusal(this.#env, link, code, reason, () => this.#refusalsLogged.admit(nowMs) === 0);
  }

  /** False: the frame was for this, or is the last that was taken of the link. */
  takes(link: Link, frame: KnownFrame): boolean {
    if (link.isLocal) return true;
    if (this.#hasQuota && !this.#takesTraffic(link, frame)) return false;
    switch (frame.type) {
      case "declare": {
        const { add, remove, drain, ended } = frame;
        const records = add.length + remove.length + drain.length + ended.length;
        return this.#takesControl(link, Math.max(1, records));
      }
      case "credentials":
        return this.#takesControl(link, CREDENTIALS_COST);
      case "resync":
        return this.#takesControl(link, RESYNC_COST);
      case "ask":
      case "directory":
      case "hold":
        return this.#takesControl(link, 1);
      case "limited":
        this.#heard(link, frame);
        return false;
      default:
        return true;
    }
  }

  // --- inside --------------------------------------------------------------------------------

  #takesControl(link: Link, cost: number): boolean {
    const { allowance } = this.#of(link.peer.nodeId);
    if (allowance.takesControl(this.#env.clock.monotonicMs(), cost)) return true;
    const { controlPerSecond } = this.#env.peerLimits;
    this.#end(link, "control", `more than peerLimits.controlPerSecond ${controlPerSecond}`);
    return false;
  }

  #takesTraffic(link: Link, frame: KnownFrame): boolean {
    const nowMs = this.#env.clock.monotonicMs();
    const { allowance } = this.#of(link.peer.nodeId);
    const messages = messagesIn(frame);
    if (allowance.exceeds(nowMs, messages, link.frameBytes)) {
      const kind = allowance.debt(nowMs)?.kind ?? "messages";
      this.#end(link, kind, `${this.#quota(kind)} exceeded, and what it is told not heeded`);
      return false;
    }
    // A request that is refused for the quota does not count against it: else asking again would never help.
    if (frame.type === "request" && link.paced) return true;
    allowance.took(nowMs, messages, link.frameBytes);
    if (!link.paced) this.#look(link, allowance, nowMs);
    return true;
  }

  /** Paces the peer while it has a debt. */
  #look(link: Link, allowance: PeerAllowance, nowMs: number): void {
    const debt = allowance.debt(nowMs);
    const isPaced = debt !== undefined;
    if (isPaced !== link.paced) {
      link.paced = isPaced;
      link.askTurn(); // where its credit is told
    }
    if (debt === undefined) return;
    const { clock } = this.#env;
    const waitMs = Math.ceil(Math.max(PACE_MS_MIN, debt.waitMs));
    this.#tell(link, debt.kind, `${this.#quota(debt.kind)} reached`, waitMs);
    const timer = clock.setTimer(waitMs, () => {
      this.#paced.delete(link);
      if (link.isUp) this.#look(link, allowance, clock.monotonicMs());
    });
    this.#paced.set(link, timer);
  }

  /** The link ends, and its peer is not let in for a while. */
  #end(link: Link, kind: LimitKind, what: string): void {
    const { allowance } = this.#of(link.peer.nodeId);
    const waitMs = allowance.bar(this.#env.clock.monotonicMs());
    this.#tell(link, kind, what, waitMs);
    link.close("RATE_LIMITED", `${what}: no session for ${waitMs} ms`);
  }

  #quota(kind: "messages" | "bytes"): string {
    const name = `${kind}PerSecond` as const;
    return `peerLimits.${name} ${this.#env.peerLimits[name]}`;
  }

  /** It is counted; now and then the peer, the log and `status()` hear of it. */
  #tell(link: Link, kind: LimitKind, message: string, waitMs: number): void {
    const { clock, counters, logger, report } = this.#env;
    counters.count(`peer.limited.${kind}`);
    const { nodeId, service } = link.peer;
    if (this.#of(nodeId).told.admit(clock.monotonicMs()) > 0) return;
    logger.warn("a peer has reached a limit", { nodeId, service, kind, message, waitMs });
    report({ type: "peer-limited", nodeId, service, kind, message });
    const { session } = link;
    link.send({ type: "limited", session, code: "RATE_LIMITED", kind, message, waitMs });
  }

  /** A peer says that this node is too much for it. */
  #heard(link: Link, { code, kind, message, waitMs }: LimitedFrame): void {
    const { clock, counters, logger, report } = this.#env;
    const known = KINDS.has(kind) ? kind : "other";
    counters.count(`limited.${known}`);
    const { nodeId, service } = link.peer;
    if (this.#of(nodeId).told.admit(clock.monotonicMs()) > 0) return;
    const text = message.slice(0, TEXT_MAX);
    const fields = { nodeId, service, kind: known, code: code.slice(0, TEXT_MAX), waitMs };
    logger.warn("a peer limits this node: slow down, or raise its peerLimits", {
      ...fields,
      message: text,
    });
    report({ type: "limited", nodeId, service, kind: known, message: text });
  }

  #of(nodeId: string): Known {
    let known = this.#known.get(nodeId);
    if (known === undefined) {
      const [oldest] = this.#known.keys();
      const isFull = this.#known.size >= 2 * this.#env.limits.peersMax;
      if (isFull && oldest !== undefined) this.#known.delete(oldest);
      known = {
        allowance: new PeerAllowance(this.#env.peerLimits),
        told: new RateLimiter(TOLD),
      };
      this.#known.set(nodeId, known);
    }
    return known;
  }
}

const messagesIn = (frame: KnownFrame): number => {
  if (frame.type === "request") return 1;
  return frame.type === "batch" ? deliveriesOf(frame) : 0;
};

const deliveriesOf = ({ sections }: BatchFrame): number => {
  let count = 0;
  for (const { deliveries, bundles } of sections) {
    count += deliveries.length;
    for (const { rests } of bundles) count += rests.length / 2;
  }
  return count;
};
