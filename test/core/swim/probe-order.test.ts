import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProbeOrder, pickSome } from "../../../src/core/swim/probe-order.ts";
import { SeededRandom } from "../../../src/testing/seeded-random.ts";

const draws = (seed: number): (() => number) => {
  const random = new SeededRandom(seed);
  return () => random.fraction();
};

describe("the order of probes", () => {
  it("reaches everyone once a round, in another order each time", () => {
    const order = new ProbeOrder(draws(1));
    const members = Array.from({ length: 20 }, (_, at) => at);
    order.changed(members);
    const rounds = [1, 2, 3].map(() => members.map(() => order.next()));
    for (const round of rounds) expect([...round].sort((a, b) => a - b)).toEqual(members);
    expect(new Set(rounds.map(String)).size).toBe(3);
  });

  it("reaches each of those that stay within two rounds less one, whoever comes and goes", () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.array(fc.nat(9), { minLength: 1, maxLength: 30 }),
        (seed, others) => {
          const order = new ProbeOrder(draws(seed));
          const stays = 0;
          let silent = 0;
          for (const [at, other] of others.entries()) {
            const list = [stays, ...[1, 2, 3].map((more) => 10 + ((other + more * at) % 10))];
            order.changed([...new Set(list)]);
            silent = order.next() === stays ? 0 : silent + 1;
            // Newcomers go before it, at most all ten at any time.
            expect(silent).toBeLessThan(2 * 11);
          }
        },
      ),
    );
  });

  it("has nobody when there is nobody", () => {
    expect(new ProbeOrder(draws(1)).next()).toBe(-1);
  });
});

describe("a draw of several", () => {
  it("has different ones, without the one that is left out", () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(12), fc.nat(5), (seed, size, count) => {
        const from = Array.from({ length: size }, (_, at) => at);
        const picked = pickSome(from, count, 0, draws(seed));
        expect(new Set(picked).size).toBe(picked.length);
        expect(picked).not.toContain(0);
        expect(picked.length).toBeLessThanOrEqual(count);
      }),
    );
  });
});
