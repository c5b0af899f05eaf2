/** Durable subscribers that go away, producers that die: nothing accepted is lost. */
import { afterEach, describe, expect, it } from "vitest";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const ledgerOf = (group: string, pattern: string) => `event ${group} ${pattern}`;

describe("a durable subscription", () => {
  for (const how of ["a clean stop", "kill -9"] as const) {
    it(`gets what was published while its only member was away, after ${how}`, async () => {
      const mesh = await world();
      const [shop, audit] = await Promise.all([mesh.start("shop"), mesh.start("audit")]);
      await mesh.link(shop, audit);
      const listen = { name: "log", verb: "subscribe", subject: "sale.made" } as const;
      await audit.listen({ ...listen, options: { durable: true } });
      await shop.publish("sale.made", 1);
      await audit.handled("log", 1);
      if (how === "kill -9") await audit.kill();
      else await audit.stop();
      for (const n of range(2, 20)) await shop.publish("sale.made", n);
      const again = await mesh.start("audit");
      await mesh.link(shop, again);
      await again.listen({ ...listen, options: { durable: true } });
      await again.handled("log", 20);
      expect(await shop.settled(ledgerOf("audit", "sale.made"), 21)).toMatchObject({
        acked: 21,
        dead: 0,
        expired: 0,
      });
      expect([...new Set(again.numbers("end", "log"))].filter((n) => n > 1)).toEqual(range(2, 20));
    });
  }
});
