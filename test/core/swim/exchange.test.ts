import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Claim, wordOf } from "../../../src/core/swim/claim.ts";
import { bucketCount, Exchange, HASHES_MAX, ROWS_MAX } from "../../../src/core/swim/exchange.ts";
import { MemberNames } from "../../../src/core/swim/member-names.ts";
import { MemberTable } from "../../../src/core/swim/member-table.ts";
import { claim } from "./claim-arbitraries.ts";

type Side = {
  readonly table: MemberTable;
  readonly names: MemberNames;
  readonly exchange: Exchange;
};

const side = (rows: readonly Claim[]): Side => {
  const names = new MemberNames();
  const table = new MemberTable(names, 20_000);
  for (const row of rows) table.add(row.id, row.epoch, wordOf(row));
  return { table, names, exchange: new Exchange(names, table) };
};

/** Takes what is later, as beliefs do. */
const merge = ({ table, names }: Side, rows: readonly Claim[]): void => {
  for (const row of rows) {
    const number = names.find(row.id);
    if (number < 0) table.add(row.id, row.epoch, wordOf(row));
    else if (table.isLater(number, row.epoch, wordOf(row)))
      table.put(number, row.epoch, wordOf(row));
  }
};

const contents = ({ table, names }: Side): string[] => {
  const rows: string[] = [];
  for (let number = 0; number < table.span; number++) {
    if (table.has(number)) rows.push(`${names.id(number)} ${table.word(number)}`);
  }
  return rows.sort();
};

/** One exchange, begun by `a`. */
const compare = (a: Side, b: Side): number => {
  const digest = a.exchange.digest();
  const wanted = b.exchange.differing(digest);
  const answer = b.exchange.rows(digest.buckets, wanted, 0);
  merge(a, answer);
  merge(b, a.exchange.rows(digest.buckets, wanted, 0));
  return answer.length;
};

describe("an exchange", () => {
  it("says nothing of what is the same", () => {
    const rows = Array.from({ length: 300 }, (_, at) => claim(`node-${at}`));
    expect(compare(side(rows), side([...rows].reverse()))).toBe(0);
  });

  it("brings two tables together, whatever each of them has missed", () => {
    const missing = fc.array(fc.tuple(fc.nat(199), fc.nat(3), fc.nat(2)), { maxLength: 40 });
    fc.assert(
      fc.property(missing, missing, (forA, forB) => {
        const rows = Array.from({ length: 200 }, (_, at) => claim(`node-${at}`));
        const sides = [forA, forB].map((changes) => {
          const own = new Map(rows.map((row) => [row.id, row]));
          for (const [which, incarnation, what] of changes) {
            const id = `node-${which}`;
            if (what === 0) own.delete(id);
            else own.set(id, claim(id, { incarnation, state: what === 1 ? "alive" : "suspect" }));
          }
          return side([...own.values()]);
        }) as [Side, Side];
        compare(sides[0], sides[1]);
        compare(sides[1], sides[0]);
        expect(contents(sides[0])).toEqual(contents(sides[1]));
      }),
      { numRuns: 50 },
    );
  });

  it("does not see whether the dead are still remembered, but that somebody lives here only", () => {
    const rows = [claim("a"), claim("b")];
    const remembers = side([...rows, claim("c", { state: "dead" })]);
    expect(compare(remembers, side(rows))).toBe(0);
    expect(compare(remembers, side([...rows, claim("c")]))).toBe(3);
  });

  it("goes through a large table in pieces, and sends bounded ones whatever is asked", () => {
    const { exchange } = side(Array.from({ length: 9_000 }, (_, at) => claim(`node-${at}`)));
    const pieces = [exchange.digest(), exchange.digest(), exchange.digest()];
    expect(pieces.map(({ buckets }) => buckets)).toEqual([1_024, 1_024, 1_024]);
    expect(pieces.map(({ first }) => first)).toEqual([0, HASHES_MAX, 0]);
    const all = Array.from({ length: 1_024 }, (_, at) => at);
    expect(exchange.rows(1_024, all, 0)).toHaveLength(ROWS_MAX);
    expect(exchange.rows(1_024, all, 4_000)[0]?.id).not.toBe(exchange.rows(1_024, all, 0)[0]?.id);
  });

  it("answers a digest without sense with nothing", () => {
    const { exchange } = side([claim("a")]);
    for (const buckets of [0, 3, 2 ** 17, 1.5]) {
      expect(exchange.differing({ buckets, first: 0, hashes: [1, 2] })).toEqual([]);
      expect(exchange.rows(buckets, [0], 0)).toEqual([]);
    }
    expect(exchange.differing({ buckets: 4, first: 9, hashes: [1] })).toEqual([]);
  });

  it("parts a table into a power of two of buckets, about sixteen members each", () => {
    expect([0, 16, 17, 300, 10_000].map(bucketCount)).toEqual([1, 1, 2, 32, 1_024]);
  });
});
