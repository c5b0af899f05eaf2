/** Entries of the directory between nodes with keys, over TLS on loopback: whose word counts, and for whom. */
import { afterAll, afterEach, describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import type { RightsOptions } from "../../src/security/rights.ts";
import { ALL, SecuredRig } from "../hostile/secured-rig.ts";
import { until } from "../integration/until.ts";

let rig = new SecuredRig();
afterEach(async () => {
  await rig[Symbol.asyncDispose]();
  rig = new SecuredRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

const node = (
  service: string,
  rights: RightsOptions,
  peers: readonly MeshNode[] = [],
): Promise<MeshNode> =>
  rig.node(service, "tcp", { security: rig.security(service, rights), peers });

const BILLING = "event billing order.*";
const knows = (who: MeshNode): boolean => Object.keys(who.ledger()).includes(BILLING);
const show =
  (...who: MeshNode[]): (() => string) =>
  () =>
    JSON.stringify(who.map((one) => [Object.keys(one.ledger()), one.counters()]));

/** `orders` knows of billing's durable subscription; billing is gone. */
const afterBilling = async (): Promise<{ orders: MeshNode; keys: string }> => {
  const orders = await node("orders", ALL);
  const keys = rig.keys.issue({ service: "billing", ...ALL });
  const billing = await rig.node("billing", "tcp", { security: rig.load(keys), peers: [orders] });
  await billing.subscribe("order.*", async () => {}, { durable: true });
  await until("orders knows", () => knows(orders), show(orders));
  await billing.stop();
  return { orders, keys };
};

describe("a durable subscription of a mesh with keys", () => {
  it("is owed by who never met a member of it, and its messages arrive once it is back", async () => {
    const { orders, keys } = await afterBilling();
    const late = await node("late", { allow: { publish: ["order.*"] } }, [orders]);
    await until("late hears of it", () => knows(late), show(late, orders));
    await late.publish("order.placed", { n: 1 });
    const back = await rig.node("billing", "tcp", { security: rig.load(keys), peers: [late] });
    const got: unknown[] = [];
    await back.subscribe("order.*", async (data) => void got.push(data), { durable: true });
    await until("it arrives", () => got.length === 1, show(late, back));
  });

  it("ends for everybody by the word of its service, and by nobody else's but an administrator's", async () => {
    const { orders } = await afterBilling();
    const late = await node("late", ALL, [orders]);
    await until("late hears of it", () => knows(late), show(late, orders));
    // The right to take the same messages is no right to end what another service takes.
    await expect(late.removeSubscription("billing", "order.*")).rejects.toMatchObject({
      code: "UNAUTHORIZED",
    });
    const rogue = await rig.rogue("rogue", ALL, "tcp", [orders, late]);
    await rogue.removeSubscription("billing", "order.*");
    await until(
      "both deny it",
      () => [orders, late].every((one) => (one.counters()["security.denied"] ?? 0) > 0),
      show(orders, late),
    );
    expect([knows(orders), knows(late)]).toEqual([true, true]);
    const second = await node("billing", ALL, [orders]);
    await second.removeSubscription("billing", "order.*");
    await until("it is gone", () => !knows(orders) && !knows(late), show(orders, late));
    const newcomer = await node("newcomer", ALL, [orders]);
    const admin = await node("admin", { admin: "full" }, [orders, newcomer]);
    const third = await node("billing", ALL, [orders, newcomer]);
    await third.subscribe("order.*", async () => {}, { durable: true });
    await until("it is born again", () => knows(orders) && knows(newcomer), show(orders, newcomer));
    await third.stop();
    await admin.removeSubscription("billing", "order.*");
    await until(
      "the administrator ends it",
      () => !knows(orders) && !knows(newcomer),
      show(orders, newcomer),
    );
  });
});
