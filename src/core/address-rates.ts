/** How often each address may start something. Bound: ADDRESSES_MAX, of which the one first heard of is forgotten. */
import { RateLimiter, type RatePolicy } from "./rate-limiter.ts";

export const ADDRESSES_MAX = 1_024;

export class AddressRates {
  readonly #policy: RatePolicy;
  readonly #rates = new Map<string, RateLimiter>();

  constructor(policy: RatePolicy) {
    this.#policy = policy;
  }

  of(address: string): RateLimiter {
    let rate = this.#rates.get(address);
    if (rate === undefined) {
      const [oldest] = this.#rates.keys();
      if (this.#rates.size >= ADDRESSES_MAX && oldest !== undefined) this.#rates.delete(oldest);
      rate = new RateLimiter(this.#policy);
      this.#rates.set(address, rate);
    }
    return rate;
  }
}
