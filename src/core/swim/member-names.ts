/**
 * Small numbers for the ids of members.
 *
 * Problem: tables, queues and rings over ten thousand members are arrays of numbers when they are to be small and
 * fast, but members have names. Approach: each name has a number as long as somebody uses it; a number that is
 * free is given out again. Several views in one process, as in a simulation, may share the numbers.
 *
 * Invariants: a name in use has one number and a number one name; `hash(n)` depends on the name alone and is the
 * same on every node, since rings and buckets are made of it.
 * Bound: as many names as are taken; the tables that take them have limits.
 * Source: Fowler, Noll, Vo: FNV-1a, mixed by MurmurHash3's fmix32 (Appleby).
 */
import { mix32 } from "../shard-map.ts";

const INITIAL = 64;

export class MemberNames {
  readonly #numbers = new Map<string, number>();
  readonly #ids: string[] = [];
  readonly #uses: number[] = [];
  readonly #free: number[] = [];
  #hashes = new Uint32Array(INITIAL);

  /** One above the highest number in use or free. */
  get span(): number {
    return this.#ids.length;
  }

  /** The number of a name in use; -1: nobody uses it. */
  find(id: string): number {
    return this.#numbers.get(id) ?? -1;
  }

  id(number: number): string {
    return this.#ids[number] as string;
  }

  /** 32 evenly spread bits of the name. */
  hash(number: number): number {
    return this.#hashes[number] as number;
  }

  /** Uses a name once more. */
  take(id: string): number {
    const known = this.#numbers.get(id);
    if (known !== undefined) {
      this.#uses[known] = (this.#uses[known] as number) + 1;
      return known;
    }
    const number = this.#free.pop() ?? this.#ids.length;
    if (number === this.#hashes.length) {
      const larger = new Uint32Array(number * 2);
      larger.set(this.#hashes);
      this.#hashes = larger;
    }
    this.#numbers.set(id, number);
    this.#ids[number] = id;
    this.#uses[number] = 1;
    this.#hashes[number] = hashOf(id);
    return number;
  }

  /** Ends one use of a name. */
  release(number: number): void {
    const uses = (this.#uses[number] as number) - 1;
    this.#uses[number] = uses;
    if (uses > 0) return;
    this.#numbers.delete(this.id(number));
    this.#ids[number] = "";
    this.#free.push(number);
  }
}

const hashOf = (text: string): number => {
  let hash = 0x811c_9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193);
  }
  return mix32(hash >>> 0);
};
