/** The standard health service, with a client from its proto. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { type Gateway, serveGateway } from "../../src/gateway/serve-gateway.ts";
import { createNode, type MeshNode } from "../../src/index.ts";
import { range, until } from "../integration/until.ts";
import { RawClient } from "./raw-client.ts";

const SERVICE = "meshbus.gateway.v1.Gateway";

let node: MeshNode;
let gateway: Gateway;
let client: RawClient;

beforeEach(async () => {
  node = await createNode({
    service: "shop",
    mesh: `gateway-health-${process.pid}`,
    dataDir: ":memory:",
    journal: { bytesMax: 4 * 2 ** 20 },
    discovery: [],
    heartbeatThread: false,
  });
  gateway = await serveGateway(node);
  client = new RawClient(gateway.address);
});

afterEach(async () => {
  client.close();
  await gateway.stop({ drainMs: 0 });
  await node.stop();
});

it("says SERVING of the whole and of the gateway, and NOT_FOUND of others", async () => {
  expect(await client.check("")).toBe("SERVING");
  expect(await client.check(SERVICE)).toBe("SERVING");
  await expect(client.check("other.Service")).rejects.toMatchObject({ code: 5 });
});

it("tells who watches of each change, once: NOT_SERVING while what is out drains", async () => {
  const { seen } = client.watch(SERVICE);
  const unknown = client.watch("other.Service");
  await until("the first is told", () => seen.length === 1 && unknown.seen.length === 1);
  expect(unknown.seen).toEqual(["SERVICE_UNKNOWN"]);
  const call = await client.open("Subscribe", { pattern: "a.b", group: "g" });
  await node.publish("a.b", 1);
  await call.gets(1);
  const stopped = gateway.stop({ drainMs: 60_000 });
  await until("the change is told", () => seen.length === 2);
  expect(await client.check("")).toBe("NOT_SERVING");
  call.ack(1);
  await stopped;
  expect(seen).toEqual(["SERVING", "NOT_SERVING"]);
});

it("says NOT_SERVING when the node is not ready, and SERVING when it is again", async () => {
  const { seen } = client.watch("");
  await until("the first is told", () => seen.length === 1);
  // The dead letters are full, so that a subscription pauses.
  await node.subscribe("a.b", (_data, ctx) => ctx.deadLetter("unreadable"), { durable: true });
  await Promise.all(range(1, 16).map(() => node.publish("a.b", new Uint8Array(100_000))));
  await until("the change is told", () => seen.length === 2);
  await until("it is ready again", async () => {
    for (const { id } of await node.deadLetters.list({})) await node.deadLetters.discard(id);
    return seen.length === 3;
  });
  expect(seen).toEqual(["SERVING", "NOT_SERVING", "SERVING"]);
});
