import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SHARD_COUNT } from "../../src/core/shard-map.ts";
import {
  compareTokens,
  HOLDER_CHARS_MAX,
  PHASES,
  TERM_MAX,
  type Token,
  type TokenEntry,
  TokenTable,
  wallTerm,
} from "../../src/core/token-table.ts";

const token: fc.Arbitrary<Token> = fc
  .record({
    term: fc.integer({ min: 1, max: 4 }),
    holder: fc.constantFrom("a", "b", "c"),
    phase: fc.constantFrom(...PHASES),
    next: fc.constantFrom("a", "b"),
  })
  .map((made) => (made.phase === "released" ? made : { ...made, next: "" }));

const ranges = fc
  .array(fc.tuple(fc.nat({ max: 1_500 }), fc.nat({ max: 900 })), { maxLength: 5 })
  .map((pairs) => pairs.flat());

const entry: fc.Arbitrary<TokenEntry> = fc
  .tuple(token, ranges)
  .map(([made, shards]) => ({ ...made, shards }));

/** The dumb oracle: a list of the greatest, shard by shard. */
const greatest = (entries: readonly TokenEntry[]): (Token | undefined)[] => {
  const all: (Token | undefined)[] = new Array(SHARD_COUNT).fill(undefined);
  for (const { shards, ...made } of entries) {
    for (let pair = 0, at = 0; pair < shards.length; pair += 2) {
      at += shards[pair] as number;
      for (let left = shards[pair + 1] as number; left > 0; left--, at++) {
        if (at >= SHARD_COUNT) break;
        const known = all[at];
        if (known === undefined || compareTokens(made, known) > 0) all[at] = made;
      }
    }
  }
  return all;
};

const registers = (table: TokenTable): (Token | undefined)[] =>
  Array.from({ length: SHARD_COUNT }, (_, shard) => table.at(shard));

describe("a table of tokens", () => {
  it("keeps the greatest of what was said, in whatever order and however often", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), fc.nat(), (entries, seed) => {
        const table = new TokenTable();
        table.merge(entries, 0);
        expect(registers(table)).toEqual(greatest(entries));
        const other = new TokenTable();
        const turned = entries.map((_, at) => entries[(at + seed) % entries.length] as TokenEntry);
        for (const one of [...turned, ...turned].reverse()) other.merge([one], 1);
        expect(registers(other)).toEqual(registers(table));
      }),
      { numRuns: 60 },
    );
  });

  it("says what it knows in entries that make an equal table", () => {
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 8 }), (entries) => {
        const table = new TokenTable();
        table.merge(entries, 0);
        const other = new TokenTable();
        const { changes, stale } = other.merge(table.entries(), 0);
        expect(registers(other)).toEqual(registers(table));
        expect(stale).toEqual([]);
        const changed = changes.flatMap(({ shards }) => shards);
        expect(changed.length).toBe(registers(table).filter(Boolean).length);
        expect(other.merge(table.entries(), 0).changes).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });

  it("tells what changed, what it was before, and what was said too late", () => {
    const table = new TokenTable();
    const held = { term: 5, holder: "a", phase: "held", next: "" } as const;
    table.merge([{ ...held, shards: [0, 4] }], 10);
    const later = { ...held, term: 6, holder: "b" };
    const earlier = { ...held, term: 4, holder: "c" };
    const merged = table.merge(
      [
        { ...later, shards: [1, 1] },
        { ...earlier, shards: [2, 4] },
      ],
      20,
    );
    expect(merged).toEqual({
      changes: [
        { token: later, formerly: held, shards: [1] },
        { token: earlier, formerly: undefined, shards: [4, 5] },
      ],
      stale: [2, 3],
      ignored: 0,
    });
    expect(table.heardMs(0)).toBe(10);
    expect(table.heardMs(1)).toBe(20);
    expect(table.entries([5, 1, 0])).toEqual([
      { ...held, shards: [0, 1] },
      { ...later, shards: [1, 1] },
      { ...earlier, shards: [5, 1] },
    ]);
  });

  it("ignores what no node would say, and ranges beyond the last shard", () => {
    const table = new TokenTable();
    const good = { term: 1, holder: "a", phase: "held", next: "", shards: [0, 1] } as const;
    const { ignored, changes } = table.merge(
      [
        { ...good, term: 0 },
        { ...good, term: 1.5 },
        { ...good, term: TERM_MAX + 1 },
        { ...good, holder: "" },
        { ...good, holder: "x".repeat(HOLDER_CHARS_MAX + 1) },
        { ...good, next: "b" },
        { ...good, shards: [SHARD_COUNT - 1, 2 ** 32 - 1, 2 ** 32 - 1, 5] },
      ],
      0,
    );
    expect(ignored).toBe(6);
    expect(changes.map(({ shards }) => shards)).toEqual([[SHARD_COUNT - 1]]);
  });

  it("gives terms above all it has heard, and above the wall clock's, in range whatever that shows", () => {
    const table = new TokenTable();
    expect(table.newTerm(2_000, 0)).toBe(2 * 2 ** 16);
    table.merge([{ term: 2 ** 40, holder: "a", phase: "held", next: "", shards: [3, 1] }], 0);
    expect(table.newTerm(2_000, 1)).toBe(2 ** 40 + 1);
    expect(table.newTerm(2_000, 0)).toBe(2 ** 40 + 2 ** 12);
    expect(table.newTerm(8.64e15, 0)).toBe(2 ** 51);
    expect(wallTerm(-5)).toBe(1);
  });

  it("gives two nodes that have heard the same two terms, and each rising ones", () => {
    const hashes = [0, 1, 4_095, 4_096 + 7, 2 ** 32 - 2];
    const table = new TokenTable();
    let highest = 0;
    for (let round = 0; round < 5; round++) {
      const terms = hashes.map((hash) => table.newTerm(1_000, hash));
      expect(new Set(terms).size).toBe(hashes.length);
      expect(Math.min(...terms)).toBeGreaterThan(highest);
      highest = Math.max(...terms);
      const shards = [round, 1];
      table.merge([{ term: highest, holder: "a", phase: "held", next: "", shards }], 0);
    }
  });
});
