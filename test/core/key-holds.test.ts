import { describe, expect, it } from "vitest";
import {
  type Entry,
  EntryTally,
  IN_FLIGHT,
  newEntry,
  PARKED,
  READY,
  SETTLED,
  STOPPED,
} from "../../src/core/entry.ts";
import { KeyHolds } from "../../src/core/key-holds.ts";

const setUp = (count: number) => {
  const tally = new EntryTally();
  const holds = new KeyHolds(tally);
  const entries = Array.from({ length: count }, (_, at) => newEntry(1, at + 1, 0, 5, 1, -1));
  for (const entry of entries) tally.add(entry);
  return { tally, holds, entries };
};
const seqs = (entries: readonly Entry[]): number[] => entries.map(({ seq }) => seq);

describe("KeyHolds", () => {
  it("releases 2, 3 and 4 in order when 1 has ended, in whatever order they came back", () => {
    const { tally, holds, entries } = setUp(4);
    const [a, b, c, d] = entries as [Entry, Entry, Entry, Entry];
    holds.park(a, PARKED);
    expect([holds.pass(a), holds.pass(d), holds.pass(b), holds.pass(c)]).toEqual([
      true,
      false,
      false,
      false,
    ]);
    expect(tally.count(PARKED)).toBe(4);
    holds.sent(a);
    expect(holds.ended(a, IN_FLIGHT)).toMatchObject({ followers: [b, c, d], dirty: false });
    expect(holds.size).toBe(0);
  });

  it("says so when a key goes on while some of it may be on its way back", () => {
    const { holds, entries } = setUp(1);
    holds.park(entries[0] as Entry, PARKED);
    expect(holds.ended(entries[0] as Entry, PARKED).dirty).toBe(true);
  });

  it("lets an earlier message lead, and leaves a former head that stands in a queue to `pass`", () => {
    const { tally, holds, entries } = setUp(2);
    const [early, late] = entries as [Entry, Entry];
    holds.park(late, PARKED);
    tally.move(late, READY);
    expect(holds.pass(early)).toBe(true);
    expect([holds.isHead(early), late.state]).toEqual([true, READY]);
    expect([holds.pass(late), late.state]).toEqual([false, PARKED]);
    expect(seqs(holds.ended(early, READY).followers)).toEqual([2]);
  });

  it("stops again at a follower that failed itself", () => {
    const { holds, entries } = setUp(4);
    const [a, b, c, d] = entries as [Entry, Entry, Entry, Entry];
    a.state = IN_FLIGHT;
    holds.lead(a);
    holds.park(c, STOPPED);
    expect([holds.pass(b), holds.pass(d)]).toEqual([false, false]);
    expect(seqs(holds.ended(a, IN_FLIGHT).followers)).toEqual([2]);
    expect(holds.isHead(c)).toBe(true);
    expect(seqs(holds.ended(c, STOPPED).followers)).toEqual([4]);
  });

  it("keeps no followers that have ended behind a stopped head", () => {
    const { tally, holds, entries } = setUp(1_000);
    holds.park(entries[0] as Entry, STOPPED);
    for (const entry of entries.slice(1)) holds.pass(entry);
    for (const entry of entries.slice(1, 999)) {
      tally.move(entry, SETTLED);
      holds.ended(entry, PARKED);
    }
    expect(holds.followersOf(5)).toBeLessThan(130);
    expect(seqs(holds.ended(entries[0] as Entry, STOPPED).followers)).toEqual([1_000]);
  });
});
