/** A business of every kind of message under every kind of fault: recorded as it happens, it breaks nothing. */
import { describe, expect, it } from "vitest";
import {
  command,
  event,
  type HandlerContext,
  json,
  MeshError,
  type MeshNode,
  query,
} from "../../src/index.ts";
import { createTestMesh, type TestMesh } from "../../src/testing/index.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";

type Order = { readonly k: string; readonly n: number };
const keyed = { schema: json<Order>(), key: ({ k }: Order) => k };
const Placed = event("order.placed", keyed);
const Billed = event("bill.sent", keyed);
const Reserve = command("stock.reserve", keyed);
const Quote = query("pricing.quote", { request: json<number>(), reply: json<number>() });

const SEEDS = [1, 2, 3, 4, 5, 6];
const STEPS = 60;
/** What a call may end in while processes die and networks part. */
const FAILURES = ["STOPPED", "PEER_LOST", "TIMEOUT", "NO_HANDLER", "OUTCOME_UNKNOWN"] as const;

const setUp = async (mesh: TestMesh, node: MeshNode, random: SeededRandom): Promise<void> => {
  if (node.service === "orders") {
    await node.reply(Quote, (n) => n);
    await node.subscribe(Billed, () => {}, { durable: true });
  } else if (node.service === "stock") {
    await node.handle(Reserve, (order, ctx) => ctx.publish(Billed, order));
    const count = (_: unknown, ctx: HandlerContext): void => {
      const before = ctx.message.position.seq === 0 ? 0 : (ctx.state.get<number>("n") ?? 0);
      if (ctx.message.position.seq > 0) ctx.state.put("n", before + 1);
      if (before % 4 === 3) ctx.publish("counted", { n: before });
    };
    await node.subscribe(Billed, count, { group: false, durable: true });
    void readAll(node);
  } else {
    const retry = { attempts: 5, baseMs: 50, capMs: 1_000 };
    await node.subscribe(
      Placed,
      async ({ k, n }, ctx) => {
        if (n % 7 === 3 && ctx.message.attempt < 3) throw new Error("flaky");
        if (n % 11 === 5 && ctx.message.replayOf === undefined) ctx.deadLetter("refused");
        if (n % 5 === 0) await mesh.sleep(random.integer(0, 200));
        ctx.publish(Billed, { k, n });
        if (n % 3 === 0) ctx.send(Reserve, { k, n }, n % 2 === 0 ? {} : { delayMs: 500 });
      },
      { durable: true, retry },
    );
    await node.subscribe("order.>", (_, ctx) => ctx.publish("order-seen", {}), {
      durable: true,
      group: "audit",
    });
  }
};

/** In the background, as a service may: until its process ends. */
const readAll = async (node: MeshNode): Promise<void> => {
  for await (const message of node.messages(Placed, { group: "reader", durable: true })) {
    if (message.data.n % 6 === 1 && message.ctx.message.attempt === 1) await message.nack();
    else await message.ack().catch(() => {}); // its time was over
  }
};

const say = (node: MeshNode, random: SeededRandom, n: number): Promise<unknown> => {
  const k = `k${random.integer(1, 4)}`;
  const options = random.pick([{}, {}, { delayMs: 300 }, { expireAfterMs: 50 }]);
  const how = random.pick(["one", "one", "one", "many", "command", "question", "twice", "emit"]);
  if (how === "emit") return Promise.resolve(node.emit(Placed, { k, n }));
  if (how === "twice") {
    const same = { idempotencyKey: `i${n % 9}`, id: `own-${n}` };
    return Promise.all([1, 2].map(() => node.publish(Placed, { k, n }, same)));
  }
  if (how === "many")
    return node.publishMany(Placed, [
      { k, n },
      { k: "k9", n },
    ]);
  if (how === "command") return node.send(Reserve, { k, n });
  if (how === "question") return node.request(Quote, n);
  return node.publish(Placed, { k, n }, options);
};

const disturb = async (mesh: TestMesh, nodes: MeshNode[], random: SeededRandom): Promise<void> => {
  const at = random.integer(0, nodes.length - 1);
  const node = nodes[at] as MeshNode;
  const fault = random.pick(["kill", "power", "cut", "pause", "disk", "clock"]);
  if (fault === "kill" || fault === "power") {
    if (fault === "kill") mesh.kill(node);
    else mesh.powerLoss(node);
    await mesh.advance(random.integer(0, 1_500));
    nodes[at] = await mesh.restart(node);
    await setUp(mesh, nodes[at], random);
  } else if (fault === "cut") {
    const heal = mesh.partition(node, undefined, { oneWay: random.chance(0.5) });
    await mesh.advance(random.integer(0, 4_000));
    heal();
  } else if (fault === "pause") {
    mesh.pause(node);
    await mesh.advance(random.integer(0, 3_000));
    mesh.resume(node);
  } else if (fault === "disk") {
    mesh.disk(node).fail(0.3);
    await mesh.advance(50);
    mesh.disk(node).heal();
  } else {
    mesh.shiftClock(node, random.pick([-2_000, 2_000]));
  }
};

describe("a business in a test mesh", () => {
  it.each(SEEDS)("keeps every promise under the faults of seed %i", async (seed) => {
    const random = new SeededRandom(seed, "business");
    const mesh = await createTestMesh({ seed });
    const nodes: MeshNode[] = [];
    for (const service of ["orders", "orders", "billing", "billing", "stock"]) {
      const node = await mesh.createNode({ service });
      nodes.push(node);
      await setUp(mesh, node, random);
    }
    const calls: Promise<unknown>[] = [];
    for (let n = 0; n < STEPS; n++) {
      const call = say(random.pick(nodes), random, n);
      calls.push(
        call.catch((error: unknown) => {
          if (!FAILURES.some((code) => MeshError.is(error, code))) throw error;
        }),
      );
      if (random.chance(0.2)) await disturb(mesh, nodes, random);
      await mesh.advance(random.integer(0, 40));
    }
    await Promise.all(calls);
    await mesh.settle();
    mesh.check();
    expect(mesh.handled("billing", Placed).length).toBeGreaterThan(10);
    await (nodes[0] as MeshNode).deadLetters.replay({});
    await mesh.settle();
    mesh.check();
    const pending = nodes.flatMap((node) => Object.values(node.ledger()).map((one) => one.pending));
    expect(pending.every((count) => count === 0)).toBe(true);
    await mesh.stop();
  });
});
