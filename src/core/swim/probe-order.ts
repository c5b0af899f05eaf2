/**
 * Whose turn it is to be probed.
 *
 * Problem: probing at random leaves some members unprobed for long. Approach: everyone once in a shuffled round,
 * then another shuffle; who comes new gets a random place in the round.
 *
 * Invariant: between two probes of a neighbour lie at most two rounds less one.
 * Source: SWIM, section 4.3.
 */
export class ProbeOrder {
  readonly #random: () => number;
  #order: number[] = [];
  #at = 0;

  /** `random` draws from 0 up to 1. */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** The members to probe are others now. */
  changed(members: readonly number[]): void {
    const wanted = new Set(members);
    const seen = new Set(this.#order);
    const done = this.#order.slice(0, this.#at).filter((member) => wanted.has(member));
    const rest = this.#order.slice(this.#at).filter((member) => wanted.has(member));
    for (const member of members) {
      if (!seen.has(member)) rest.splice(Math.floor(this.#random() * (rest.length + 1)), 0, member);
    }
    this.#order = [...done, ...rest];
    this.#at = done.length;
  }

  /** -1: there is nobody. */
  next(): number {
    if (this.#at >= this.#order.length) {
      this.#at = 0;
      shuffle(this.#order, this.#random);
    }
    return this.#order[this.#at++] ?? -1;
  }
}

/** `count` different ones of `from`, without `but`. */
export const pickSome = (
  from: readonly number[],
  count: number,
  but: number,
  random: () => number,
): number[] => {
  const picked: number[] = [];
  const wanted = Math.min(count, from.length);
  // Few of many: drawing again is cheaper than copying the list.
  for (let draws = 0; picked.length < wanted && draws < 4 * wanted + 4; draws++) {
    const member = from[Math.floor(random() * from.length)] as number;
    if (member !== but && !picked.includes(member)) picked.push(member);
  }
  return picked;
};

const shuffle = (list: number[], random: () => number): void => {
  for (let at = list.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    const moved = list[at] as number;
    list[at] = list[other] as number;
    list[other] = moved;
  }
};
