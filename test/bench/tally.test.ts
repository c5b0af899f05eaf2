import { describe, expect, it } from "vitest";
import { makePayload, numberedJson } from "../../bench/children/payload.ts";
import { KEYS, mergeTallies, type Order, Tally } from "../../bench/children/tally.ts";

const COUNT = 20;

const tallyOf = (sequences: readonly number[], order: Order = "all", count = COUNT): Tally => {
  const tally = new Tally();
  tally.begin(3, count, order);
  for (const sequence of sequences) tally.arrived(makePayload("bytes", 3, sequence, 16));
  return tally;
};

const all = Array.from({ length: COUNT }, (_, sequence) => sequence);

describe("a tally", () => {
  it("finds nothing wrong with all messages in order", () => {
    expect(mergeTallies([tallyOf(all).report()], COUNT)).toMatchObject({
      received: COUNT,
      lost: 0,
      reordered: 0,
      duplicates: 0,
    });
  });

  it("counts what is missing, what comes twice and what comes late", () => {
    const report = tallyOf([0, 1, 3, 2, 2, ...all.slice(5)]).report();
    expect(mergeTallies([report], COUNT)).toMatchObject({ lost: 1, reordered: 1, duplicates: 1 });
  });

  it("takes no notice of another round, or of more than was announced", () => {
    const tally = tallyOf(all);
    tally.arrived(makePayload("bytes", 2, 0, 16));
    tally.arrived(makePayload("bytes", 3, COUNT, 16));
    expect(tally.report()).toMatchObject({ received: COUNT, duplicates: 0, reordered: 0 });
  });

  it("puts consumers that share together, and finds what two of them got", () => {
    const merged = mergeTallies(
      [tallyOf(all.slice(0, 12)).report(), tallyOf(all.slice(10)).report()],
      COUNT,
    );
    expect(merged).toMatchObject({ received: COUNT, lost: 0, duplicates: 2 });
  });

  it("asks for order within a key alone where keys count", () => {
    const count = 3 * KEYS;
    const apart = tallyOf([KEYS, 1, 2 * KEYS], "key", count).report();
    expect(apart.reordered).toBe(0);
    expect(tallyOf([KEYS, 0], "key", count).report().reordered).toBe(1);
    expect(tallyOf([5, 4], "none", count).report().reordered).toBe(0);
  });

  it("reads the numbers of JSON objects, which have the size that was asked for", () => {
    const tally = new Tally();
    tally.begin(1, 1, "all");
    const payload = numberedJson(1, 0, 1_024);
    expect(JSON.stringify(payload)).toHaveLength(1_024);
    tally.arrived(payload);
    expect(tally.received).toBe(1);
  });
});
