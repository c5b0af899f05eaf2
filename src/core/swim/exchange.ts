/**
 * Comparing tables with a neighbour: what gossip missed is found here.
 *
 * Problem: sending the whole table now and then, as memberlist does, costs more the larger the mesh, and
 * nearly always says what is known. Approach: members fall into buckets by the hash of their names; a digest
 * has one hash of all live claims of each bucket, in pieces; the other side answers with its rows of buckets that
 * differ and names them, and gets this side's rows.
 *
 * Invariants: a digest depends on the live members' claims alone, since the dead are forgotten at different times;
 * rows of a bucket have its dead as well. What is too much for one message is left for the next exchange.
 * Bounds: `HASHES_MAX` hashes and `ROWS_MAX` rows in a message, whatever was asked for.
 * Source: Demers et al., "Epidemic algorithms for replicated database maintenance", PODC 1987, section 1.3
 * (checksums and recent lists); Merkle trees of depth one.
 */
import { mix32 } from "../shard-map.ts";
import type { Claim } from "./claim.ts";
import type { MemberNames } from "./member-names.ts";
import type { MemberTable } from "./member-table.ts";

export const HASHES_MAX = 512;
export const ROWS_MAX = 256;
const BUCKETS_MAX = 65_536;
const MEMBERS_PER_BUCKET = 16;

export type Digest = {
  readonly buckets: number;
  readonly first: number;
  readonly hashes: readonly number[];
};

/** Into how many buckets a table of so many members is parted: a power of two. */
export const bucketCount = (members: number): number => {
  let buckets = 1;
  while (buckets * MEMBERS_PER_BUCKET < members && buckets < BUCKETS_MAX) buckets *= 2;
  return buckets;
};

const isBucketCount = (buckets: number): boolean =>
  Number.isInteger(buckets) &&
  buckets >= 1 &&
  buckets <= BUCKETS_MAX &&
  (buckets & (buckets - 1)) === 0;

export class Exchange {
  readonly #names: MemberNames;
  readonly #table: MemberTable;
  #next = 0;

  constructor(names: MemberNames, table: MemberTable) {
    this.#names = names;
    this.#table = table;
  }

  /** The next piece of this table's digest. */
  digest(): Digest {
    const buckets = bucketCount(this.#table.live);
    const first = this.#next < buckets ? this.#next : 0;
    const count = Math.min(HASHES_MAX, buckets - first);
    this.#next = first + count;
    return { buckets, first, hashes: this.#hashes(buckets, first, count) };
  }

  /** Buckets in which this table differs from the digest. */
  differing({ buckets, first, hashes }: Digest): number[] {
    const count = Math.min(HASHES_MAX, hashes.length, buckets - first);
    if (!isBucketCount(buckets) || count <= 0) return [];
    const mine = this.#hashes(buckets, first, count);
    const found: number[] = [];
    for (let at = 0; at < count; at++) {
      if (mine[at] !== hashes[at]) found.push(first + at);
    }
    return found;
  }

  /** Claims of the members in these buckets; `from` says which of them is left out last. */
  rows(buckets: number, wanted: readonly number[], from: number): Claim[] {
    if (!isBucketCount(buckets) || wanted.length === 0) return [];
    const isWanted = new Set(wanted.slice(0, HASHES_MAX));
    const { span } = this.#table;
    const rows: Claim[] = [];
    for (let at = 0; at < span && rows.length < ROWS_MAX; at++) {
      const member = (at + from) % span;
      if (!this.#table.has(member)) continue;
      if (isWanted.has(this.#bucketOf(member, buckets))) rows.push(this.#table.claim(member));
    }
    return rows;
  }

  #bucketOf(member: number, buckets: number): number {
    return this.#names.hash(member) & (buckets - 1);
  }

  #hashes(buckets: number, first: number, count: number): number[] {
    const hashes = new Array<number>(count).fill(0);
    const table = this.#table;
    for (let member = 0; member < table.span; member++) {
      if (!table.isLive(member)) continue;
      const at = this.#bucketOf(member, buckets) - first;
      if (at < 0 || at >= count) continue;
      const name = this.#names.hash(member);
      const hash = mix32(mix32(name ^ table.epoch(member)) ^ table.word(member));
      hashes[at] = ((hashes[at] as number) ^ hash) >>> 0;
    }
    return hashes;
  }
}
