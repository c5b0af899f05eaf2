import { describe, expect, it } from "vitest";
import { newEntry } from "../../src/core/entry.ts";
import { ShardGate } from "../../src/core/shard-gate.ts";

const entry = (seq: number, keyHash: number) => newEntry(1, seq, 0, keyHash, 1, -1);

describe("ShardGate", () => {
  it("holds a moving shard back until everything of it in flight has ended, then gives it in order", () => {
    const gate = new ShardGate<string>();
    const [a, b, c, d, other] = [
      entry(1, 9),
      entry(2, 4105),
      entry(3, 9),
      entry(4, 9),
      entry(5, 8),
    ];
    gate.sent(a, "old");
    gate.sent(b, "old");
    expect([gate.admit(c, "new"), gate.admit(d, "new"), gate.admit(other, "new")]).toEqual([
      false,
      false,
      true,
    ]);
    expect(gate.admit(entry(6, 9), "old")).toBe(true);
    expect([gate.holdsBack(9), gate.holdsBack(4105)]).toEqual([true, false]);
    expect(gate.ended(a)).toBeUndefined();
    expect(gate.ended(b)).toEqual([c, d]);
    expect(gate.admit(c, "new")).toBe(true);
  });

  it("is shut for the holder too, until what is in flight has ended", () => {
    const gate = new ShardGate<string>();
    const [a, b] = [entry(1, 9), entry(2, 9)];
    expect(gate.shut(9)).toBe(false); // nothing in flight
    gate.sent(a, "m");
    expect([gate.shut(9), gate.shut(9)]).toEqual([true, false]);
    expect(gate.admit(b, "m")).toBe(false);
    expect(gate.drain()).toEqual([b]);
    expect(gate.admit(b, "m")).toBe(false); // still shut
    expect(gate.ended(a)).toEqual([b]);
    expect([gate.admit(b, "m"), gate.inFlight(9)]).toEqual([true, 0]);
  });
});
