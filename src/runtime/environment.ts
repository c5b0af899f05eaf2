/** What every part of a node's runtime is given: the ports, the limits, and the node's own clock and counts. */
import type { HybridClock, HybridTime } from "../core/hybrid-clock.ts";
import type { PeerRates } from "../core/peer-allowance.ts";
import type { PieceSizes } from "../core/piece-sender.ts";
import type { Clock } from "../ports/clock.ts";
import type { Hash } from "../ports/hash.ts";
import type { Logger } from "../ports/logger.ts";
import type { Random } from "../ports/random.ts";
import type { Garbage } from "../ports/transport.ts";
import type { Access } from "./access.ts";
import type { Counters } from "./counters.ts";
import type { LargeCopies } from "./link/large-copies.ts";

export type RuntimeLimits = {
  readonly payloadBytesMax: number;
  readonly frameBytesMax: number;
  readonly subscriptionsMax: number;
  readonly peersMax: number;
  readonly inFlightMax: number;
  readonly lookAheadMax: number;
  readonly nodePrefetchBytes: number;
  readonly requestsMax: number;
  readonly deadLetterErrorsMax: number;
};

/** What one peer may take of this node. */
export type PeerLimits = PeerRates & {
  readonly subscriptionsMax: number;
  readonly requestBytesMax: number;
  readonly unreadBytesMax: number;
};

export type RuntimeTimes = {
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  /** Members of a subscription must not have changed for so long before shards move for balance. */
  readonly rebalanceMs: number;
  /** A link that was silent for so long is closed. */
  readonly silenceMs: number;
  /** A peer whose event loop is blocked keeps what it has for so long. */
  readonly stalledMaxMs: number;
  readonly handshakeMs: number;
  readonly confirmTimeoutMs: number;
};

export type Environment = {
  readonly clock: Clock;
  readonly random: Random;
  readonly hash: Hash;
  readonly logger: Logger;
  readonly counters: Counters;
  readonly hybrid: HybridClock;
  readonly limits: RuntimeLimits;
  readonly peerLimits: PeerLimits;
  /** How large frames travel. */
  readonly pieces: PieceSizes;
  readonly copies: LargeCopies;
  /** Absent: large memory is left to the collector alone. */
  readonly garbage?: Garbage | undefined;
  readonly times: RuntimeTimes;
  /** What this node and its peers may do; absent: there are no keys, and everything is allowed. */
  readonly access?: Access | undefined;
  /** It listens beyond loopback without keys, as its operator told it. */
  readonly insecure?: boolean;
  /** Reports a change to `node.status()`. */
  readonly report: (change: StatusChange) => void;
};

/** What `node.status()` tells. */
export type StatusChange =
  | { readonly type: "listening"; readonly addresses: readonly string[] }
  | { readonly type: "peer-up"; readonly nodeId: string; readonly service: string }
  | {
      readonly type: "peer-down";
      readonly nodeId: string;
      readonly service: string;
      readonly reason: string;
    }
  | { readonly type: "peer-dead"; readonly nodeId: string; readonly service: string }
  | { readonly type: "peer-suspect"; readonly nodeId: string; readonly service: string }
  | { readonly type: "peer-stalled"; readonly nodeId: string; readonly service: string }
  | { readonly type: "peer-resumed"; readonly nodeId: string; readonly service: string }
  | {
      readonly type: "link-refused";
      readonly address: string;
      readonly code: string;
      readonly message: string;
    }
  | {
      /** "peer-limited": one that has reached a limit of this node. "limited": this node has, at that peer. */
      readonly type: "peer-limited" | "limited";
      readonly nodeId: string;
      readonly service: string;
      /** "messages", "bytes", "control", "sessions"; "other": one that this version does not know. */
      readonly kind: string;
      readonly message: string;
    }
  | { readonly type: "discovery-problem"; readonly source: string; readonly message: string }
  | {
      readonly type: "subscription-refused";
      readonly group: string;
      readonly pattern: string;
      readonly code: string;
      readonly message: string;
    }
  | {
      readonly type: "dead-letter";
      readonly subscription: string;
      readonly id: string;
      readonly reason: string;
    }
  | { readonly type: "subscription-paused"; readonly subscription: string; readonly reason: string }
  | {
      readonly type: "breaker";
      readonly subscription: string;
      readonly state: "open" | "half-open" | "closed";
      /** For how long, when it opened; else 0. */
      readonly openMs: number;
    }
  | { readonly type: "journal"; readonly state: "failing" | "working"; readonly message: string }
  | {
      readonly type: "journal-damaged";
      readonly firstSeq: number;
      readonly epoch: number;
      readonly bytes: number;
    }
  | { readonly type: "lagging"; readonly nodeId: string; readonly what: string }
  | { readonly type: "stopping" }
  | { readonly type: "stopped" };

export const hybridNow = (env: Environment): HybridTime => env.hybrid.now(env.clock.wallMs());

/** Waits through the node's clock, for retry loops outside the hot path. */
export const hybridMerge = (env: Environment, time: HybridTime): void => {
  if (env.hybrid.merge(time, env.clock.wallMs()) === "tooFarAhead") {
    env.counters.count("clock.tooFarAhead");
  }
};
