/** What a producer knows of its subscriptions' members, when words about them are late or get lost. */
import { afterEach, beforeEach, expect, it } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const met = (node: MeshNode, nodeId: string): Promise<RawPeer> =>
  RawPeer.dial(mesh, node.addresses[0] ?? "", { nodeId });

const listens = async (peer: RawPeer): Promise<void> => {
  peer.declare({});
  peer.grant(1, 1_000);
  await mesh.clock.until(() => peer.of("declared").length === 1);
};

it("confirms a subscription when it is on disk, and not before", async () => {
  const store = await TestStore.open();
  const node = await mesh.node("says", { store });
  const peer = await met(node, "raw-a");
  store.hold();
  peer.declare({});
  await mesh.clock.advance(200);
  expect(peer.of("declared")).toEqual([]);
  store.letGo();
  await mesh.clock.until(() => peer.of("declared").length === 1);
  expect(peer.of("declared")[0]?.confirmations).toMatchObject([{ subscription: 1, code: "" }]);
});

it("states as its floor what is on disk, and no more", async () => {
  const store = await TestStore.open();
  const node = await mesh.node("says", { store });
  const peer = await met(node, "raw-a");
  await listens(peer);
  await mesh.clock.run(node.publishMany("x.y", [1, 2, 3], { key: "k" }));
  await mesh.clock.until(() => peer.delivered.length === 3);
  store.hold();
  const section = { subscription: 1, acked: [1, 3], held: [], nacks: [], released: [] };
  peer.send({ type: "settle", session: peer.session, sections: [section] });
  const floors = (): number[] =>
    peer.of("ping").flatMap(({ tails }) => tails.map(({ floorSeq }) => floorSeq));
  await mesh.clock.advance(2_000);
  const [first = 0] = peer.delivered;
  expect(Math.max(...floors())).toBeLessThan(first);
  store.letGo();
  await mesh.clock.until(() => floors().at(-1) === first + 2);
});

it("gives a member's keys to others when it ended its subscription while its link was down", async () => {
  const node = await mesh.node("says");
  const first = await met(node, "raw-a");
  const second = await met(node, "raw-b");
  await listens(second);
  await listens(first); // and holds every shard
  const keys = Array.from({ length: 40 }, (_, index) => `k${index}`);
  const sayAll = async (): Promise<void> => {
    for (const key of keys) await mesh.clock.run(node.publish("x.y", key, { key }));
  };
  await sayAll();
  await mesh.clock.until(() => first.delivered.length === keys.length);
  first.cut();
  await mesh.clock.settle();
  const again = await met(node, "raw-a");
  again.declareNothing();
  second.hold("event raw x.y");
  await mesh.clock.until(() => second.delivered.length === keys.length);
  await sayAll();
  await mesh.clock.until(() => second.delivered.length === 2 * keys.length);
  expect(again.delivered).toEqual([]);
});
