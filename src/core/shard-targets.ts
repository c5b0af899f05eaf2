/** Where each shard's token should be, by the members seen now; computed when they change, not per shard. */
import { computeShardMap, type ShardMember } from "./shard-map.ts";

export class ShardTargets {
  readonly #self: ShardMember;
  #seen: readonly ShardMember[] | undefined;
  #withSelf = true;
  #members: readonly ShardMember[] = [];
  #map: Int16Array = new Int16Array(0);

  constructor(self: ShardMember) {
    this.#self = self;
  }

  /** `withSelf`: this member takes part; false while it leaves. */
  update(candidates: readonly ShardMember[], withSelf: boolean): void {
    if (candidates === this.#seen && withSelf === this.#withSelf) return;
    this.#seen = candidates;
    this.#withSelf = withSelf;
    const others = candidates.filter(({ id }) => id !== this.#self.id);
    this.#members = withSelf ? [...others, this.#self] : others;
    this.#map = computeShardMap(this.#members);
  }

  /** Whether this member should own the shard: it is the last of the members. */
  isFor(shard: number): boolean {
    return this.#withSelf && this.#map[shard] === this.#members.length - 1;
  }

  /** The member that should own the shard; undefined when there is none. */
  of(shard: number): ShardMember | undefined {
    return this.#members[this.#map[shard] ?? -1];
  }
}
