/** Durable subscribers that go away, producers that die: nothing accepted is lost. */
import { afterEach, describe, expect, it } from "vitest";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const LOG = {
  name: "log",
  verb: "subscribe",
  subject: "sale.made",
  options: { durable: true },
} as const;
const LEDGER = "event audit sale.made";

describe("a durable subscription", () => {
  for (const how of ["a clean stop", "kill -9"] as const) {
    it(`gets what was published while its only member was away, after ${how}`, async () => {
      const mesh = await world();
      const [shop, audit] = await Promise.all([mesh.start("shop"), mesh.start("audit")]);
      await mesh.link(shop, audit);
      await audit.listen(LOG);
      await shop.publish("sale.made", 1);
      await shop.settled(LEDGER, 1);
      if (how === "kill -9") await audit.kill();
      else await audit.stop();
      for (const n of range(2, 20)) await shop.publish("sale.made", n);
      expect((await shop.ledger())[LEDGER]).toMatchObject({ accepted: 21, pending: 20 });
      await audit.kill();
      const again = await mesh.start("audit");
      await mesh.link(shop, again);
      await again.listen(LOG);
      const counts = await shop.settled(LEDGER, 21);
      expect(counts).toMatchObject({ acked: 21, dead: 0, expired: 0, damaged: 0 });
      await again.handledAll("log", range(2, 20));
      expect(again.numbers("end", "log")).toEqual(range(2, 20));
    });
  }

  it("gets all that a producer accepted before kill -9, once the producer runs again", async () => {
    const mesh = await world();
    const [shop, audit] = await Promise.all([mesh.start("shop"), mesh.start("audit")]);
    await mesh.link(shop, audit);
    await audit.listen(LOG);
    await audit.stop();
    const accepted: number[] = [];
    const calls = range(0, 200).map((n) =>
      shop.publish("sale.made", n).then(
        () => accepted.push(n),
        () => {}, // not answered before the kill: it may be there or not
      ),
    );
    await shop.sees("some are accepted", () => accepted.length >= 50);
    await shop.kill();
    await Promise.all(calls);
    await audit.kill();
    const [again, listener] = await Promise.all([mesh.start("shop"), mesh.start("audit")]);
    await listener.listen(LOG);
    await mesh.link(again, listener);
    await listener.handledAll("log", accepted);
    const counts = (await again.ledger())[LEDGER];
    expect(await again.settled(LEDGER, counts?.accepted ?? 0)).toMatchObject({ damaged: 0 });
    const handled = listener.numbers("end", "log");
    expect(handled).toEqual([...new Set(handled)].sort((a, b) => a - b));
  });

  it("tells the producer's ledger what waits, also after the producer was killed", async () => {
    const mesh = await world();
    const [shop, audit] = await Promise.all([mesh.start("shop"), mesh.start("audit")]);
    await mesh.link(shop, audit);
    await audit.listen(LOG);
    await audit.stop();
    for (const n of range(0, 30)) await shop.publish("sale.made", n);
    await shop.kill();
    const again = await mesh.start("shop");
    expect((await again.ledger())[LEDGER]).toMatchObject({ accepted: 30, acked: 0, pending: 30 });
  });

  it("handles a message again when its member is killed in the handler, with one effect", async () => {
    const mesh = await world();
    const [shop, audit, recorder] = await Promise.all([
      mesh.start("shop"),
      mesh.start("audit"),
      mesh.start("recorder"),
    ]);
    await mesh.link(shop, audit, recorder);
    await recorder.listen({
      name: "effects",
      verb: "subscribe",
      subject: "sale.logged",
      options: { durable: true },
    });
    const forward = [{ verb: "publish", subject: "sale.logged" }] as const;
    await audit.listen({ ...LOG, forward, behaviour: [{ type: "kill", only: [3] }] });
    for (const n of range(0, 6)) await shop.publish("sale.made", n, { options: { key: "till" } });
    expect(await audit.exited).toBe("SIGKILL");
    const again = await mesh.start("audit");
    await mesh.link(shop, again, recorder);
    await again.listen({ ...LOG, forward });
    await shop.settled(LEDGER, 6);
    await recorder.handledAll("effects", range(0, 6));
    await again.sees("all it sent is settled", async () => {
      return Object.values(await again.ledger()).every(({ pending }) => pending === 0);
    });
    await recorder.call({ op: "info" });
    expect(recorder.numbers("end", "effects").sort()).toEqual(range(0, 6));
    // What ended right before the kill may not have been on disk.
    const repeated = again.numbers("start", "log");
    expect(repeated).toEqual(range(6 - repeated.length, repeated.length));
    expect(repeated).toContain(3);
  });
});

describe("a subscription that is not durable", () => {
  const options = { durable: false };

  it("gets what is published after it came, and nothing from before", async () => {
    const mesh = await world();
    const [shop, audit] = await Promise.all([mesh.start("shop"), mesh.start("audit")]);
    await mesh.link(shop, audit);
    await shop.publish("sale.made", 1);
    await audit.listen({ ...LOG, options });
    for (const n of [2, 3]) await shop.publish("sale.made", n);
    await audit.handledAll("log", [2, 3]);
    expect(audit.numbers("end", "log")).toEqual([2, 3]);
  });

  it("gets what was published while its node restarted at once", async () => {
    const mesh = await world();
    const [shop, audit] = await Promise.all([mesh.start("shop"), mesh.start("audit")]);
    await mesh.link(shop, audit);
    await audit.listen({ ...LOG, options });
    await audit.kill();
    await shop.publish("sale.made", 1);
    const again = await mesh.start("audit");
    await mesh.link(shop, again);
    await again.listen({ ...LOG, options });
    await again.handledAll("log", [1]);
  });
});

describe("a subscription that the producer hears of late", () => {
  it("gets what was published after it was made, before the two nodes met", async () => {
    const mesh = await world();
    const [shop, audit] = await Promise.all([mesh.start("shop"), mesh.start("audit")]);
    await shop.publish("sale.made", 1);
    await audit.listen(LOG);
    for (const n of range(2, 10)) await shop.publish("sale.made", n);
    expect(await shop.counter("messages.unrouted")).toBe(11);
    await mesh.link(shop, audit);
    await audit.handledAll("log", range(2, 9));
    expect(audit.numbers("end", "log")).not.toContain(1);
  });

  it("gets nothing from before lateMs", async () => {
    const mesh = await world();
    const [shop, audit] = await Promise.all([
      mesh.start("shop", { node: { journal: { lateMs: 0, lateBytes: 0 } } }),
      mesh.start("audit"),
    ]);
    await audit.listen(LOG);
    await shop.publish("sale.made", 1);
    await shop.publish("sale.made", 2);
    await mesh.link(shop, audit);
    await shop.publish("sale.made", 3);
    await audit.handledAll("log", [3]);
    await shop.sees("nothing is owed", async () => (await shop.ledger())[LEDGER]?.pending === 0);
  });
});
