/**
 * A rate for each sender and one for all, so that one host cannot use up what the others need.
 *
 * Invariants: at most `burst + perSecond t` are admitted in any t seconds, half of that of one remote sender; at most
 * SENDERS_MAX senders are remembered, then the oldest is forgotten.
 */
import { TokenBucket } from "./token-bucket.ts";

const SENDERS_MAX = 256;

export class SenderRates {
  readonly #burst: number;
  readonly #perSecond: number;
  readonly #all: TokenBucket;
  readonly #senders = new Map<string, TokenBucket>();

  constructor(burst: number, perSecond: number) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#all = new TokenBucket(burst, perSecond);
  }

  /** `local` senders are bound by the rate for all only: every process of this host is one sender. */
  admit(sender: string, local: boolean, nowMs: number): boolean {
    return (local || this.#of(sender).take(nowMs)) && this.#all.take(nowMs);
  }

  #of(address: string): TokenBucket {
    const known = this.#senders.get(address);
    if (known !== undefined) return known;
    if (this.#senders.size >= SENDERS_MAX) {
      const [oldest] = this.#senders.keys();
      if (oldest !== undefined) this.#senders.delete(oldest);
    }
    const bucket = new TokenBucket(this.#burst / 2, this.#perSecond / 2);
    this.#senders.set(address, bucket);
    return bucket;
  }
}
