/**
 * Rights where they bind: nodes that believe they may do everything meet nodes that know better. In one process, over
 * TLS on loopback.
 */
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { staticPeers } from "../../src/discovery/static/static-peers.ts";
import { createNode } from "../../src/mesh/create-node.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import type { Security } from "../../src/ports/security.ts";
import type { RightsOptions } from "../../src/security/rights.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import { until } from "../integration/until.ts";
import { KeysWorld } from "../security/keys-world.ts";
import { hostile } from "./hostile-security.ts";

const keys = new KeysWorld("shop");
afterAll(() => keys[Symbol.dispose]());

const nodes: MeshNode[] = [];
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.stop({ drainMs: 1_000 })));
});

type Setup = { readonly security?: Security; readonly peers?: readonly MeshNode[] };

const ALL: RightsOptions = {
  allow: { publish: [">"], subscribe: [">"], send: [">"], handle: [">"], request: [">"] },
};

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

const start = async (
  service: string,
  rights: RightsOptions,
  { security = keys.node({ service, ...rights }), peers = [] }: Setup = {},
): Promise<MeshNode> => {
  const addresses = peers.flatMap((peer) => peer.addresses);
  const node = await createNode({
    service,
    mesh: "shop",
    dataDir: ":memory:",
    security,
    transports: [stream()],
    discovery: addresses.length === 0 ? [] : [staticPeers(addresses)],
    heartbeatThread: false,
    confirmTimeoutMs: 5_000,
    logger: silent,
  });
  nodes.push(node);
  for (const peer of peers) {
    await node.waitFor(peer.service);
    await peer.waitFor(service);
  }
  return node;
};

const evil = (service: string, rights: RightsOptions, peers: readonly MeshNode[]) =>
  start(service, rights, { security: hostile(keys.node({ service, ...rights })), peers });

const denied = (node: MeshNode): number => node.counters()["security.denied"] ?? 0;

describe("a node's own rights", () => {
  it("are checked at the call, each verb by its own", async () => {
    const node = await start("orders", {
      allow: { publish: ["order.>"], subscribe: ["pay.*"], request: ["price"] },
      deny: { publish: ["order.secret"] },
    });
    const unauthorized = { code: "UNAUTHORIZED" };
    const nothing = async () => {};
    await expect(node.publish("order.placed", {})).resolves.toBeDefined();
    await expect(node.publish("order.secret", {})).rejects.toMatchObject(unauthorized);
    await expect(node.publish("bill.made", {})).rejects.toMatchObject(unauthorized);
    await expect(node.publishMany("bill.made", [{}])).rejects.toMatchObject(unauthorized);
    expect(() => node.emit("bill.made", {})).toThrow(expect.objectContaining(unauthorized));
    await expect(node.send("bill.make", {})).rejects.toMatchObject(unauthorized);
    await expect(node.request("stock", {})).rejects.toMatchObject(unauthorized);
    await expect(node.subscribe("pay.*", nothing)).resolves.toBeDefined();
    await expect(node.subscribe("pay.>", nothing)).rejects.toMatchObject(unauthorized);
    await expect(node.handle("bill.make", nothing)).rejects.toMatchObject(unauthorized);
    await expect(node.reply("price", nothing)).rejects.toMatchObject(unauthorized);
    expect(denied(node)).toBe(9);
  });
});

describe("a peer that ignores its rights", () => {
  it("publishes: what it may not becomes a dead letter of its own, and is handled nowhere", async () => {
    const billing = await start("billing", ALL);
    const handled: string[] = [];
    await billing.subscribe(">", async (_, ctx) => void handled.push(ctx.message.subject), {
      durable: true,
    });
    const rogue = await evil("rogue", { allow: { publish: ["order.placed"] } }, [billing]);
    await rogue.publish("order.placed", {});
    await rogue.publish("order.forged", {});
    await rogue.publish("order.placed", {});
    await until(
      "two are handled",
      () => handled.length === 2,
      () => handled.join(),
    );
    await until(
      "one is dead",
      async () => (await rogue.deadLetters.list()).length === 1,
      () => "",
    );
    const [letter] = await rogue.deadLetters.list();
    expect(letter).toMatchObject({ subject: "order.forged", attempts: 0 });
    expect(letter?.reason).toContain("does not allow to publish");
    expect(handled).toEqual(["order.placed", "order.placed"]);
    expect(denied(billing)).toBeGreaterThan(0);
    // Replayed, it ends there again: nothing loops.
    await rogue.deadLetters.replay(letter?.id ?? "");
    await until(
      "dead again",
      async () => denied(billing) > 1,
      () => "",
    );
    expect(handled).toHaveLength(2);
  });

  it("sends and emits: neither is handled", async () => {
    const billing = await start("billing", ALL);
    let handled = 0;
    await billing.handle("bill.make", async () => void handled++);
    await billing.subscribe("tick", async () => void handled++);
    const rogue = await evil("rogue", {}, [billing]);
    await rogue.send("bill.make", {});
    await until(
      "emitted",
      () => rogue.emit("tick", {}),
      () => "",
    );
    await until(
      "the command is dead",
      async () => (await rogue.deadLetters.list()).length === 1,
      () => "",
    );
    await until(
      "dropped",
      () => billing.counters()["emit.dropped.unauthorized"] === 1,
      () => "",
    );
    expect(handled).toBe(0);
  });

  it("subscribes, handles and replies: it is refused, and no message leaves for it", async () => {
    const orders = await start("orders", ALL);
    const rogue = await evil("rogue", { allow: { subscribe: ["open.*"] } }, [orders]);
    const seen: string[] = [];
    const handler = async (_: unknown, ctx: { message: { subject: string } }) =>
      void seen.push(ctx.message.subject);
    const unauthorized = { code: "UNAUTHORIZED" };
    await expect(rogue.subscribe("secret.*", handler)).rejects.toMatchObject(unauthorized);
    await expect(rogue.subscribe(">", handler)).rejects.toMatchObject(unauthorized);
    await expect(rogue.handle("bill.make", handler)).rejects.toMatchObject(unauthorized);
    await expect(rogue.reply("price", async () => 1)).rejects.toMatchObject(unauthorized);
    await rogue.subscribe("open.*", handler);
    await orders.publish("secret.plan", {});
    await orders.publish("open.day", {});
    await until(
      "the open one",
      () => seen.length === 1,
      () => seen.join(),
    );
    expect(seen).toEqual(["open.day"]);
    await expect(orders.request("price", {}, { timeoutMs: 300 })).rejects.toMatchObject({
      code: "NO_HANDLER",
    });
    expect(Object.keys(orders.ledger()).filter((id) => /secret|bill/.test(id))).toEqual([]);
  });

  it("asks: it is told that it may not, and nothing runs", async () => {
    const pricing = await start("pricing", ALL);
    let ran = 0;
    await pricing.reply("price", async () => ++ran);
    const rogue = await evil("rogue", { allow: { request: ["weather"] } }, [pricing]);
    await rogue.waitFor("pricing");
    await expect(rogue.request("price", {}, { timeoutMs: 5_000 })).rejects.toMatchObject({
      code: "UNAUTHORIZED",
    });
    expect(ran).toBe(0);
  });

  it("administers: others' dead letters are neither shown to it nor replayed by it", async () => {
    const billing = await start("billing", ALL);
    const orders = await start("orders", ALL, { peers: [billing] });
    await billing.subscribe("order.*", async (_, ctx) => ctx.deadLetter("no"), { durable: true });
    await orders.publish("order.placed", {});
    await until(
      "dead",
      async () => (await orders.deadLetters.list()).length === 1,
      () => "",
    );
    const [letter] = await orders.deadLetters.list();
    const reader = await start("reader", { admin: "read" }, { peers: [orders] });
    const admin = await start("admin", { admin: "full" }, { peers: [orders] });
    const rogue = await evil("rogue", ALL, [orders]);
    const id = letter?.id ?? "";
    expect(await rogue.deadLetters.list()).toEqual([]);
    await expect(rogue.deadLetters.discard(id)).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(await reader.deadLetters.list()).toHaveLength(1);
    await expect(reader.deadLetters.discard(id)).rejects.toMatchObject({ code: "UNAUTHORIZED" });
    expect(await admin.deadLetters.discard(id)).toBe(1);
  });

  it("ends somebody else's subscription by name: nothing ends", async () => {
    const orders = await start("orders", ALL);
    const billing = await start("billing", ALL, { peers: [orders] });
    await billing.subscribe("order.*", async () => {}, { durable: true });
    const rogue = await evil("rogue", { allow: { publish: [">"] } }, [orders]);
    await rogue.removeSubscription("billing", "order.*");
    await until(
      "denied",
      () => denied(orders) > 0,
      () => "",
    );
    expect(Object.keys(orders.ledger())).toContain("event billing order.*");
  });
});
