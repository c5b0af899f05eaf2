/**
 * Randomness from a seed: the same seed gives the same draws on every machine.
 *
 * Approach: sfc32, a small counter-based generator of 128 bits of state, seeded through a mixing step so
 * that seeds 1, 2, 3 give unrelated streams. `fork` makes an independent stream by name, so that one more
 * draw in one part of a simulation does not shift the draws of another.
 * Source: Doty-Humphrey, PractRand ("sfc32"); Steele et al., splitmix (the seeding).
 */
import type { Random } from "../ports/random.ts";

export class SeededRandom implements Random {
  readonly seed: number;
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number, name = "") {
    this.seed = seed;
    let state = (seed ^ hashOf(name)) >>> 0;
    const next = (): number => {
      state = (state + 0x9e37_79b9) >>> 0;
      let z = state;
      z = Math.imul(z ^ (z >>> 16), 0x21f0_aaad);
      z = Math.imul(z ^ (z >>> 15), 0x735a_2d97);
      return (z ^ (z >>> 15)) >>> 0;
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    for (let round = 0; round < 12; round++) this.uint32();
  }

  /** An independent stream of the same seed. */
  fork(name: string): SeededRandom {
    return new SeededRandom(this.uint32(), name);
  }

  uint32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + sum) | 0;
    return sum >>> 0;
  }

  fraction(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    for (let at = 0; at < count; at++) bytes[at] = this.uint32() & 0xff;
    return bytes;
  }

  /** An integer from `min` to `max`, both included. */
  integer(min: number, max: number): number {
    return min + Math.floor(this.fraction() * (max - min + 1));
  }

  /** A number from `min` up to `max`. */
  between(min: number, max: number): number {
    return min + this.fraction() * (max - min);
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** One of them, each alike. The list must not be empty. */
  pick<T>(from: readonly T[]): T {
    return from[Math.floor(this.fraction() * from.length)] as T;
  }

  /** Exponentially distributed with this mean, at most ten times it. */
  exponential(mean: number): number {
    return Math.min(10 * mean, -Math.log(1 - this.fraction()) * mean);
  }
}

const hashOf = (text: string): number => {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  }
  return hash >>> 0;
};
