/** Who holds how many shards of a subscription, as this node has heard it. */
import { SHARD_COUNT } from "../../core/shard-map.ts";
import type { Token } from "../../core/token-table.ts";
import type { SubscriptionTokens } from "./subscription-tokens.ts";

export type ShardHolding = {
  readonly nodeId: string;
  /** Shards it holds, those that move away from it included. */
  readonly shards: number;
  /** First and last number of each run of them. */
  readonly ranges: readonly (readonly [number, number])[];
  /** The smallest and the largest of its terms; `ctx.fence` is the term of the key's shard. */
  readonly termMin: bigint;
  readonly termMax: bigint;
  readonly moving: number;
  /** False: this node has no session with it as a member, and its messages wait. */
  readonly reachable: boolean;
};

export type ShardReport = {
  readonly holders: readonly ShardHolding[];
  /** Shards that nobody holds. */
  readonly unowned: number;
};

type Found = {
  shards: number;
  moving: number;
  termMin: number;
  termMax: number;
  readonly ranges: [number, number][];
};

export const shardReport = ({ table, view }: SubscriptionTokens): ShardReport => {
  const found = new Map<string, Found>();
  let unowned = 0;
  /** By group of equal registers; null for shards that nobody holds. */
  const holdings: ({ readonly holding: Found; readonly moves: boolean } | null)[] = [];
  for (let shard = 0; shard < SHARD_COUNT; shard++) {
    const group = table.groupOf(shard);
    let known = holdings[group];
    if (known === undefined) {
      const token = table.at(shard);
      const holding = holdingOf(token, found);
      known = holding === undefined ? null : { holding, moves: token?.phase === "moving" };
      holdings[group] = known;
    }
    if (known === null) {
      unowned++;
      continue;
    }
    const { holding, moves } = known;
    holding.shards++;
    if (moves) holding.moving++;
    const last = holding.ranges.at(-1);
    if (last?.[1] === shard - 1) last[1] = shard;
    else holding.ranges.push([shard, shard]);
  }
  const holders = [...found].map(([nodeId, { termMin, termMax, ...rest }]) => ({
    nodeId,
    ...rest,
    termMin: BigInt(termMin),
    termMax: BigInt(termMax),
    reachable: view.isLinked(nodeId),
  }));
  return { holders, unowned };
};

/** Where the register counts, with its term noted; undefined when nobody holds it. */
const holdingOf = (token: Token | undefined, found: Map<string, Found>): Found | undefined => {
  if (token === undefined || token.phase === "released") return undefined;
  const { holder, term } = token;
  let holding = found.get(holder);
  if (holding === undefined) {
    holding = { shards: 0, moving: 0, termMin: term, termMax: term, ranges: [] };
    found.set(holder, holding);
  }
  holding.termMin = Math.min(holding.termMin, term);
  holding.termMax = Math.max(holding.termMax, term);
  return holding;
};
