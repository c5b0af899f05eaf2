import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DueHeap } from "../../src/core/due-heap.ts";

describe("DueHeap", () => {
  it("gives what is due in order of time, then of arrival, with or without dropped waits", () => {
    const times = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 60 });
    fc.assert(
      fc.property(
        times,
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ max: 25 }),
        (dues, n, now) => {
          const heap = new DueHeap<number>();
          dues.forEach((due, at) => {
            heap.push(due, at);
          });
          heap.retain((at, due) => due === dues[at] && at % n === 0);
          const kept = dues.map((due, at) => ({ due, at })).filter(({ at }) => at % n === 0);
          kept.sort((a, b) => a.due - b.due || a.at - b.at);
          expect(heap.size).toBe(kept.length);
          expect(heap.nextDueMs).toBe(kept[0]?.due);
          const given: number[] = [];
          for (let at = heap.popDue(now); at !== undefined; at = heap.popDue(now)) given.push(at);
          expect(given).toEqual(kept.filter(({ due }) => due <= now).map(({ at }) => at));
          expect(heap.size).toBe(kept.length - given.length);
        },
      ),
    );
  });
});
