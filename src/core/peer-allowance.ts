/**
 * What one peer may still have of this node's time: new sessions, frames that change what is kept, messages, bytes.
 *
 * Problem: whoever has a certificate may do what it allows as often as it likes, at the cost of everybody else; and
 * what is refused must not be lost, nor asked for again at once. Approach: sessions and control frames are counted and
 * refused. Traffic is never refused: what is above the quota was sent before its sender could know, so it is taken as
 * a debt, and until the debt is paid nothing more is asked for. Who goes on all the same, at more than EXCESS times its
 * quota, loses its link; who lost it so comes back after a time that doubles.
 *
 * Invariant: of traffic, in any w seconds, at most (w + 1) x quota and what was on its way is taken before the peer is
 * told to wait; at most EXCESS x w x quota + GRACE_MS of quota + ON_ITS_WAY before its link ends.
 */
import { RateLimiter } from "./rate-limiter.ts";

export type PeerRates = {
  readonly sessionsPerMinute: number;
  readonly controlPerSecond: number;
  readonly messagesPerSecond: number;
  readonly bytesPerSecond: number;
};

/** Bursts of control frames: of so many seconds. A new session says all it has at once. */
const CONTROL_BURST_S = 10;
/** And of sessions: a fifth of a minute's, and so many at least. */
const SESSIONS_BURST_MIN = 10;
const EXCESS = 4;
const GRACE_S = 10;
/** Sent before a word to wait could have come: what sockets hold. */
const MESSAGES_ON_THEIR_WAY = 131_072;
const BYTES_ON_THEIR_WAY = 64 * 1024 * 1024;
const BAR_MS_MIN = 1_000;
const BAR_MS_MAX = 60_000;

type Quota = { readonly soft: RateLimiter; readonly hard: RateLimiter };

export class PeerAllowance {
  readonly #sessions: RateLimiter | undefined;
  readonly #control: RateLimiter | undefined;
  readonly #messages: Quota | undefined;
  readonly #bytes: Quota | undefined;
  #barMs = 0;
  #barredUntilMs = Number.NEGATIVE_INFINITY;

  constructor(rates: PeerRates) {
    const { sessionsPerMinute, controlPerSecond, messagesPerSecond, bytesPerSecond } = rates;
    this.#sessions = limiter(
      sessionsPerMinute / 60,
      Math.max(SESSIONS_BURST_MIN, Math.ceil(sessionsPerMinute / 5)),
    );
    this.#control = limiter(controlPerSecond, Math.ceil(controlPerSecond * CONTROL_BURST_S));
    this.#messages = quota(messagesPerSecond, MESSAGES_ON_THEIR_WAY);
    this.#bytes = quota(bytesPerSecond, BYTES_ON_THEIR_WAY);
  }

  /** Milliseconds until a session may begin; 0: now. */
  sessionWaitMs(nowMs: number): number {
    return Math.max(0, this.#barredUntilMs - nowMs, this.#sessions?.waitMs(nowMs) ?? 0);
  }

  /** A session has begun. */
  session(nowMs: number): void {
    this.#sessions?.charge(nowMs, 1);
  }

  /** Whether a control frame of this cost may be taken; it is counted if so. */
  takesControl(nowMs: number, cost: number): boolean {
    if (this.#control === undefined) return true;
    if (this.#control.waitMs(nowMs) > 0) return false;
    this.#control.charge(nowMs, cost);
    return true;
  }

  /** This was taken. */
  took(nowMs: number, messages: number, bytes: number): void {
    this.#messages?.soft.charge(nowMs, messages);
    this.#bytes?.soft.charge(nowMs, bytes);
  }

  /** Which quota has been used up, and for how long; undefined: none. */
  debt(
    nowMs: number,
  ): { readonly kind: "messages" | "bytes"; readonly waitMs: number } | undefined {
    const messagesMs = this.#messages?.soft.waitMs(nowMs) ?? 0;
    const bytesMs = this.#bytes?.soft.waitMs(nowMs) ?? 0;
    if (messagesMs === 0 && bytesMs === 0) return undefined;
    if (messagesMs >= bytesMs) return { kind: "messages", waitMs: messagesMs };
    return { kind: "bytes", waitMs: bytesMs };
  }

  /** This came, taken or not: whether it is more than a peer sends that heeds what it is told. */
  exceeds(nowMs: number, messages: number, bytes: number): boolean {
    const isMany = exceeds(this.#messages, nowMs, messages);
    return exceeds(this.#bytes, nowMs, bytes) || isMany;
  }

  /** It went too far: no session for the milliseconds returned, more each time. */
  bar(nowMs: number): number {
    const isAgain = nowMs - this.#barredUntilMs < BAR_MS_MAX;
    this.#barMs = isAgain ? Math.min(BAR_MS_MAX, 2 * this.#barMs) : BAR_MS_MIN;
    this.#barredUntilMs = nowMs + this.#barMs;
    return this.#barMs;
  }
}

const limiter = (perSecond: number, burst: number): RateLimiter | undefined =>
  perSecond === Number.POSITIVE_INFINITY ? undefined : new RateLimiter({ perSecond, burst });

const quota = (perSecond: number, onItsWay: number): Quota | undefined => {
  if (perSecond === Number.POSITIVE_INFINITY) return undefined;
  return {
    soft: new RateLimiter({ perSecond, burst: perSecond }),
    hard: new RateLimiter({ perSecond: EXCESS * perSecond, burst: GRACE_S * perSecond + onItsWay }),
  };
};

const exceeds = (one: Quota | undefined, nowMs: number, amount: number): boolean => {
  if (one === undefined) return false;
  one.hard.charge(nowMs, amount);
  return one.hard.waitMs(nowMs) > 0;
};
