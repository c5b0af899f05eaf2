/**
 * Which member gets the messages of each shard, as a producer sees it.
 *
 * Problem: asked for every message, while tokens change by the thousand. Approach: an array, in which only the
 * shards whose tokens changed are looked up again, and those without an owner when a member joins.
 * Invariant: a member that drains, or is gone, owns nothing.
 */
import type { Member } from "./member.ts";
import { computeShardMap, SHARD_COUNT } from "./shard-map.ts";

/** Who holds a shard's token, by node id; undefined: nobody gets its messages now. */
export type HolderOf = (shard: number) => string | undefined;

export class ShardOwners {
  readonly #members: ReadonlyMap<string, Member>;
  readonly #holderOf: HolderOf | undefined;
  readonly #owners = new Array<Member | undefined>(SHARD_COUNT).fill(undefined);

  /** `holderOf` absent: the map over the members says who owns what. */
  constructor(members: ReadonlyMap<string, Member>, holderOf: HolderOf | undefined) {
    this.#members = members;
    this.#holderOf = holderOf;
  }

  of(shard: number): Member | undefined {
    return this.#owners[shard];
  }

  /** A member is new, has another weight, or drains no longer. */
  joined(): void {
    if (this.#holderOf === undefined) this.#remap();
    const owners = this.#owners;
    for (let shard = 0; shard < SHARD_COUNT; shard++) owners[shard] ??= this.#holderAt(shard);
  }

  /** The member is gone, or began to drain. */
  left(member: Member): void {
    if (this.#holderOf === undefined) this.#remap();
    const owners = this.#owners;
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      if (owners[shard] === member) owners[shard] = undefined;
    }
  }

  /** Tokens of these shards may be with others than before; whether one is. */
  holdersChanged(shards: readonly number[]): boolean {
    if (this.#holderOf === undefined || this.#members.size === 0) return false;
    let isOther = false;
    for (const shard of shards) {
      const owner = this.#holderAt(shard);
      if (owner === this.#owners[shard]) continue;
      this.#owners[shard] = owner;
      isOther = true;
    }
    return isOther;
  }

  #remap(): void {
    const members = [...this.#members.values()].filter(({ draining }) => !draining);
    const map = computeShardMap(members);
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      this.#owners[shard] = members[map[shard] as number];
    }
  }

  #holderAt(shard: number): Member | undefined {
    const holder = this.#holderOf?.(shard);
    const member = holder === undefined ? undefined : this.#members.get(holder);
    return member?.draining === true ? undefined : member;
  }
}
