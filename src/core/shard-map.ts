/**
 * Which member should own which shard: weighted rendezvous hashing.
 *
 * Problem: every node must come to the same map from the same members, without agreement, and a
 * member that joins or leaves must move no shard but its own. Approach: each (member, shard) has a
 * score that depends on nothing else; the best score owns the shard. With u in (0,1) drawn by a
 * hash, the smallest `-ln(u) / weight` wins, which gives each member shards in proportion to its
 * weight.
 *
 * The map is part of the protocol, so its arithmetic is pinned to the bit:
 * - the hash is made of 32-bit integer operations;
 * - members of one weight are compared by the hash alone (`-ln` is monotone), so a group of equals,
 *   the usual case, needs no logarithm; only the best of each weight are compared by score;
 * - `Math.log` may differ between engines in its last bits (ECMA-262 leaves it
 *   implementation-approximated), so the logarithm is computed here from + - * / alone, which IEEE
 *   754 defines exactly.
 *
 * Invariants: the order of the argument does not matter; taking a member out changes only the
 * shards it owned, putting one in only those it gets; `scoreOf` is strictly decreasing in the hash,
 * so both ways of comparing agree.
 * Rejected: a ring of virtual nodes (uneven unless each has hundreds of points), jump hashing
 * (members have to be numbered), repeating members by weight (cost grows with the weight).
 * Source: Thaler & Ravishankar 1996 (rendezvous); Schindelhauer & Schomaker 2005, "logarithmic
 * method"; the mix is MurmurHash3's fmix32 (Appleby). Spelled out with test vectors in
 * docs/sharding.md.
 */
import { MeshError } from "../errors.ts";

/** Number of shards of every subscription, a power of two. Peers must agree on it. */
export const SHARD_COUNT = 4096;

/** Members one map can name: the owner index is a signed 16-bit integer. */
export const SHARD_MEMBERS_MAX = 32_767;
export const SHARD_WEIGHT_MAX = 0xffff_ffff;

export type ShardMember = {
  readonly id: string;
  /** Unsigned 32-bit hash of the id, by the hash named in the handshake. */
  readonly hash: number;
  /** Share of the shards relative to the others, an integer from 0 (owns nothing) to 2^32-1. */
  readonly weight: number;
};

/** The shard of a key, by its unsigned 32-bit hash. */
export const shardOf = (keyHash: number): number => keyHash & (SHARD_COUNT - 1);

/** MurmurHash3's fmix32: a bijection of the unsigned 32-bit integers. */
export const mix32 = (value: number): number => {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
};

/** The draw of a member for a shard, an unsigned 32-bit integer; the higher the better. */
export const drawOf = (memberHash: number, shard: number): number => {
  const step = Math.imul(shard, 0x9e37_79b9);
  return mix32(mix32(memberHash ^ step) + step);
};

/**
 * The owner of each shard as an index into `members`; -1 everywhere when no member has a weight.
 * @throws MeshError INVALID_OPTIONS for more than 32,767 members, an id that occurs twice, or a
 * weight that is no integer from 0 to 2^32-1
 */
export const computeShardMap = (members: readonly ShardMember[]): Int16Array => {
  const owners = new Int16Array(SHARD_COUNT).fill(-1);
  const classes = weightClasses(members);
  const draws = new Float64Array(SHARD_COUNT);
  const scores = classes.length > 1 ? new Float64Array(SHARD_COUNT).fill(Infinity) : undefined;
  const best = new Int16Array(SHARD_COUNT);
  for (const { weight, indexes } of classes) {
    drawBest(members, indexes, draws, best);
    if (scores === undefined) return best;
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      const index = best[shard] as number;
      const score = scoreOf(draws[shard] as number, weight);
      const against = scores[shard] as number;
      const owner = owners[shard] as number;
      if (score < against || (score === against && beats(members, index, owner, shard))) {
        scores[shard] = score;
        owners[shard] = index;
      }
    }
  }
  return owners;
};

/** `-ln((draw + 1/2) / 2^32) / weight`; the lowest owns the shard. */
export const scoreOf = (draw: number, weight: number): number =>
  -naturalLog((draw + 0.5) / 0x1_0000_0000) / weight;

type WeightClass = { readonly weight: number; readonly indexes: number[] };

/** Members grouped by weight; those of weight 0 take no part. */
const weightClasses = (members: readonly ShardMember[]): WeightClass[] => {
  if (members.length > SHARD_MEMBERS_MAX) {
    throw new MeshError(
      "INVALID_OPTIONS",
      `a shard map of ${members.length} members exceeds ${SHARD_MEMBERS_MAX}`,
    );
  }
  const classes = new Map<number, WeightClass>();
  const ids = new Set<string>();
  members.forEach(({ id, weight }, index) => {
    if (!Number.isInteger(weight) || weight < 0 || weight > SHARD_WEIGHT_MAX) {
      throw new MeshError(
        "INVALID_OPTIONS",
        `weight ${weight} of ${id} is not an integer from 0 to ${SHARD_WEIGHT_MAX}`,
      );
    }
    if (ids.has(id)) throw new MeshError("INVALID_OPTIONS", `member ${id} is named twice`);
    ids.add(id);
    if (weight === 0) return;
    const known = classes.get(weight);
    if (known === undefined) classes.set(weight, { weight, indexes: [index] });
    else known.indexes.push(index);
  });
  return [...classes.values()];
};

/** For each shard the highest draw among `indexes`, and whose it is. */
const drawBest = (
  members: readonly ShardMember[],
  indexes: readonly number[],
  draws: Float64Array,
  best: Int16Array,
): void => {
  draws.fill(-1);
  for (const index of indexes) {
    const hash = (members[index] as ShardMember).hash;
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      const draw = drawOf(hash, shard);
      const against = draws[shard] as number;
      if (draw < against) continue;
      if (draw === against && !beats(members, index, best[shard] as number, shard)) continue;
      draws[shard] = draw;
      best[shard] = index;
    }
  }
};

/**
 * Breaks a tie by id. Draws of one shard tie only where the hashes of two ids collide, and then on
 * every shard; alternating keeps the second of the two from getting nothing.
 */
const beats = (
  members: readonly ShardMember[],
  index: number,
  against: number,
  shard: number,
): boolean => {
  if (against < 0) return true;
  const smaller = (members[index] as ShardMember).id < (members[against] as ShardMember).id;
  return smaller === (shard % 2 === 0);
};

/**
 * ln(u) for u in (0,1], the same bits on every engine: u = m * 2^-k with m in [1/sqrt 2, sqrt 2),
 * then ln m = 2 artanh(s), s = (m-1)/(m+1), |s| < 0.172, by its series up to s^21 (the rest is
 * below 2^-53).
 */
const naturalLog = (u: number): number => {
  let m = u;
  let k = 0;
  for (; m < Math.SQRT1_2; k++) m *= 2;
  const s = (m - 1) / (m + 1);
  const z = s * s;
  let sum = 1 / 21;
  for (let odd = 19; odd >= 1; odd -= 2) sum = sum * z + 1 / odd;
  return 2 * s * sum - k * Math.LN2;
};
