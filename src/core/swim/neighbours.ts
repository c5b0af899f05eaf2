/**
 * Whom a node probes and gossips with.
 *
 * Problem: SWIM probes any member at random, which costs nothing over UDP; over connections it would dial a
 * new one each time, and in the end hold one with everybody. Approach: up to `COMPLETE_MAX` live members
 * everyone is everyone's neighbour. Past it members stand on `RINGS` rings, ordered by ten hashes of their
 * names, and neighbours are the next ones in both directions: at most 20, whatever the size of the mesh. Every
 * node that knows the same members finds the same rings, so that neighbourhood is mutual, and random rings
 * make an expander: gossip over them takes O(log n) rounds, and no small cut parts the mesh.
 * Every node still knows every member; only links are partial.
 *
 * Invariant: `list` holds live members of the table but `me`, each once.
 * Source: Suresh et al., "Stable and Consistent Membership at Scale with Rapid", USENIX ATC 2018, section 4.1
 * (K = 10 rings).
 */
import { mix32 } from "../shard-map.ts";
import type { MemberNames } from "./member-names.ts";
import type { MemberTable } from "./member-table.ts";

/** Live members, this one included, up to which all are neighbours. */
export const COMPLETE_MAX = 150;
export const RINGS = 10;

const FAR = 2 ** 32;
const NOBODY = -1;
const SALTS = Array.from({ length: RINGS }, (_, ring) => Math.imul(ring + 1, 0x9e37_79b9));

export class Neighbours {
  readonly #names: MemberNames;
  readonly #table: MemberTable;
  readonly #me: number;
  /** Where this node stands on each ring. */
  readonly #places: readonly number[];
  /** Of each ring and direction: who is next, and how far away. */
  readonly #next = new Int32Array(2 * RINGS);
  readonly #distance = new Float64Array(2 * RINGS);
  #list: number[] = [];
  #isComplete = true;
  #version = 0;

  constructor(names: MemberNames, table: MemberTable, me: number) {
    this.#names = names;
    this.#table = table;
    this.#me = me;
    this.#places = SALTS.map((salt) => mix32(names.hash(me) ^ salt));
  }

  get list(): readonly number[] {
    return this.#list;
  }

  /** Another number whenever `list` is another one. */
  get version(): number {
    return this.#version;
  }

  /** A member lives, of which that was not so before. */
  added(number: number): void {
    if (number === this.#me) return;
    if (this.#isComplete && this.#table.live <= COMPLETE_MAX) {
      this.#list.push(number);
      this.#version++;
    } else if (this.#isComplete) this.rebuild();
    else if (this.#stand(number)) this.#collect();
  }

  /** A member lives no more. */
  removed(number: number): void {
    const at = this.#list.indexOf(number);
    if (!this.#isComplete && this.#table.live <= COMPLETE_MAX) this.rebuild();
    else if (at >= 0 && !this.#isComplete) this.rebuild();
    else if (at >= 0) {
      this.#list.splice(at, 1);
      this.#version++;
    }
  }

  /** Finds the neighbours anew. */
  rebuild(): void {
    const table = this.#table;
    this.#isComplete = table.live <= COMPLETE_MAX;
    if (this.#isComplete) this.#list = [];
    this.#next.fill(NOBODY);
    this.#distance.fill(FAR);
    for (let number = 0; number < table.span; number++) {
      if (number === this.#me || !table.isLive(number)) continue;
      if (this.#isComplete) this.#list.push(number);
      else this.#stand(number);
    }
    if (this.#isComplete) this.#version++;
    else this.#collect();
  }

  /** Puts a member on the rings. True when it is next to this node on one of them. */
  #stand(number: number): boolean {
    const hash = this.#names.hash(number);
    let isNext = false;
    for (let ring = 0; ring < RINGS; ring++) {
      const place = mix32(hash ^ (SALTS[ring] as number));
      const ahead = (place - (this.#places[ring] as number)) >>> 0;
      if (this.#offer(2 * ring, number, ahead)) isNext = true;
      if (this.#offer(2 * ring + 1, number, FAR - ahead)) isNext = true;
    }
    return isNext;
  }

  #offer(place: number, number: number, distance: number): boolean {
    const best = this.#distance[place] as number;
    const holder = this.#next[place] as number;
    if (distance > best || distance === 0 || distance === FAR) return false;
    if (distance === best && !this.#isNamedBefore(number, holder)) return false;
    this.#distance[place] = distance;
    this.#next[place] = number;
    return true;
  }

  #isNamedBefore(number: number, other: number): boolean {
    return other === NOBODY || this.#names.id(number) < this.#names.id(other);
  }

  #collect(): void {
    const list = [...new Set(this.#next)].filter((number) => number !== NOBODY);
    this.#list = list;
    this.#version++;
  }
}
