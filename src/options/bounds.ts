/**
 * Every number that a user may set, with its default and range: the one place they are written.
 *
 * docs/limits.md shows the same table with what more and less of each does; a test compares the
 * two. `default` is what holds when nothing else is set; where it follows from another option,
 * `resolveOptions` or `resolveSubscribeOptions` says how. Integers, but for shares and rates.
 */

export type Bound = {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  /** Whether Infinity is allowed too: no bound at all. */
  readonly infinite: boolean;
};

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** The longest a timer can wait: 24.8 days. */
const TIMER_MS_MAX = 2_147_483_647;
/** Largest duration that is kept on disk instead of in a timer. */
const YEAR_MS = 365 * DAY_MS;

/** What an envelope holds at most beside its payload: names, ids, trace context and headers. */
export const ENVELOPE_OVERHEAD_BYTES = 128 * KIB;

/** A whole number with a default and a range. */
export const bound = (fallback: number, min: number, max: number): Bound =>
  Object.freeze({ default: fallback, min, max, infinite: false });
const endless = (fallback: number, min: number, max: number): Bound =>
  Object.freeze({ default: fallback, min, max, infinite: true });

/** createNode() */
export const NODE_BOUNDS = Object.freeze({
  "listen.port": bound(0, 0, 65_535),
  "journal.bytesMax": bound(10 * GIB, 4 * MIB, 16 * 1024 * GIB),
  "journal.lateMs": bound(10 * MINUTE_MS, 0, 30 * DAY_MS),
  "journal.lateBytes": bound(64 * MIB, 0, 1024 * GIB),
  "journal.forgetMs": bound(30 * DAY_MS, MINUTE_MS, YEAR_MS),
  "retain.ageMs": endless(0, 0, 10 * YEAR_MS),
  "retain.bytes": endless(0, 0, 16 * 1024 * GIB),
  "limits.payloadBytesMax": bound(MIB, KIB, 64 * MIB),
  "limits.frameBytesMax": bound(
    MIB + ENVELOPE_OVERHEAD_BYTES,
    KIB + ENVELOPE_OVERHEAD_BYTES,
    128 * MIB,
  ),
  "limits.subscriptionsMax": bound(4_096, 1, 65_536),
  "limits.peersMax": bound(1_024, 1, 65_536),
  "limits.inFlightMax": bound(16_384, 1, 1_048_576),
  "limits.lookAheadMax": bound(8_192, 1, 1_048_576),
  "limits.nodePrefetchBytes": bound(64 * MIB, MIB, 16 * GIB),
  "limits.requestsMax": bound(65_536, 1, 1_048_576),
  "limits.heldMax": bound(16_384, 1, 1_048_576),
  "limits.deadLetterErrorsMax": bound(10, 1, 100),
  "limits.idempotencyKeysMax": bound(1_000_000, 1, 10_000_000),
  "peerLimits.subscriptionsMax": bound(1_024, 1, 65_536),
  "peerLimits.requestBytesMax": bound(64 * MIB, 64 * KIB, 16 * GIB),
  "peerLimits.unreadBytesMax": bound(64 * MIB, MIB, 16 * GIB),
  "peerLimits.sessionsPerMinute": endless(300, 1, 60_000),
  "peerLimits.controlPerSecond": endless(1_000, 100, 1_000_000),
  "peerLimits.messagesPerSecond": endless(Number.POSITIVE_INFINITY, 1, 100_000_000),
  "peerLimits.bytesPerSecond": endless(Number.POSITIVE_INFINITY, KIB, 1024 * GIB),
  "retry.attempts": endless(10, 1, 1_000_000),
  "retry.baseMs": bound(100, 0, DAY_MS),
  "retry.capMs": bound(60_000, 0, 7 * DAY_MS),
  heartbeatMs: bound(250, 10, MINUTE_MS),
  leaseMs: bound(1_000, 50, 10 * MINUTE_MS),
  silenceMs: bound(3_000, 100, 60 * MINUTE_MS),
  stalledMaxMs: bound(MINUTE_MS, 0, DAY_MS),
  rebalanceMs: bound(250, 10, MINUTE_MS),
  handshakeMs: bound(5_000, 100, 10 * MINUTE_MS),
  requestTimeoutMs: bound(5_000, 1, TIMER_MS_MAX),
  confirmTimeoutMs: bound(2_000, 0, 10 * MINUTE_MS),
  idempotencyMs: bound(DAY_MS, 1_000, YEAR_MS),
  drainMs: bound(10_000, 0, TIMER_MS_MAX),
});

/** subscribe(), messages(), handle() and reply(); retry as of the node. */
export const SUBSCRIBE_BOUNDS = Object.freeze({
  concurrency: bound(16, 1, 65_536),
  prefetch: bound(256, 1, 65_536),
  prefetchBytes: bound(8 * MIB, KIB, 16 * GIB),
  timeoutMs: bound(30_000, 1, TIMER_MS_MAX),
  abandonMs: endless(30_000, 0, TIMER_MS_MAX),
  weight: bound(1, 1, 1_000),
  "retry.attempts": NODE_BOUNDS["retry.attempts"],
  "retry.baseMs": NODE_BOUNDS["retry.baseMs"],
  "retry.capMs": NODE_BOUNDS["retry.capMs"],
  "breaker.failureShare": bound(0.5, 0.01, 1),
  "breaker.minimum": bound(20, 1, 1_000_000),
  "breaker.windowMs": bound(60_000, 100, DAY_MS),
  "breaker.openMs": bound(10_000, 1, DAY_MS),
  "breaker.openMsMax": bound(60_000, 1, DAY_MS),
  "breaker.probes": bound(1, 1, 1_000),
  "rate.perSecond": endless(Number.POSITIVE_INFINITY, 0.001, 1_000_000),
  "rate.burst": bound(1, 1, 1_000_000),
});

/** publish(), send() and emit(); none of them has a default: absent means not at all. */
export const PUBLISH_BOUNDS = Object.freeze({
  expireAfterMs: Object.freeze({ min: 1, max: YEAR_MS }),
  delayMs: Object.freeze({ min: 0, max: YEAR_MS }),
});

/** request(): its default is the node's requestTimeoutMs. */
export const REQUEST_BOUNDS = Object.freeze({
  timeoutMs: Object.freeze({ min: 1, max: TIMER_MS_MAX }),
});

/** Sizes of texts and lists; these cannot be set. */
export const FIXED_BOUNDS = Object.freeze({
  /** service, mesh and group, in ASCII characters. */
  nameBytesMax: 63,
  hostBytesMax: 255,
  pathBytesMax: 4_096,
  transportsMax: 8,
  discoveryMax: 16,
  keyBytesMax: 255,
  /** id, idempotencyKey, correlationId and causationId. */
  idBytesMax: 255,
  headersMax: 64,
  headerNameBytesMax: 128,
  headerValueBytesMax: 4_096,
  /** Names and values of one message together. */
  headersBytesMax: 64 * KIB,
  filterHeadersMax: 16,
});
