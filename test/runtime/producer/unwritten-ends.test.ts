import { describe, expect, it } from "vitest";
import { UnwrittenEnds } from "../../../src/runtime/producer/unwritten-ends.ts";

describe("keys whose messages ended and are not written", () => {
  it("go on with a commit that began after the end, not with one under way", () => {
    const ends = new UnwrittenEnds();
    ends.flush();
    ends.add(7);
    expect(ends.committed(true)).toBe(false);
    expect(ends.holds(7)).toBe(true);
    expect(ends.holds(8)).toBe(false);
    ends.flush();
    expect(ends.holds(7)).toBe(true);
    expect(ends.committed(true)).toBe(true);
    expect(ends.holds(7)).toBe(false);
  });

  it("wait on when the commit fails, with those that ended meanwhile", () => {
    const ends = new UnwrittenEnds();
    ends.add(1);
    ends.flush();
    ends.add(2);
    expect(ends.committed(false)).toBe(false);
    expect([1, 2, 3].map((key) => ends.holds(key))).toEqual([true, true, false]);
    ends.flush();
    expect(ends.committed(true)).toBe(true);
    expect([1, 2].map((key) => ends.holds(key))).toEqual([false, false]);
  });

  it("are all keys, but not messages without one, when there are too many to name", () => {
    const ends = new UnwrittenEnds();
    ends.add(-1);
    for (let key = 0; key < 5_000; key++) ends.add(key);
    expect(ends.holds(1_000_000)).toBe(true);
    expect(ends.holds(-1)).toBe(false);
    ends.flush();
    expect(ends.committed(true)).toBe(true);
    expect(ends.holds(1_000_000)).toBe(false);
  });
});
