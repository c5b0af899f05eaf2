import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GossipQueue, QUEUE_MAX } from "../../../src/core/swim/gossip-queue.ts";
import { claim } from "./claim-arbitraries.ts";

describe("the queue of news", () => {
  it("sends each piece lambda log10(n + 1) times", () => {
    const queue = new GossipQueue(4);
    queue.put(1, claim("a"));
    let sends = 0;
    while (queue.take(8, 99).length > 0) sends++;
    expect(sends).toBe(8);
    expect(queue.size).toBe(0);
  });

  it("takes what was sent least, each once a message, as a plain list would", () => {
    const step = fc.oneof(
      fc.record({ put: fc.nat(9) }),
      fc.record({ take: fc.integer({ min: 1, max: 5 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const queue = new GossipQueue(2);
        const sendsMax = queue.sendsMax(9);
        let plain: { member: number; sends: number }[] = [];
        for (const one of steps) {
          if ("put" in one) {
            queue.put(one.put, claim(`m${one.put}`));
            plain = plain.filter(({ member }) => member !== one.put);
            plain.push({ member: one.put, sends: 0 });
            continue;
          }
          const least = plain
            .map(({ sends }) => sends)
            .sort((a, b) => a - b)
            .slice(0, one.take);
          const taken = queue.take(one.take, 9).map(({ id }) => Number(id.slice(1)));
          expect(new Set(taken).size).toBe(taken.length);
          const found = plain.filter(({ member }) => taken.includes(member));
          expect(found.map(({ sends }) => sends).sort((a, b) => a - b)).toEqual(least);
          for (const each of found) each.sends++;
          plain = plain.filter(({ sends }) => sends < sendsMax);
          expect(queue.size).toBe(plain.length);
        }
      }),
    );
  });

  it("gives up what was sent most when it is full", () => {
    const queue = new GossipQueue(4);
    queue.put(0, claim("first"));
    queue.take(1, 99);
    for (let member = 1; member <= QUEUE_MAX; member++) queue.put(member, claim(`m${member}`));
    expect(queue.size).toBe(QUEUE_MAX);
    expect(queue.has(0)).toBe(false);
  });
});
