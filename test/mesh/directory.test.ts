/** Whom nodes hear of from each other, and whom they remember. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import type { Discovery } from "../../src/ports/discovery.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const at = (address: string): Discovery => ({
  name: "static",
  async start(_, events) {
    events.found({ addresses: [address], source: "static" });
  },
  async stop() {},
});

const addressOf = (node: MeshNode): string => node.addresses[0] ?? "";
const others = (node: MeshNode) => node.peers().filter(({ nodeId }) => nodeId !== node.id);

describe("nodes that know one seed", () => {
  it("find everybody, those that came before and those that come later", async () => {
    const seed = await mesh.node("seed", { discovery: [] });
    for (let n = 0; n < 5; n++) {
      await mesh.node(`n${n}`, { discovery: [at(addressOf(seed))] });
      await mesh.linked();
    }
    expect(mesh.nodes.map((node) => others(node).length)).toEqual([5, 5, 5, 5, 5, 5]);
  });

  it("stay together when the seed is gone, and find one that comes back", async () => {
    const seed = await mesh.node("seed", { discovery: [] });
    const seeds = [at(addressOf(seed))];
    const a = await mesh.node("a", { discovery: seeds });
    const b = await mesh.node("b", { discovery: seeds });
    await mesh.linked();
    await mesh.clock.run(seed.stop());
    const got: unknown[] = [];
    await mesh.clock.run(b.subscribe("x.y", (data) => void got.push(data)));
    await mesh.clock.run(a.publish("x.y", 1));
    await mesh.clock.until(() => got.length === 1);
  });
});

describe("a mesh without any discovery", () => {
  it("finds together again after all of it was down", async () => {
    const stores = [await TestStore.open(), await TestStore.open(), await TestStore.open()];
    const start = (index: number, discovery: Discovery[]) => {
      const listen = { host: "127.0.0.1", port: 7_000 + index };
      return mesh.node(`n${index}`, { store: stores[index] as TestStore, discovery, listen });
    };
    const first = await start(0, []);
    const earlier = [
      first,
      await start(1, [at(addressOf(first))]),
      await start(2, [at(addressOf(first))]),
    ];
    await mesh.linked(...earlier);
    for (const node of earlier) await mesh.clock.run(node.stop());
    const later = [await start(0, []), await start(1, []), await start(2, [])];
    await mesh.linked(...later);
    expect(later.map(({ id }) => id)).toEqual(earlier.map(({ id }) => id));
  });

  it("does not take whoever is at an old address for the one that was there", async () => {
    const store = await TestStore.open();
    const listen = { host: "127.0.0.1", port: 7_000 };
    const there = await mesh.node("there", { discovery: [], listen });
    const address = addressOf(there);
    const first = await mesh.node("first", { store, discovery: [at(address)] });
    await mesh.linked(there, first);
    for (const node of [there, first]) await mesh.clock.run(node.stop());
    const other = await mesh.node("other", { discovery: [], listen });
    expect(addressOf(other)).toBe(address);
    const again = await mesh.node("first", { store, discovery: [] });
    await mesh.clock.advance(120_000);
    expect(others(again).map(({ state }) => state)).toEqual([]);
    expect(again.counters()["link.refused.WRONG_TARGET"] ?? 0).toBeLessThan(3);
  });
});

describe("a discovery that names a node where another one is", () => {
  const says = (nodeId: string, addresses: readonly string[]): Discovery => ({
    name: "wrong",
    async start(_, events) {
      events.found({ nodeId, addresses, source: "wrong" });
    },
    async stop() {},
  });
  const wrong = (node: MeshNode): number => node.counters()["discovery.elsewhere"] ?? 0;
  const HOUR_MS = 3_600_000;

  it("is doubted: the address is tried once a minute, and believed again when the node is there", async () => {
    const store = await TestStore.open();
    const listen = { host: "127.0.0.1", port: 7_000 };
    const gone = await mesh.node("gone", { store, discovery: [] });
    const { id } = gone;
    await mesh.clock.run(gone.stop());
    const other = await mesh.node("other", { discovery: [], listen });
    const seeker = await mesh.node("seeker", { discovery: [says(id, [addressOf(other)])] });
    await mesh.clock.advance(HOUR_MS);
    expect(wrong(seeker)).toBeGreaterThan(30);
    expect(wrong(seeker)).toBeLessThan(120);
    expect(seeker.counters()["link.refused.WRONG_TARGET"]).toBe(wrong(seeker));
    await mesh.clock.run(other.stop());
    const back = await mesh.node("gone", { store, discovery: [], listen });
    expect(back.id).toBe(id);
    await mesh.clock.advance(61_000);
    await mesh.linked(seeker, back);
  });

  it("does not keep from another address of the node, nor does one that is this node's own", async () => {
    const store = await TestStore.open();
    const first = await mesh.node("late", { store, discovery: [] });
    const { id } = first;
    await mesh.clock.run(first.stop());
    const other = await mesh.node("other", {
      discovery: [],
      listen: { host: "127.0.0.1", port: 7_000 },
    });
    const at = [addressOf(other), "mem://127.0.0.1:7001", "mem://127.0.0.1:7002"];
    const listen = { host: "127.0.0.1", port: 7_001 };
    const seeker = await mesh.node("seeker", { discovery: [says(id, at)], listen });
    expect(addressOf(seeker)).toBe(at[1]);
    await mesh.clock.advance(HOUR_MS);
    expect(wrong(seeker)).toBeLessThan(250);
    await mesh.node("late", { store, discovery: [], listen: { host: "127.0.0.1", port: 7_002 } });
    await mesh.clock.advance(16_000);
    expect(others(seeker)).toMatchObject([{ nodeId: id, state: "alive" }]);
  });
});

describe("durable subscriptions", () => {
  const audit = async (node: MeshNode, got: unknown[] = []) =>
    await mesh.clock.run(
      node.subscribe("x.y", (data) => void got.push(data), { group: "audit", durable: true }),
    );
  const ID = "event audit x.y";
  const owed = (node: MeshNode) => node.ledger()[ID]?.pending;

  it("are owed by a producer that never met a member", async () => {
    const store = await TestStore.open();
    const keeper = await mesh.node("keeper");
    const member = await mesh.node("member", { store });
    await mesh.linked();
    await audit(member);
    await mesh.clock.run(member.stop());
    const producer = await mesh.node("producer", { journal: { lateMs: 0, lateBytes: 0 } });
    await mesh.linked(keeper, producer);
    await mesh.clock.until(() => owed(producer) === 0);
    await mesh.clock.run(producer.publish("x.y", 1));
    await mesh.clock.advance(60_000);
    expect(owed(producer)).toBe(1);
    const got: unknown[] = [];
    await audit(await mesh.node("member", { store }), got);
    await mesh.clock.until(() => got.length === 1);
    await mesh.clock.until(() => owed(producer) === 0);
  });

  it("survive that everybody was down, and do not come back once they were ended by name", async () => {
    const stores = [await TestStore.open(), await TestStore.open(), await TestStore.open()];
    const start = (index: number) => mesh.node(`n${index}`, { store: stores[index] as TestStore });
    const first = [await start(0), await start(1), await start(2)] as const;
    await mesh.linked(...first);
    await audit(first[0]);
    for (const node of first) await mesh.clock.run(node.stop());
    const [one, two] = [await start(1), await start(2)];
    expect([owed(one), owed(two)]).toEqual([0, 0]);
    await mesh.clock.run(two.stop());
    await mesh.clock.run(one.removeSubscription("audit", "x.y"));
    expect(owed(one)).toBeUndefined();
    const again = await start(2); // which was away
    await mesh.linked(one, again);
    await mesh.clock.until(() => owed(again) === undefined);
    await mesh.clock.advance(60_000);
    expect([owed(one), owed(again)]).toEqual([undefined, undefined]);
  });

  it("are born anew when somebody subscribes after the end, whatever its disk remembers", async () => {
    const store = await TestStore.open();
    const producer = await mesh.node("producer");
    const member = await mesh.node("member", { store });
    await mesh.linked();
    await audit(member);
    await mesh.clock.run(member.stop());
    await mesh.clock.run(producer.publish("x.y", "before"));
    await mesh.clock.run(producer.removeSubscription("audit", "x.y"));
    await mesh.clock.advance(1_000);
    const got: unknown[] = [];
    const again = await mesh.node("member", { store });
    await mesh.linked(producer, again);
    await audit(again, got);
    await mesh.owned();
    await mesh.clock.run(producer.publish("x.y", "after"));
    await mesh.clock.until(() => got.length > 0);
    await mesh.clock.advance(60_000);
    expect(got).toEqual(["after"]);
    expect(owed(producer)).toBe(0);
  });

  it("stay where members of them are linked, although another node says that they ended", async () => {
    const producer = await mesh.node("producer");
    const member = await mesh.node("member");
    await mesh.linked();
    const got: unknown[] = [];
    await audit(member, got);
    await mesh.owned();
    const peer = await RawPeer.dial(mesh, addressOf(producer));
    const time = { ms: mesh.clock.wallMs() + 1_000, counter: 0 };
    const ended = [{ role: "events", group: "audit", pattern: "x.y", time } as const];
    const rest = { nodes: [], durable: [], signed: [], entriesHash: 0, asks: false };
    peer.send({ type: "directory", session: peer.session, ended, ...rest });
    await mesh.clock.run(producer.publish("x.y", 1));
    await mesh.clock.until(() => got.length === 1);
    expect(owed(producer)).toBeDefined();
  });
});

describe("a peer that lies about others", () => {
  const tell = (peer: RawPeer, count: number, nodeId: (n: number) => string, address: string) => {
    const nodes = Array.from({ length: count }, (_, n) => {
      return { nodeId: nodeId(n), service: "s", epoch: 1, addresses: [address] };
    });
    for (let from = 0; from < count; from += 100) {
      const part = nodes.slice(from, from + 100);
      const none = { durable: [], ended: [], signed: [], entriesHash: 0, asks: false };
      peer.send({ type: "directory", session: peer.session, nodes: part, ...none });
    }
  };

  it("costs dials for half a minute, of so many at a time, and nothing on disk", async () => {
    const store = await TestStore.open();
    const node = await mesh.node("n", { store, discovery: [], limits: { peersMax: 64 } });
    const peer = await RawPeer.dial(mesh, addressOf(node));
    tell(peer, 500, (n) => `liar${n}`, "mem://elsewhere:9");
    await mesh.clock.advance(1_000);
    expect(node.counters()["discovery.tooManyTold"]).toBe(500 - 16);
    await mesh.clock.advance(120_000);
    const failed = node.counters()["link.dialFailed"] ?? 0;
    expect(failed).toBeGreaterThan(16);
    expect(failed).toBeLessThan(16 * 20);
    await mesh.clock.advance(600_000);
    expect(node.counters()["link.dialFailed"]).toBe(failed);
    expect(store.rows("directory")).toHaveLength(1); // the peer itself
  });

  it("does not keep a node from one that a discovery finds, nor from itself", async () => {
    const node = await mesh.node("n", { limits: { peersMax: 64 } });
    const other = await mesh.node("other");
    await mesh.linked();
    const peer = await RawPeer.dial(mesh, addressOf(node));
    tell(peer, 1, () => other.id, "mem://elsewhere:9");
    tell(peer, 1, () => node.id, "mem://elsewhere:9");
    tell(peer, 100, (n) => `liar${n}`, addressOf(node));
    await mesh.clock.advance(1_000);
    const third = await mesh.node("third");
    await mesh.linked();
    expect(others(third)).toHaveLength(2);
  });

  it("makes room for what a discovery finds", async () => {
    let found = (_: string): void => {};
    const finder: Discovery = {
      name: "finder",
      async start(_, events) {
        found = (address) => events.found({ addresses: [address], source: "finder" });
      },
      async stop() {},
    };
    const node = await mesh.node("n", { discovery: [finder], limits: { peersMax: 4 } });
    const peer = await RawPeer.dial(mesh, addressOf(node));
    tell(peer, 2, (n) => `liar${n}`, "mem://elsewhere:9");
    await mesh.clock.until(() => node.counters()["discovery.tooManyTold"] === 1);
    for (let n = 0; n < 4; n++) found(`mem://nowhere:${n + 1}`);
    expect(node.counters()["discovery.tooManyPeers"]).toBeUndefined();
    found("mem://nowhere:5");
    expect(node.counters()["discovery.tooManyPeers"]).toBe(1);
  });

  it("is not believed about addresses that nobody can dial", async () => {
    const node = await mesh.node("n", { discovery: [] });
    const peer = await RawPeer.dial(mesh, addressOf(node));
    for (const bad of [
      "",
      "mem://0.0.0.0:7",
      "nonsense",
      "unix:relative",
      `mem://${"x".repeat(300)}:1`,
    ]) {
      tell(peer, 1, () => "liar", bad);
    }
    tell(peer, 1, () => "x".repeat(65), "mem://elsewhere:9");
    await mesh.clock.advance(1_000);
    expect(node.counters()["link.dialFailed"]).toBeUndefined();
    expect(peer.closed).toBe(false);
  });
});
