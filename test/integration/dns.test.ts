/** Nodes that only a name server knows: they meet, move, and lose nothing. */
import { afterEach, expect, it } from "vitest";
import { NameServer } from "../discovery/dns/name-server.ts";
import { range } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const NAME = "shop.test";

it("meet by DNS, also when one has moved to another address", async () => {
  const mesh = await world();
  await using server = await NameServer.start();
  const at = (host: string, port: number) => ({ node: { listen: { host, port } } });
  const audit = await mesh.start("audit", at("127.0.0.11", 0));
  const port = Number(audit.address.slice(audit.address.lastIndexOf(":") + 1));
  server.records = { [`A ${NAME}`]: ["127.0.0.11"] };
  const shop = await mesh.start("shop", { dns: { name: NAME, port, server: server.address } });
  await Promise.all([shop.meets(audit), audit.meets(shop)]);
  const listen = {
    name: "log",
    verb: "subscribe",
    subject: "sale.made",
    options: { durable: true },
  } as const;
  await audit.listen(listen);
  await shop.publish("sale.made", 1);
  await shop.settled("event audit sale.made", 1);

  await audit.kill();
  server.records = { [`A ${NAME}`]: ["127.0.0.12"] };
  for (const n of range(2, 20)) await shop.publish("sale.made", n);
  // It looks for nobody: shop must hear of its address from the name server.
  const moved = await mesh.start("audit", at("127.0.0.12", port));
  expect(moved.address).not.toBe(audit.address);
  await moved.listen(listen);
  await shop.meets(moved);
  expect(await shop.settled("event audit sale.made", 21)).toMatchObject({ acked: 21 });
  await moved.handledAll("log", range(2, 20));
});
