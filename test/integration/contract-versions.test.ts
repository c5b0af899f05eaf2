/** A message, a command and a question of a version that their handler does not read, between processes. */
import { afterEach, describe, expect, it } from "vitest";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const OLD = { version: 1 } as const;
const NEW = { version: 2 } as const;
const BOTH = { version: 2, accepts: [1, 2] } as const;

describe("versions of a contract", () => {
  it("make an event or a command that is not read a dead letter that names both", async () => {
    const mesh = await world();
    const [orders, billing] = [await mesh.start("orders"), await mesh.start("billing")];
    await mesh.link(orders, billing);
    await billing.listen({ name: "e", verb: "subscribe", subject: "order.placed", contract: OLD });
    await billing.listen({ name: "c", verb: "handle", subject: "order.bill", contract: BOTH });
    await orders.publish("order.placed", 1, { contract: NEW });
    await orders.publish("order.placed", 2, { contract: OLD });
    await orders.send("order.bill", 3, { contract: { version: 3 } });
    await orders.send("order.bill", 4, { contract: OLD });
    const events = await orders.settled("event billing order.placed", 2);
    expect(events).toMatchObject({ acked: 1, dead: 1 });
    await billing.handled("c", 1);
    await orders.sees("both dead letters", async () => (await orders.deadLetters()).length === 2);
    expect((await orders.deadLetters()).map(({ reason }) => reason)).toEqual([
      expect.stringMatching(/^CONTRACT_MISMATCH: message of version 2 .* reads version 1$/),
      expect.stringMatching(/^CONTRACT_MISMATCH: message of version 3 .* reads versions 1 to 2$/),
    ]);
    expect(billing.numbers("end", "e")).toEqual([2]);
    expect(billing.numbers("end", "c")).toEqual([4]);
  });

  it("fail a question that is not read, with both in the asker's error", async () => {
    const mesh = await world();
    const [shop, pricing] = [await mesh.start("shop"), await mesh.start("pricing")];
    await mesh.link(shop, pricing);
    await pricing.listen({ name: "q", verb: "reply", subject: "pricing.quote", contract: OLD });
    const ask = (version: number) => {
      const contract = { version };
      return shop.call({ op: "request", subject: "pricing.quote", data: { n: 1 }, contract });
    };
    await expect(ask(2)).rejects.toMatchObject({
      message: expect.stringMatching(/REMOTE_ERROR.*message of version 2 .* reads version 1/),
      details: { code: "CONTRACT_MISMATCH" },
    });
    await expect(ask(1)).resolves.toBeDefined();
  });
});
