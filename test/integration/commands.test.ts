/** Commands: one group handles each, now or when it comes. */
import { afterEach, describe, expect, it } from "vitest";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const SHIP = { name: "ship", verb: "handle", subject: "parcel.ship" } as const;
const LEDGER = "command parcel.ship";

describe("a command", () => {
  it("waits for a service that was never there, also through kill -9 of the sender", async () => {
    const mesh = await world();
    const shop = await mesh.start("shop");
    for (const n of range(0, 10)) await shop.send("parcel.ship", n);
    expect((await shop.ledger())[LEDGER]).toMatchObject({ accepted: 10, pending: 10 });
    await shop.kill();
    const again = await mesh.start("shop");
    await again.send("parcel.ship", 10);
    const depot = await mesh.start("depot");
    await mesh.link(again, depot);
    await depot.listen(SHIP);
    expect(await again.settled(LEDGER, 11)).toMatchObject({ acked: 11 });
    await depot.handledAll("ship", range(0, 11));
    expect(depot.numbers("end", "ship")).toEqual(range(0, 11));
  });

  it("is handled by one instance of its group", async () => {
    const mesh = await world();
    const [shop, one, two] = await Promise.all([
      mesh.start("shop"),
      mesh.start("one", { node: { service: "depot" } }),
      mesh.start("two", { node: { service: "depot" } }),
    ]);
    await mesh.link(shop, one, two);
    await one.listen(SHIP);
    await two.listen(SHIP);
    const calls = range(0, 60).map((n) =>
      shop.send("parcel.ship", n, { options: { key: `k${n}` } }),
    );
    await Promise.all(calls);
    expect(await shop.settled(LEDGER, 60)).toMatchObject({ acked: 60 });
    await Promise.all([one, two].map((node) => node.call({ op: "info" })));
    const handled = [one, two].map((node) => node.numbers("end", "ship"));
    expect(handled.flat().sort((a, b) => a - b)).toEqual(range(0, 60));
    expect(handled.map((numbers) => numbers.length > 0)).toEqual([true, true]);
  });

  it("is refused to a second group as COMMAND_CLAIMED, and the first goes on", async () => {
    const mesh = await world();
    const [shop, depot, rival] = await Promise.all([
      mesh.start("shop"),
      mesh.start("depot"),
      mesh.start("rival"),
    ]);
    await mesh.link(shop, depot, rival);
    await depot.listen(SHIP);
    await expect(rival.listen(SHIP)).rejects.toMatchObject({ code: "COMMAND_CLAIMED" });
    for (const n of range(0, 5)) await shop.send("parcel.ship", n);
    await depot.handledAll("ship", range(0, 5));
    expect(rival.numbers("start", "ship")).toEqual([]);
  });

  it("stays claimed while the claiming group is away", async () => {
    const mesh = await world();
    const [shop, depot] = await Promise.all([mesh.start("shop"), mesh.start("depot")]);
    await mesh.link(shop, depot);
    await depot.listen(SHIP);
    await depot.kill();
    const rival = await mesh.start("rival");
    await mesh.link(shop, rival);
    await expect(rival.listen(SHIP)).rejects.toMatchObject({ code: "COMMAND_CLAIMED" });
    await shop.send("parcel.ship", 1);
    const again = await mesh.start("depot");
    await mesh.link(shop, again);
    await again.listen(SHIP);
    await again.handledAll("ship", [1]);
  });

  it("claimed by two groups that had not met stays with the older claim", async () => {
    const mesh = await world();
    const [shop, depot, rival] = await Promise.all([
      mesh.start("shop"),
      mesh.start("depot"),
      mesh.start("rival"),
    ]);
    await depot.listen(SHIP);
    await rival.listen(SHIP);
    await mesh.link(shop, rival);
    await shop.send("parcel.ship", 1);
    await rival.handledAll("ship", [1]);
    await mesh.link(shop, depot);
    await rival.sees("its claim is refused", () => {
      const [refused] = rival.happened("status", "subscription-refused");
      return refused?.change?.code === "COMMAND_CLAIMED";
    });
    await shop.send("parcel.ship", 2);
    await depot.handledAll("ship", [2]);
    expect(rival.numbers("end", "ship")).toEqual([1]);
    expect(await shop.settled(LEDGER, 2)).toMatchObject({ acked: 2 });
  });

  it("sent through ctx reaches its handler as a consequence", async () => {
    const mesh = await world();
    const [shop, desk, depot] = await Promise.all([
      mesh.start("shop"),
      mesh.start("desk"),
      mesh.start("depot"),
    ]);
    await mesh.link(shop, desk, depot);
    await depot.listen(SHIP);
    const forward = [{ verb: "send", subject: "parcel.ship" }] as const;
    await desk.listen({ name: "orders", verb: "subscribe", subject: "order.placed", forward });
    const receipt = await shop.publish("order.placed", 7);
    await depot.handledAll("ship", [7]);
    const [shipped] = depot.happened("start", "ship");
    expect(shipped).toMatchObject({ causationId: receipt.id });
  });
});
