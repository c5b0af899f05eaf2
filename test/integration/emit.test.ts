/** At most once: what is taken arrives while its member lives, what is dropped is counted by reason. */
import { afterEach, describe, expect, it } from "vitest";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const TICKS = { name: "ticks", verb: "subscribe", subject: "clock.tick" } as const;

describe("emit", () => {
  it("without a subscriber says so and is counted", async () => {
    const mesh = await world();
    const a = await mesh.start("a");
    expect(await a.emit("clock.tick", 1)).toBe(false);
    expect(await a.counter("emit.dropped.noSubscriber")).toBe(1);
    expect(await a.ledger()).toEqual({});
  });

  it("reaches one member of each group, and is in no ledger", async () => {
    const mesh = await world();
    const nodes = await Promise.all(["a", "b1", "b2", "c"].map((name) => mesh.start(name)));
    const [a, b1, b2, c] = nodes as [
      (typeof nodes)[number],
      (typeof nodes)[number],
      (typeof nodes)[number],
      (typeof nodes)[number],
    ];
    await mesh.link(a, b1, b2, c);
    for (const member of [b1, b2]) await member.listen({ ...TICKS, options: { group: "b" } });
    await c.listen(TICKS);
    for (const n of range(0, 40)) expect(await a.emit("clock.tick", n)).toBe(true);
    await c.handledAll("ticks", range(0, 40));
    await a.sees("group b handled all", () => {
      return b1.numbers("end", "ticks").length + b2.numbers("end", "ticks").length >= 40;
    });
    const both = [...b1.numbers("end", "ticks"), ...b2.numbers("end", "ticks")];
    expect(both.sort((x, y) => x - y)).toEqual(range(0, 40));
    expect(Object.values(await a.ledger()).every(({ accepted }) => accepted === 0)).toBe(true);
  });

  it("faster than a member takes it is dropped at its bound and counted; what was taken arrives", async () => {
    const mesh = await world();
    const [a, b] = await Promise.all([mesh.start("a"), mesh.start("b")]);
    await mesh.link(a, b);
    await b.listen(TICKS);
    const count = 40_000; // in one turn: nothing is taken meanwhile
    const taken = (await a.call({ op: "flood", subject: "clock.tick", count })) as number;
    const counters = await a.counters();
    const { "emit.dropped.noCredit": noCredit = 0, "emit.dropped.congested": congested = 0 } =
      counters;
    expect(noCredit + congested).toBe(1);
    expect(taken).toBeGreaterThan(500);
    expect(taken).toBeLessThan(count);
    await b.handled("ticks", taken);
    expect(b.numbers("end", "ticks")).toHaveLength(taken);
  });

  it("is not tried again when its handler fails, and that is counted", async () => {
    const mesh = await world();
    const [a, b] = await Promise.all([mesh.start("a"), mesh.start("b")]);
    await mesh.link(a, b);
    await b.listen({ ...TICKS, behaviour: [{ type: "throw", only: [1] }] });
    for (const n of [1, 2]) await a.emit("clock.tick", n);
    await b.handledAll("ticks", [2]);
    expect(await b.counter("emit.dropped.handlerFailed")).toBe(1);
    expect(b.numbers("start", "ticks")).toEqual([1, 2]);
  });

  it("after its only member was killed is dropped and counted", async () => {
    const mesh = await world();
    const [a, b] = await Promise.all([mesh.start("a"), mesh.start("b")]);
    await mesh.link(a, b);
    await b.listen(TICKS);
    await b.kill();
    await a.sees("b is gone", async () => (await a.peers()).some(({ state }) => state !== "alive"));
    expect(await a.emit("clock.tick", 1)).toBe(false);
    expect(await a.counter("emit.dropped.noSubscriber")).toBe(1);
  });
});
