import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import xxhash from "xxhash-wasm";
import {
  computeShardMap,
  drawOf,
  mix32,
  SHARD_COUNT,
  SHARD_MEMBERS_MAX,
  type ShardMember,
  scoreOf,
  shardOf,
} from "../../src/core/shard-map.ts";
import type { MeshError } from "../../src/errors.ts";

type Vectors = {
  readonly keys: readonly { key: string; hash: number; shard: number }[];
  readonly mix32: readonly { value: number; result: number }[];
  readonly draws: readonly { hash: number; shard: number; draw: number }[];
  readonly scores: readonly { draw: number; weight: number; bits: string }[];
  readonly maps: readonly {
    name: string;
    members: readonly ShardMember[];
    counts: readonly number[];
    first32: readonly number[];
    fnv1a: number;
  }[];
};

const vectors = JSON.parse(
  readFileSync(new URL("./shard-vectors.json", import.meta.url), "utf8"),
) as Vectors;

const { h32 } = await xxhash();

const hashes = fc.integer({ min: 0, max: 0xffff_ffff });
const groups = fc.uniqueArray(
  fc.record({
    id: fc.string({ minLength: 1, maxLength: 3 }),
    hash: fc.oneof({ weight: 9, arbitrary: hashes }, { weight: 1, arbitrary: fc.nat(2) }),
    weight: fc.oneof(fc.constant(1), fc.integer({ min: 0, max: 5 })),
  }),
  { selector: ({ id }) => id, maxLength: 8 },
);

const ownerIds = (members: readonly ShardMember[]): (string | undefined)[] =>
  [...computeShardMap(members)].map((index) => members[index]?.id);

/** The definition, one pair at a time, with the library's logarithm. */
const plainOwner = (members: readonly ShardMember[], shard: number): string | undefined => {
  const entries = members
    .filter(({ weight }) => weight > 0)
    .map(({ id, hash, weight }) => {
      const draw = drawOf(hash, shard);
      return { id, score: -Math.log((draw + 0.5) / 2 ** 32) / weight, draw, weight };
    });
  entries.sort((a, b) => {
    if (a.weight === b.weight && a.draw === b.draw) {
      return a.id < b.id === (shard % 2 === 0) ? -1 : 1;
    }
    return a.score - b.score;
  });
  return entries[0]?.id;
};

const countOf = (members: readonly ShardMember[]): number[] => {
  const counts = members.map(() => 0);
  for (const owner of computeShardMap(members)) counts[owner] = (counts[owner] ?? 0) + 1;
  return counts;
};

const randomGroup = (size: number, seed: number, weightOf: (at: number) => number): ShardMember[] =>
  Array.from({ length: size }, (_, at) => ({
    id: `member-${at}`,
    hash: mix32(seed * 1_000_003 + at),
    weight: weightOf(at),
  }));

describe("the published vectors", () => {
  it("hold for keys, hashed by the protocol's hash", () => {
    for (const { key, hash, shard } of vectors.keys) {
      expect(h32(key, 0) >>> 0).toBe(hash);
      expect(shardOf(hash)).toBe(shard);
    }
  });

  it("hold for the mix, the draws and the bits of the scores", () => {
    for (const { value, result } of vectors.mix32) expect(mix32(value)).toBe(result);
    for (const { hash, shard, draw } of vectors.draws) expect(drawOf(hash, shard)).toBe(draw);
    for (const { draw, weight, bits } of vectors.scores) {
      const bytes = Buffer.alloc(8);
      bytes.writeDoubleBE(scoreOf(draw, weight));
      expect(bytes.toString("hex")).toBe(bits);
    }
  });

  it.each(vectors.maps)("hold for the map of $name", ({ members, counts, first32, fnv1a }) => {
    const owners = computeShardMap(members);
    let sum = 0x811c9dc5;
    for (const owner of owners) sum = Math.imul(sum ^ (owner & 0xff), 16777619) >>> 0;
    expect(owners).toHaveLength(SHARD_COUNT);
    expect([...owners.subarray(0, 32)]).toEqual(first32);
    expect(members.map((_, index) => owners.filter((owner) => owner === index).length)).toEqual(
      counts,
    );
    expect(sum).toBe(fnv1a);
  });

  it("use the hash of each id, but where a collision is staged", () => {
    const honest = vectors.maps.filter(({ name }) => !name.includes("collide"));
    for (const { members } of honest) {
      for (const { id, hash } of members) expect(h32(id, 0) >>> 0).toBe(hash);
    }
    expect(honest.length).toBeGreaterThan(4);
  });
});

describe("the shard map", () => {
  it("gives each shard to the member the definition names", () => {
    fc.assert(
      fc.property(groups, (members) => {
        const owners = ownerIds(members);
        for (let shard = 0; shard < SHARD_COUNT; shard += 37) {
          expect(owners[shard]).toBe(plainOwner(members, shard));
        }
      }),
    );
  });

  it("does not depend on the order of the members", () => {
    const shuffled = groups.chain((members) =>
      fc.tuple(
        fc.constant(members),
        fc.shuffledSubarray(members, { minLength: members.length, maxLength: members.length }),
      ),
    );
    fc.assert(
      fc.property(shuffled, ([members, others]) => {
        expect(ownerIds(others)).toEqual(ownerIds(members));
      }),
    );
  });

  it("moves only the shards of a member that leaves, and only to it when it joins", () => {
    const withOne = groups
      .filter(({ length }) => length > 0)
      .chain((members) => fc.tuple(fc.constant(members), fc.nat(members.length - 1)));
    fc.assert(
      fc.property(withOne, ([members, at]) => {
        const leaver = members[at]?.id;
        const before = ownerIds(members);
        const after = ownerIds(members.filter(({ id }) => id !== leaver));
        for (let shard = 0; shard < SHARD_COUNT; shard++) {
          if (before[shard] !== leaver && before[shard] !== after[shard]) {
            expect.fail(`shard ${shard} moved from ${before[shard]} to ${after[shard]}`);
          }
          if (after[shard] === leaver && leaver !== undefined) expect.fail("it still owns");
        }
      }),
    );
  });

  it("moves shards only towards a member whose weight grows", () => {
    const grown = groups
      .filter(({ length }) => length > 0)
      .chain((members) =>
        fc.tuple(fc.constant(members), fc.nat(members.length - 1), fc.integer({ min: 1, max: 9 })),
      );
    fc.assert(
      fc.property(grown, ([members, at, by]) => {
        const heavier = members.map((member, index) =>
          index === at ? { ...member, weight: member.weight + by } : member,
        );
        const before = ownerIds(members);
        const after = ownerIds(heavier);
        for (let shard = 0; shard < SHARD_COUNT; shard++) {
          if (before[shard] !== after[shard] && after[shard] !== members[at]?.id) {
            // A tie by colliding hashes ends when the weights differ: then the rival may win it too.
            const twins = members.filter(({ hash }) => hash === members[at]?.hash);
            if (twins.length === 1) expect.fail(`shard ${shard} went to ${after[shard]}`);
          }
        }
      }),
    );
  });

  it("gives nobody anything when there are no members, or none with a weight", () => {
    expect(computeShardMap([]).every((owner) => owner === -1)).toBe(true);
    const idle = randomGroup(3, 1, () => 0);
    expect(computeShardMap(idle).every((owner) => owner === -1)).toBe(true);
  });

  it("spreads shards by weight, within five standard deviations", () => {
    for (const weightOf of [() => 1, (at: number) => 1 + (at % 4), (at: number) => 1 + at * 7]) {
      for (let seed = 1; seed <= 10; seed++) {
        const members = randomGroup(10, seed, weightOf);
        const total = members.reduce((sum, { weight }) => sum + weight, 0);
        countOf(members).forEach((count, at) => {
          const share = (members[at] as ShardMember).weight / total;
          const deviation = Math.sqrt(SHARD_COUNT * share * (1 - share));
          expect(Math.abs(count - SHARD_COUNT * share)).toBeLessThan(5 * deviation);
        });
      }
    }
  });

  it("splits the shards between two members whose hashes collide", () => {
    const twins = ["a", "b"].map((id) => ({ id, hash: 42, weight: 3 }));
    expect(countOf(twins)).toEqual([SHARD_COUNT / 2, SHARD_COUNT / 2]);
  });

  it("scores strictly lower for a higher draw, also where the exponent changes", () => {
    const starts = [0, 2 ** 32 - 5_000];
    for (let k = 1; k <= 32; k++) starts.push(2 ** k * Math.SQRT1_2 - 2_500, 2 ** k - 2_500);
    for (const start of starts) {
      const from = Math.min(Math.max(0, Math.round(start)), 2 ** 32 - 5_000);
      for (let draw = from; draw < from + 4_999; draw++) {
        if (!(scoreOf(draw + 1, 7) < scoreOf(draw, 7))) expect.fail(`draws ${draw}, ${draw + 1}`);
      }
    }
  });

  it("agrees with the library's logarithm to 15 digits", () => {
    fc.assert(
      fc.property(hashes, (draw) => {
        const expected = -Math.log((draw + 0.5) / 2 ** 32);
        expect(Math.abs(scoreOf(draw, 1) / expected - 1)).toBeLessThan(1e-15);
      }),
      { numRuns: 2_000 },
    );
  });

  it("refuses a wrong weight, an id named twice and too many members", () => {
    const wrong: ShardMember[][] = [-1, 0.5, Number.NaN, Infinity, 2 ** 32].map((weight) => [
      { id: "a", hash: 1, weight },
    ]);
    wrong.push(["a", "a"].map((id, hash) => ({ id, hash, weight: 1 })));
    wrong.push(randomGroup(SHARD_MEMBERS_MAX + 1, 1, () => 1));
    for (const members of wrong) {
      expect(() => computeShardMap(members)).toThrowError(
        expect.objectContaining({ code: "INVALID_OPTIONS" }) as MeshError,
      );
    }
  });
});
