/** A message that expired at its producer, and what follows it of its key. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

/** Of key k one message that is about to expire and one that is not, and one of key j between them. */
const expiring = async (store: TestStore) => {
  const node = await mesh.node("says", { store });
  const peer = await RawPeer.dial(mesh, node.addresses[0] ?? "", { nodeId: "raw-c" });
  peer.declare({});
  await mesh.clock.until(() => peer.of("declared").length === 1);
  const calls = [
    node.publish("x.y", 1, { key: "k", expireAfterMs: 100 }),
    node.publish("x.y", 2, { key: "j" }),
    node.publish("x.y", 3, { key: "k" }),
  ];
  const receipts = await mesh.clock.run(Promise.all(calls));
  await mesh.clock.advance(1_000);
  store.hold();
  peer.grant(1, 1_000);
  await mesh.clock.advance(1_000);
  return { node, peer, seqs: receipts.map(({ position }) => position?.seq) };
};

it("waits for the expiry to be on disk, and other keys do not", async () => {
  const store = await TestStore.open();
  const { node, peer, seqs } = await expiring(store);
  expect(peer.delivered).toEqual([seqs[1]]);
  expect(Object.values(node.ledger())[0]).toMatchObject({ accepted: 3, expired: 1 });
  store.letGo();
  await mesh.clock.until(() => peer.delivered.length === 2);
  expect(peer.delivered).toEqual([seqs[1], seqs[2]]);
});

it("waits for the next commit when that one failed", async () => {
  const store = await TestStore.open();
  const { peer, seqs } = await expiring(store);
  store.failing = "full";
  store.letGo();
  await mesh.clock.advance(500);
  expect(peer.delivered).toEqual([seqs[1]]);
  store.failing = undefined;
  await mesh.clock.until(() => peer.delivered.length === 2);
  expect(peer.delivered).toEqual([seqs[1], seqs[2]]);
});
