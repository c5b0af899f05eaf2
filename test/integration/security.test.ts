/** Nobody joins, reads or writes without a certificate that allows it: nodes in processes of their own. */
import { afterEach, describe, expect, it } from "vitest";
import { issueKeys } from "../../src/security/issue-keys.ts";
import { KeysWorld } from "../security/keys-world.ts";
import type { ChildNode } from "./child-node.ts";
import { ALL, SecuredWorld } from "./secured-world.ts";
import { until } from "./until.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const TEST_MS = 240_000;

const refusedBy = async (node: ChildNode): Promise<number> => {
  const counters = await node.counters();
  const names = Object.keys(counters).filter((name) => /UNAUTHORIZED|denied|malformed/.test(name));
  return names.reduce((sum, name) => sum + (counters[name] ?? 0), 0);
};

const peersOf = async (node: ChildNode): Promise<string[]> =>
  (await node.peers()).filter(({ state }) => state === "alive").map(({ nodeId }) => nodeId);

describe("nodes with keys", () => {
  it.each(["zmq", "tcp", "grpc"] as const)(
    "deliver, send, ask and answer over %s",
    async (scheme) => {
      const secured = new SecuredWorld(await world());
      const setup = { transports: [scheme] };
      const orders = await secured.start("orders", ALL, setup);
      const billing = await secured.start("billing", ALL, setup);
      await secured.world.link(orders, billing);
      await billing.listen({
        name: "b",
        verb: "subscribe",
        subject: "order.*",
        options: { durable: true },
      });
      await billing.listen({ name: "c", verb: "handle", subject: "bill.make" });
      await billing.listen({ name: "q", verb: "reply", subject: "bill.sum" });
      for (let n = 1; n <= 20; n++) await orders.publish("order.placed", n);
      await orders.send("bill.make", 21);
      await billing.handled("b", 20);
      await billing.handled("c", 1);
      expect(await orders.request("bill.sum", 22)).toBeDefined();
      const [peer] = await orders.peers();
      expect(peer?.transport).toBe(scheme);
      expect(orders.address).toMatch(scheme === "zmq" ? /\?curve=[\w-]{43}$/ : /:\d+$/);
    },
    TEST_MS,
  );

  it(
    "have the id of their certificate, and refuse a folder of another node",
    async () => {
      const secured = new SecuredWorld(await world());
      const first = await secured.start("orders");
      expect(first.id).toBe(secured.nodeIdOf("orders"));
      await first.stop();
      const again = secured.world.spawn("orders");
      const other = secured.keys.issue({ service: "orders", ...ALL });
      const setup = secured.world.options("orders", { node: { security: { keys: other } } });
      await expect(again.create(setup)).rejects.toThrow(/dataDir is that of node/);
    },
    TEST_MS,
  );

  it.each(["zmq", "tcp", "grpc"] as const)(
    "do not link with a node without keys over %s, whoever dials, and say why",
    async (scheme) => {
      const secured = new SecuredWorld(await world());
      const setup = { transports: [scheme] };
      const orders = await secured.start("orders", ALL, setup);
      const plain = await secured.world.start("plain", setup);
      await plain.call({ op: "connect", address: orders.address });
      await orders.call({ op: "connect", address: plain.address });
      await until(
        "both were refused",
        async () => {
          const said = /keys|certificate|UNAUTHORIZED/;
          const isSaid = said.test(orders.errors) && (scheme === "grpc" || said.test(plain.errors));
          return isSaid && (await refusedBy(orders)) > 0;
        },
        () => `${orders.errors}\n${plain.errors}`,
      );
      expect(await peersOf(orders)).toEqual([]);
      expect(await peersOf(plain)).toEqual([]);
    },
    TEST_MS,
  );

  it.each(["zmq", "tcp"] as const)(
    "lose a revoked one wherever the list arrives over %s, and keep what it is owed",
    async (scheme) => {
      const secured = new SecuredWorld(await world());
      const setup = { transports: [scheme] };
      const orders = await secured.start("orders", ALL, setup);
      const audit = await secured.start("audit", ALL, setup);
      const billing = await secured.start("billing", ALL, setup);
      await secured.world.link(orders, audit, billing);
      const options = { durable: true };
      await billing.listen({ name: "b", verb: "subscribe", subject: "order.*", options });
      await orders.publish("order.placed", 1);
      await billing.handled("b", 1);
      secured.revoke(billing.id, "audit"); // orders hears of it from audit
      await orders.sees(
        "billing is cut off",
        async () => !(await peersOf(orders)).includes(billing.id),
      );
      await orders.publish("order.placed", 2);
      await orders.sees(
        "it knocks in vain",
        async () => (await orders.counter("security.denied")) > 1,
      );
      expect(await peersOf(orders)).toEqual([audit.id]);
      expect(billing.numbers("end", "b")).toEqual([1]);
      expect((await orders.ledger())["event billing order.*"]?.pending).toBe(1);
    },
    TEST_MS,
  );

  it(
    "do not start with a certificate that has expired, or is of another service",
    async () => {
      const secured = new SecuredWorld(await world());
      const keys = secured.keys.path("late");
      const rights = { service: "late", ...ALL, lifeMs: 10_000 };
      issueKeys(secured.keys.authority, keys, rights, Date.now() - 3_600_000);
      const late = secured.world.spawn("late");
      const expired = secured.world.options("late", { node: { security: { keys } } });
      await expect(late.create(expired)).rejects.toMatchObject({ code: "INVALID_KEYS" });
      const other = secured.keys.issue({ service: "orders", ...ALL });
      const stolen = secured.world.options("late", { node: { security: { keys: other } } });
      await expect(late.create(stolen)).rejects.toMatchObject({ code: "INVALID_KEYS" });
    },
    TEST_MS,
  );

  it.each(["zmq", "tcp", "grpc"] as const)(
    "do not link with a node of another authority over %s",
    async (scheme) => {
      const here = await world();
      const secured = new SecuredWorld(here);
      const strangers = new SecuredWorld(here, new KeysWorld(here.mesh, here.folder));
      const setup = { transports: [scheme] };
      const orders = await secured.start("orders", ALL, setup);
      const thief = await strangers.start("thief", ALL, setup);
      await thief.call({ op: "connect", address: orders.address });
      await orders.call({ op: "connect", address: thief.address });
      await until(
        "both were refused",
        async () => {
          return /certificate|trust/.test(orders.errors) && /certificate|trust/.test(thief.errors);
        },
        () => `${orders.errors}\n${thief.errors}`,
      );
      expect(await peersOf(orders)).toEqual([]);
      expect(await peersOf(thief)).toEqual([]);
    },
    TEST_MS,
  );
});
