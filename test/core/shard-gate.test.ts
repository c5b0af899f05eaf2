import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Entry, newEntry } from "../../src/core/entry.ts";
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

  it("never lets a shard be with two holders, loses nothing and keeps the order, as a plain list does", () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ type: fc.constant("come" as const), key: fc.nat(2) }) },
      { weight: 5, arbitrary: fc.record({ type: fc.constant("end" as const), at: fc.nat(20) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant("move" as const), key: fc.nat(2) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant("shut" as const), key: fc.nat(2) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const gate = new ShardGate<number>();
        const owner = [0, 0, 0];
        const flying: { readonly entry: Entry; readonly holder: number }[] = [];
        const sent: Entry[] = [];
        let waiting: Entry[] = [];
        const shut = new Set<number>();
        let seq = 0;
        const offer = (entry: Entry): void => {
          const key = entry.keyHash;
          const there = flying.filter((one) => one.entry.keyHash === key);
          const may = there.length === 0 || (there[0]?.holder === owner[key] && !shut.has(key));
          expect(gate.admit(entry, owner[key] as number)).toBe(may);
          if (!may) {
            waiting.push(entry);
            return;
          }
          gate.sent(entry, owner[key] as number);
          flying.push({ entry, holder: owner[key] as number });
          sent.push(entry);
          expect(new Set([...there.map(({ holder }) => holder), owner[key]]).size).toBe(1);
        };
        const end = (at: number): void => {
          const [one] = flying.splice(at % flying.length, 1);
          if (one === undefined) return;
          const key = one.entry.keyHash;
          const last = flying.every(({ entry }) => entry.keyHash !== key);
          const freed = last ? waiting.filter((entry) => entry.keyHash === key) : [];
          if (last) shut.delete(key);
          expect(gate.ended(one.entry) ?? []).toEqual(freed);
          waiting = waiting.filter((entry) => !freed.includes(entry));
          for (const entry of freed) offer(entry);
        };
        for (const each of steps) {
          if (each.type === "come") {
            const behind = waiting.some(({ keyHash }) => keyHash === each.key);
            expect(gate.holdsBack(each.key)).toBe(behind);
            offer(entry(++seq, each.key));
          } else if (each.type === "end") end(each.at);
          else if (each.type === "shut") {
            const may = flying.some(({ entry: { keyHash } }) => keyHash === each.key);
            expect(gate.shut(each.key)).toBe(may && !shut.has(each.key));
            if (may) shut.add(each.key);
          } else {
            owner[each.key] = (owner[each.key] as number) + 1;
            const all = gate.drain();
            expect(all).toHaveLength(waiting.length);
            waiting = [];
            for (const one of all.sort((a, b) => a.seq - b.seq)) offer(one);
          }
        }
        while (flying.length > 0) end(0);
        expect([sent.length, waiting.length]).toEqual([seq, 0]);
        for (const key of [0, 1, 2]) {
          const order = sent.filter(({ keyHash }) => keyHash === key).map((each) => each.seq);
          expect(order).toEqual([...order].sort((a, b) => a - b));
        }
      }),
    );
  });
});
