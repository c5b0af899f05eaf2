/** Subscriptions that are not durable, when they come back after they were forgotten. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

/** Longer than a producer keeps one without members. */
const FORGOTTEN_MS = 31_000;

const met = (node: MeshNode): Promise<RawPeer> =>
  RawPeer.dial(mesh, node.addresses[0] ?? "", { nodeId: "raw-a" });

describe("a producer that gave one up", () => {
  type Asks = { readonly start?: "new" | "earliest"; readonly birthMs?: number };

  const listens = async (peer: RawPeer, { start = "new", birthMs = 0 }: Asks = {}) => {
    const birthTime = { ms: birthMs, counter: 0 };
    peer.declare({ durable: false, distribution: "any", start, birthTime });
    peer.grant(1, 1_000);
    await mesh.clock.until(() => peer.of("declared").length === 1);
  };

  /** One of three is acked, one becomes a dead letter, one stays open; then the peer is away for too long. */
  const givenUp = async (node: MeshNode): Promise<readonly number[]> => {
    const peer = await met(node);
    await listens(peer);
    await mesh.clock.run(node.publishMany("x.y", [1, 2, 3]));
    await mesh.clock.until(() => peer.delivered.length === 3);
    const dead = { outcome: "dead", reason: "cannot", attempts: 1, delayMs: 0 } as const;
    const error = { errorName: "", errorMessage: "", earlier: [] };
    const nacks = [{ number: 2, ...dead, ...error }];
    const section = { subscription: 1, acked: [1, 1], held: [], nacks, released: [] };
    peer.send({ type: "settle", session: peer.session, sections: [section] });
    await mesh.clock.advance(200);
    expect(await mesh.clock.run(node.deadLetters.list())).toHaveLength(1);
    peer.cut();
    await mesh.clock.advance(FORGOTTEN_MS);
    expect(node.ledger()).toEqual({});
    return peer.delivered;
  };

  /** Messages that come to a peer that was away: of the three, and the fourth, which is said now. */
  const again = async (node: MeshNode, asks?: Asks): Promise<readonly number[]> => {
    await mesh.clock.run(node.publish("x.y", 4));
    const peer = await met(node);
    await listens(peer, asks);
    await mesh.clock.until(() => peer.delivered.length > 0);
    await mesh.clock.advance(1_000);
    return peer.delivered;
  };

  it("owes it nothing again when its members had only been cut off", async () => {
    const node = await mesh.node("says");
    const before = await givenUp(node);
    const after = await again(node);
    expect(after).toEqual([(before.at(-1) ?? 0) + 1]);
  });

  it("knows that in its next life", async () => {
    const store = await TestStore.open();
    const node = await mesh.node("says", { store });
    const before = await givenUp(node);
    await mesh.clock.run(node.stop());
    const next = await mesh.node("says", { store });
    const after = await again(next);
    expect(after).toHaveLength(1);
    expect(before).toHaveLength(3);
  });

  it("owes what it asks for to one that was born since", async () => {
    const node = await mesh.node("says");
    const before = await givenUp(node);
    const after = await again(node, { start: "earliest", birthMs: mesh.clock.wallMs() });
    expect(after.slice(0, 3)).toEqual(before);
    expect(after).toHaveLength(4);
  });
});

it("is born anew in the next life of its only member", async () => {
  const births = async (node: MeshNode): Promise<number> => {
    await mesh.clock.run(node.subscribe("x.y", () => {}, { durable: false, group: false }));
    const peer = await met(node);
    const records = () =>
      peer.of("declare").flatMap(({ add }) => add.filter(({ pattern }) => pattern === "x.y"));
    await mesh.clock.until(() => records().length > 0);
    peer.cut();
    return records()[0]?.birthTime.ms ?? 0;
  };
  const store = await TestStore.open();
  const node = await mesh.node("hears", { store });
  const first = await births(node);
  const next = store.crash();
  await mesh.clock.run(node.stop());
  await mesh.clock.advance(FORGOTTEN_MS);
  const second = await births(await mesh.node("hears", { store: next }));
  expect(second - first).toBeGreaterThanOrEqual(FORGOTTEN_MS);
});
