/** Output that is held up to its limit, and messages that must be handled before it can leave. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { encodeEnvelope } from "../../src/wire/envelope.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";

let mesh: TestMesh;
let node: MeshNode;
beforeEach(async () => {
  mesh = new TestMesh();
  node = await mesh.node("hears", { limits: { heldMax: 1 } });
  const handler = (_: unknown, ctx: { publish(subject: string, data: unknown): void }): void => {
    ctx.publish("out.put", {});
  };
  await mesh.clock.run(node.subscribe("x.y", handler, { durable: true }));
  await mesh.owned();
});
afterEach(() => mesh.stop());

const indexOf = (peer: RawPeer): number | undefined =>
  peer.of("declare").flatMap(({ add }) => add.filter(({ role }) => role === "events"))[0]?.index;

/** Another session with the producer, which gave the member this term meanwhile. */
const deliver = async (term: number, ...seqs: number[]): Promise<RawPeer> => {
  const peer = await RawPeer.dial(mesh, node.addresses[0] ?? "", { nodeId: "raw-p" });
  await mesh.clock.until(() => indexOf(peer) !== undefined);
  const writer = new BatchWriter();
  writer.begin(peer.session);
  const head = { subscription: indexOf(peer) ?? 0, first: 1, epoch: 1, volatile: false };
  writer.beginSection({ ...head, floorEpoch: 0, floorSeq: 0, term });
  const payload = new TextEncoder().encode("{}");
  const time = { ms: 1, counter: 0 };
  const envelope = encodeEnvelope({ subject: "x.y", kind: 0, time, key: "k", payload });
  for (const seq of seqs) {
    writer.delivery(seq, 7, 0, 0, -1, false, envelope, 0, envelope.length);
  }
  peer.sendBytes(writer.finish());
  await mesh.clock.until(() => peer.of("settle").length > 0);
  return peer;
};

const ended = (peer: RawPeer) => {
  const sections = peer.of("settle").flatMap((frame) => frame.sections);
  return {
    held: sections.flatMap(({ held }) => held),
    nacks: sections.flatMap(({ nacks }) => nacks.map(({ outcome }) => outcome)),
  };
};

describe("at heldMax", () => {
  it("a message whose own output is held and stale is handled anew, in its place", async () => {
    (await deliver(1, 5)).cut();
    await mesh.clock.settle();
    expect(ended(await deliver(2, 5))).toEqual({ held: [1], nacks: [] });
    expect(node.counters()["inbox.renewed"]).toBe(1);
  });

  it("a message that stands before one whose output is held is taken, another is not", async () => {
    (await deliver(1, 5)).cut();
    await mesh.clock.settle();
    expect(ended(await deliver(2, 4, 6))).toEqual({ held: [1], nacks: ["return"] });
    expect(node.counters()["output.heldFull"]).toBe(1);
  });
});
