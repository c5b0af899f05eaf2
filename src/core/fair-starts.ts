/**
 * What strangers ask for, begun in turn.
 *
 * Problem: what a stranger asks for costs time that others wait for, and whoever asks most would be served most.
 * Approach: so many a second begin in all, and of each address; addresses take turns. Of one address the newest goes
 * first: behind those that ask for more than there is time for, nobody would be served before giving up.
 *
 * Invariants: nothing begins above either rate; an address within its rate waits for at most one of each other address.
 * Bound: the caller's, of what waits; rates of ADDRESSES_MAX addresses.
 */
import { AddressRates } from "./address-rates.ts";
import { RateLimiter, type RatePolicy } from "./rate-limiter.ts";

export class FairStarts<Item> {
  readonly #all: RateLimiter;
  readonly #each: AddressRates;
  /** By address, the one whose turn it is first. */
  readonly #waiting = new Map<string, Item[]>();

  constructor(policies: { readonly all: RatePolicy; readonly each: RatePolicy }) {
    this.#all = new RateLimiter(policies.all);
    this.#each = new AddressRates(policies.each);
  }

  add(address: string, item: Item): void {
    const items = this.#waiting.get(address);
    if (items === undefined) this.#waiting.set(address, [item]);
    else items.push(item);
  }

  /** It waits no longer, if it did. */
  remove(address: string, item: Item): void {
    const items = this.#waiting.get(address) ?? [];
    const at = items.indexOf(item);
    if (at >= 0) items.splice(at, 1);
    if (items.length === 0) this.#waiting.delete(address);
  }

  /** What begins now, or the milliseconds until something does; undefined: nothing waits. */
  next(nowMs: number): { readonly item: Item } | { readonly waitMs: number } | undefined {
    let soonestMs: number | undefined;
    for (const [address, items] of this.#waiting) {
      const each = this.#each.of(address);
      const waitMs = Math.max(this.#all.waitMs(nowMs), each.waitMs(nowMs));
      if (waitMs === 0) {
        this.#all.charge(nowMs, 1);
        each.charge(nowMs, 1);
        return { item: this.#take(address, items) };
      }
      soonestMs = Math.min(soonestMs ?? waitMs, waitMs);
    }
    return soonestMs === undefined ? undefined : { waitMs: soonestMs };
  }

  #take(address: string, items: Item[]): Item {
    const item = items.pop() as Item;
    this.#waiting.delete(address);
    if (items.length > 0) this.#waiting.set(address, items); // the others' turn first
    return item;
  }
}
