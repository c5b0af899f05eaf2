/**
 * What createNode() takes. Defaults and ranges are those of bounds.ts; docs/limits.md lists them
 * with what more and less of each does. `undefined` always means the default.
 */
import type { RetryPolicy } from "../core/retry-schedule.ts";
import type { SwimPreset } from "../core/swim/swim-times.ts";
import type { Clock } from "../ports/clock.ts";
import type { Discovery } from "../ports/discovery.ts";
import type { Logger } from "../ports/logger.ts";
import type { Random } from "../ports/random.ts";
import type { Security } from "../ports/security.ts";
import type { Transport } from "../ports/transport.ts";

export type NodeOptions = {
  /**
   * Required: which service this process is an instance of; also the default group. 1 to 63
   * letters, digits, '-', '_' and '.', the first a letter or digit.
   */
  readonly service: string;
  /**
   * Which mesh to join; meshes on one network do not see each other. Default "default". As
   * `service`.
   */
  readonly mesh?: string;
  /**
   * Folder of this node's journal, held by one process at a time. Default ".meshbus/<service>/<n>"
   * with the lowest n that is not locked; ":memory:" keeps nothing.
   */
  readonly dataDir?: string;
  /** Where to listen. */
  readonly listen?: {
    /**
     * Default "127.0.0.1". Anything but loopback needs keys (`security`), or `insecure: true`.
     */
    readonly host?: string;
    /** 0 to 65,535; default 0: a free one. */
    readonly port?: number;
  };
  /** What to tell others, behind address translation. */
  readonly advertise?: {
    /** Default: the host that is bound. */
    readonly host?: string;
  };
  /** Ways to hear of peers, at most 16; [] for none. Default [mdns()]. */
  readonly discovery?: readonly Discovery[];
  /** Ways to talk to peers, 1 to 8, each scheme once. Default: all that this version has. */
  readonly transports?: readonly Transport[];
  readonly journal?: JournalOptions;
  /** What stays in the journal after all subscriptions settled, for `from: "earliest"`. */
  readonly retain?: {
    /**
     * Milliseconds, 0 to 10 years or Infinity; default 0. More: later subscriptions see more past.
     */
    readonly ageMs?: number;
    /**
     * Bytes, 0 to 16 TiB or Infinity; default 0. Both hold: a message goes when either is exceeded.
     */
    readonly bytes?: number;
  };
  /** Whether SIGTERM and SIGINT stop the node, draining. Default false: the process is yours. */
  readonly signals?: boolean;
  /**
   * Who this node is, and what it may do: a folder of keys (`meshbus keys issue` makes one), or an
   * implementation of the port. With it, only nodes with a certificate of the mesh are spoken to.
   * Default: none, and the node listens on loopback only.
   */
  readonly security?: { readonly keys: string } | Security;
  /**
   * Allows to listen beyond loopback without keys: everybody on that network can join. Default
   * false. Logged at the start, and told by `health()`.
   */
  readonly insecure?: boolean;
  /**
   * Whether a thread with a UDP port answers for the node while its event loop is blocked. Default
   * true; false saves about 10 MB, and a blocked event loop then counts as a dead process.
   */
  readonly heartbeatThread?: boolean;
  /**
   * How soon members tell each other of a death: "lan" within a few seconds, for links of a few milliseconds;
   * "default" within some 10 s; "wan" within a minute or two, for slow links. Less finds silent hosts sooner
   * and costs traffic. Set it alike on all nodes; docs/membership.md has the numbers.
   */
  readonly membership?: SwimPreset;
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
  /** Default: the system's. */
  readonly clock?: Clock;
  /** Default: the system's, cryptographic. */
  readonly random?: Random;
  readonly limits?: LimitOptions;
  /** What one peer may take of this node. */
  readonly peerLimits?: PeerLimitOptions;
  /** Defaults for the `retry` of subscriptions. */
  readonly retry?: RetryOptions;
  /**
   * Interval of heartbeats, 10 to 60,000 ms; default 250. Less finds the dead sooner and costs
   * traffic per link.
   */
  readonly heartbeatMs?: number;
  /**
   * How long a member keeps its keys without an answered heartbeat, 50 to 600,000 ms and at least
   * twice heartbeatMs; default 1,000, or 4 x heartbeatMs if that is more. Less: keys of a dead
   * member move on sooner; more: longer pauses are survived.
   */
  readonly leaseMs?: number;
  /**
   * A link that was silent for so long is closed, 100 to 3,600,000 ms and at least twice
   * heartbeatMs; default 3 x leaseMs: 3,000.
   */
  readonly silenceMs?: number;
  /**
   * How long a peer whose event loop is blocked keeps its keys and what it has, while its heartbeat
   * thread answers: 0 to 24 h; default 60,000 ms. Less: work of a service that is stuck moves on
   * sooner; 0: a blocked peer counts as gone when its link has been silent for silenceMs.
   */
  readonly stalledMaxMs?: number;
  /**
   * How long members of a subscription must not have changed before shards move for balance, or one that
   * nobody holds is taken, 10 to 60,000 ms; default 250. Less: a new member works sooner; more: a
   * rolling restart moves keys fewer times.
   */
  readonly rebalanceMs?: number;
  /** How long a new connection may take to introduce itself, 100 to 600,000 ms; default 5,000. */
  readonly handshakeMs?: number;
  /** Default time-out of request(), 1 to 2,147,483,647 ms; default 5,000. */
  readonly requestTimeoutMs?: number;
  /**
   * How long subscribe() waits for live peers to confirm, 0 to 600,000 ms; default 2,000. The rest
   * is named in `.unconfirmed` and confirms later.
   */
  readonly confirmTimeoutMs?: number;
  /**
   * How long an idempotencyKey is remembered, 1,000 ms to a year; default 24 h. More takes disk, at
   * most limits.idempotencyKeysMax keys.
   */
  readonly idempotencyMs?: number;
  /** How long stop() waits for handlers, 0 to 2,147,483,647 ms; default 10,000. */
  readonly drainMs?: number;
};

export type JournalOptions = {
  /**
   * Size on disk, 4 MiB to 16 TiB and at least 4 x limits.payloadBytesMax; default 10 GiB. More
   * outlasts longer absences of consumers.
   */
  readonly bytesMax?: number;
  /**
   * What publish does when it is full: "wait" (default) for room, or "reject" with JOURNAL_FULL.
   */
  readonly whenFull?: "wait" | "reject";
  /**
   * How long events are kept although no group is known, for those heard of late: 0 to 30 days;
   * default 600,000 ms.
   */
  readonly lateMs?: number;
  /**
   * And how many bytes of them, 0 to 1 TiB, not over bytesMax; default 64 MiB, or a quarter of
   * bytesMax if that is less.
   */
  readonly lateBytes?: number;
  /**
   * When to forget what was handled of a producer that is gone, 60,000 ms to a year; default 30
   * days. A producer that is away longer may be handled twice.
   */
  readonly forgetMs?: number;
};

export type RetryOptions = {
  /** Runs in all, 1 to 1,000,000 or Infinity; default 10. Then the message is a dead letter. */
  readonly attempts?: number;
  /**
   * Longest first wait, 0 to 24 h; default 100 ms. Doubles with each failure; waits are random
   * below it.
   */
  readonly baseMs?: number;
  /** Longest wait, 0 to 7 days, not below baseMs; default 60,000 ms. */
  readonly capMs?: number;
};

/** Bounds of what a node holds. More takes memory or disk, less refuses or slows down sooner. */
export type LimitOptions = {
  /**
   * Largest encoded payload, 1 KiB to 64 MiB; default 1 MiB. Past it: PAYLOAD_TOO_LARGE. Set it
   * alike on all nodes: what is larger than a peer reads is not sent to it.
   */
  readonly payloadBytesMax?: number;
  /**
   * Largest frame this node reads, at once or in pieces, up to 128 MiB; at least, and by default,
   * payloadBytesMax + 128 KiB. A peer that sends a larger one is disconnected.
   */
  readonly frameBytesMax?: number;
  /**
   * Subscriptions of this node, and of each peer, 1 to 65,536; default 4,096. Past it:
   * SUBSCRIPTION_LIMIT.
   */
  readonly subscriptionsMax?: number;
  /** Linked peers, 1 to 65,536; default 1,024. Past it: new ones are refused and reported. */
  readonly peersMax?: number;
  /**
   * Unsettled messages per subscription on their way, 1 to 1,048,576; default 16,384. Past it: they
   * wait on disk.
   */
  readonly inFlightMax?: number;
  /**
   * Messages looked at behind a failing key, 1 to 1,048,576; default 8,192. Past it: the
   * subscription waits for the key.
   */
  readonly lookAheadMax?: number;
  /**
   * The most that one subscription's prefetchBytes may be, 1 MiB to 16 GiB; default 64 MiB.
   */
  readonly nodePrefetchBytes?: number;
  /** Requests under way, each direction, 1 to 1,048,576; default 65,536. Past it: RATE_LIMITED. */
  readonly requestsMax?: number;
  /**
   * Handled messages whose output waits for the producer's word, 1 to 1,048,576; default 16,384.
   * Past it: no more are taken, but what stands before one of them.
   */
  readonly heldMax?: number;
  /** Errors kept with a dead letter, 1 to 100, the latest; default 10. */
  readonly deadLetterErrorsMax?: number;
  /**
   * Idempotency keys remembered, 1 to 10,000,000; default 1,000,000. Past it: the oldest is
   * forgotten.
   */
  readonly idempotencyKeysMax?: number;
};

/**
 * Bounds of what one peer may take of this node, whatever others do. A quota is an upper bound for one that means
 * harm or has gone wrong, not a way to share work: see `rate` and `prefetch` of subscribe().
 */
export type PeerLimitOptions = {
  /**
   * Subscriptions and handlers that it may have here at a time, and repliers; and of subscriptions how many it
   * may have brought here, 1 to 65,536; default 1,024. Past it: SUBSCRIPTION_LIMIT.
   */
  readonly subscriptionsMax?: number;
  /** Bytes of its requests under way, 64 KiB to 16 GiB; default 64 MiB. Past it: RATE_LIMITED. */
  readonly requestBytesMax?: number;
  /**
   * Bytes that were sent to it and that it has not read, 1 MiB to 16 GiB; default 64 MiB. Past it: its requests are
   * refused with RATE_LIMITED; if it goes on, its link is closed.
   */
  readonly unreadBytesMax?: number;
  /**
   * New sessions, 1 to 60,000 or Infinity; default 300, and a fifth of it at once. Past it: refused with
   * RATE_LIMITED.
   */
  readonly sessionsPerMinute?: number;
  /**
   * Declarations, credentials, directory and ownership frames, 100 to 1,000,000 or Infinity; default 1,000, and
   * those of 10 s at once. Past it: its link is closed with RATE_LIMITED, and no session for 1 to 60 s.
   */
  readonly controlPerSecond?: number;
  /**
   * Messages and requests that it sends here, 1 to 100,000,000 or Infinity; default Infinity: no quota. Past it: it
   * gets no credit, its requests are refused with RATE_LIMITED, and what it accepted waits on its disk.
   */
  readonly messagesPerSecond?: number;
  /** And bytes of its frames, 1 KiB to 1 TiB or Infinity; default Infinity: no quota. Past it: the same. */
  readonly bytesPerSecond?: number;
};

/**
 * All options, defaults applied, deeply frozen; ports are as given, undefined meaning the default
 * one.
 */
export type ResolvedOptions = {
  readonly service: string;
  readonly mesh: string;
  /** Undefined: ".meshbus/<service>/<n>", found when the node starts. */
  readonly dataDir: string | undefined;
  readonly listen: { readonly host: string; readonly port: number };
  /** Undefined: the host that is bound. */
  readonly advertise: { readonly host: string | undefined };
  readonly discovery: readonly Discovery[] | undefined;
  readonly transports: readonly Transport[] | undefined;
  readonly journal: Required<JournalOptions>;
  readonly retain: { readonly ageMs: number; readonly bytes: number };
  readonly signals: boolean;
  /** A folder of keys, or the port itself. */
  readonly security: string | Security | undefined;
  readonly insecure: boolean;
  readonly heartbeatThread: boolean;
  readonly membership: SwimPreset;
  readonly logger: Logger | undefined;
  readonly clock: Clock | undefined;
  readonly random: Random | undefined;
  readonly limits: Required<LimitOptions>;
  readonly peerLimits: Required<PeerLimitOptions>;
  readonly retry: RetryPolicy;
  readonly heartbeatMs: number;
  readonly leaseMs: number;
  readonly silenceMs: number;
  readonly stalledMaxMs: number;
  readonly rebalanceMs: number;
  readonly handshakeMs: number;
  readonly requestTimeoutMs: number;
  readonly confirmTimeoutMs: number;
  readonly idempotencyMs: number;
  readonly drainMs: number;
};
