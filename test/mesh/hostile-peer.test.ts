import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { encodeEnvelope } from "../../src/wire/envelope.ts";
import { processorMs } from "../processor-time.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";

let mesh: TestMesh;
let node: MeshNode;

beforeEach(async () => {
  mesh = new TestMesh();
  node = await mesh.node("node");
});
afterEach(() => mesh.stop());

const address = (): string => node.addresses[0] ?? "";
const ledger = () => Object.values(node.ledger())[0];
const settle = (acked: number[], held: number[] = []) => ({
  subscription: 1,
  acked,
  held,
  nacks: [],
  released: [],
});

/** A member with `count` messages in flight. */
const member = async (nodeId: string, count: number): Promise<RawPeer> => {
  const peer = await RawPeer.dial(mesh, address(), { nodeId });
  peer.declare({});
  peer.grant(1, 1_000);
  await mesh.clock.until(() => peer.of("declared").length === 1);
  for (let n = 0; n < count; n++) await mesh.clock.run(node.publish("x.y", { n }, { key: "k" }));
  await mesh.clock.until(() => peer.delivered.length === count);
  return peer;
};

describe("a peer that settles", () => {
  it("ends each delivery once, whatever ranges it names", async () => {
    const peer = await member("raw-a", 3);
    const { session } = peer;
    peer.send({ type: "settle", session, sections: [settle([0, 9, 1, 3, 1, 3])] });
    await mesh.clock.advance(100);
    expect(ledger()).toMatchObject({ accepted: 3, acked: 3, pending: 0 });
    expect(peer.closed).toBe(false);
  });

  it("cannot keep the node busy with ranges that name everything again and again", async () => {
    const peer = await member("raw-a", 0);
    peer.grant(1, 20_000);
    await mesh.clock.run(node.publishMany("x.y", new Array(20_000).fill(0)));
    await mesh.clock.until(() => peer.delivered.length > 15_000);
    const { session } = peer;
    const costOf = async (acked: number[]): Promise<number> => {
      const beganMs = processorMs();
      peer.send({ type: "settle", session, sections: [settle(acked)] });
      await mesh.clock.settle();
      return processorMs() - beganMs;
    };
    const ranges = (from: number): number[] =>
      Array.from({ length: 200_000 }, () => [from, 2 ** 40]).flat();
    await costOf([2, peer.delivered.length]);
    const ofNothing = await costOf(ranges(2 ** 40));
    const ofAll = await costOf(ranges(1));
    expect(ledger()?.acked).toBeGreaterThan(15_000);
    expect(ofAll).toBeLessThan(20 * ofNothing); // 15,000 looks a range otherwise
  });

  it("does not speak for an earlier session", async () => {
    const peer = await member("raw-a", 1);
    peer.send({ type: "settle", session: peer.session + 1, sections: [settle([1, 1])] });
    await mesh.clock.advance(100);
    expect(ledger()).toMatchObject({ acked: 0, pending: 1 });
    expect(node.counters()["link.foreignSession"]).toBe(1);
  });

  it("cannot take away from another member the word that its settle was accepted", async () => {
    const first = await member("raw-a", 1);
    const { session } = first;
    first.send({ type: "settle", session, sections: [settle([], [1])] });
    await mesh.clock.until(() => first.of("accepted").length > 0);
    const [position] = first.of("accepted")[0]?.entries ?? [];
    first.cut();
    const other = await member("raw-b", 0);
    const { epoch = 0, seq = 0 } = position ?? {};
    const released = [{ epoch, seq }];
    other.send({ type: "settle", session: other.session, sections: [{ ...settle([]), released }] });
    await mesh.clock.advance(100);
    const again = await member("raw-a", 0);
    const positions = [{ epoch, seq }];
    again.send({
      type: "ask",
      session: again.session,
      subscription: 1,
      name: "",
      positions,
      released: [],
    });
    await mesh.clock.until(() => again.of("accepted").length > 0);
    expect(again.of("accepted")[0]?.entries[0]).toMatchObject({ verdict: "yours" });
    other.send({
      type: "ask",
      session: other.session,
      subscription: 1,
      name: "",
      positions,
      released: [],
    });
    await mesh.clock.until(() => other.of("accepted").length > 0);
    expect(other.of("accepted")[0]?.entries[0]).toMatchObject({ verdict: "other" });
  });
});

describe("a verdict", () => {
  it("is told again until its member has acted on it, whatever gets lost in between", async () => {
    const says = await mesh.node("says", { silenceMs: 600_000 });
    const peer = await RawPeer.dial(mesh, says.addresses[0] ?? "", { nodeId: "raw-a" });
    peer.declare({});
    peer.grant(1, 1_000);
    await mesh.clock.run(says.publish("x.y", {}));
    await mesh.clock.until(() => peer.delivered.length === 1);
    const { session } = peer;
    peer.send({ type: "settle", session, sections: [settle([], [1])] });
    await mesh.clock.until(() => peer.of("accepted").length === 1);
    await mesh.clock.until(() => peer.of("accepted").length === 3, 15_000);
    const [first, second, third] = peer.of("accepted");
    expect([second?.entries, third?.entries]).toEqual([first?.entries, first?.entries]);
    const released = (first?.entries ?? []).map(({ epoch, seq }) => ({ epoch, seq }));
    peer.send({ type: "settle", session, sections: [{ ...settle([]), released }] });
    await mesh.clock.advance(60_000);
    expect(peer.of("accepted")).toHaveLength(3);
  });
});

describe("a peer that talks nonsense", () => {
  it("loses its link by a malformed frame, and the node goes on", async () => {
    const peer = await RawPeer.dial(mesh, address());
    peer.sendBytes(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff));
    await mesh.clock.until(() => peer.closed);
    expect(node.counters()["link.malformed"]).toBe(1);
    expect(node.health()).toMatchObject({ ready: true });
  });

  it.each([
    ["a pattern that is none", { pattern: "a..b" }],
    ["no pattern", { pattern: "" }],
    ["a group that could be another's name", { group: "a b" }],
    ["a group without end", { group: "g".repeat(5_000) }],
  ])("is refused a subscription with %s", async (_, record) => {
    const peer = await RawPeer.dial(mesh, address());
    peer.declare(record);
    await mesh.clock.until(() => peer.of("declared").length === 1);
    expect(peer.of("declared")[0]?.confirmations[0]?.code).toBe("SUBSCRIPTION_MISMATCH");
    expect(node.ledger()).toEqual({});
    await mesh.clock.run(node.publish("x.y", {}));
  });

  it("is refused when it asks for what was never sent", async () => {
    const peer = await member("raw-a", 1);
    peer.send({ type: "resync", session: peer.session, subscription: 1, from: 99 });
    await mesh.clock.until(() => peer.closed);
    expect(node.health()).toMatchObject({ ready: true });
  });

  it("is refused when it is of another mesh, or greets as the node itself", async () => {
    const stranger = await RawPeer.dial(mesh, address(), { identity: { mesh: "other" } });
    const double = await RawPeer.dial(mesh, address(), { nodeId: node.id });
    expect([stranger.of("reject")[0]?.code, double.of("reject")[0]?.code]).toEqual([
      "WRONG_MESH",
      "DUPLICATE_NODE",
    ]);
  });

  it("gets what it missed again, as it was", async () => {
    const peer = await member("raw-a", 3);
    peer.send({ type: "resync", session: peer.session, subscription: 1, from: 2 });
    await mesh.clock.until(() => peer.delivered.length === 5);
    expect(peer.delivered.slice(3)).toEqual(peer.delivered.slice(1, 3));
  });
});

describe("a peer that comes and goes", () => {
  it("gets what it had first, in order, and as often as it comes", async () => {
    let peer = await member("raw-a", 3);
    for (let times = 0; times < 5; times++) {
      peer.cut();
      await mesh.clock.settle();
      peer = await RawPeer.dial(mesh, address(), { nodeId: "raw-a" });
      peer.declare({});
      peer.grant(1, 1_000);
      await mesh.clock.run(node.publish("x.y", {}, { key: "k" }));
      await mesh.clock.until(() => peer.delivered.length === 4 + times);
      expect(peer.delivered).toEqual(peer.delivered.toSorted((a, b) => a - b));
    }
  });

  it("does not take the place of living ones for ever", async () => {
    const small = await mesh.node("small", { discovery: [], limits: { peersMax: 4 } });
    for (let n = 0; n < 10; n++) {
      const peer = await RawPeer.dial(mesh, small.addresses[0] ?? "", { nodeId: `guest-${n}` });
      expect(peer.session).not.toBe(0);
      peer.cut();
      await mesh.clock.advance(2_000);
    }
    expect(small.peers().length).toBeLessThanOrEqual(4);
  });

  it("finds credit for its messages each time, although nobody handles them", async () => {
    await mesh.clock.run(
      node.subscribe("x.y", () => new Promise(() => {}), {
        durable: true,
        prefetch: 32,
        concurrency: 1,
        timeoutMs: 100_000_000,
      }),
    );
    const limits: number[] = [];
    for (let times = 0; times < 20; times++) {
      const peer = await RawPeer.dial(mesh, address(), { nodeId: "raw-a" });
      await mesh.clock.until(() => limitOf(peer) > 0);
      limits.push(limitOf(peer));
      peer.sendBytes(batchOf(peer.session, indexOf(peer), Math.min(16, limitOf(peer))));
      await mesh.clock.settle();
      peer.cut();
      await mesh.clock.advance(100);
    }
    expect(limits.at(-1)).toBe(limits[1]);
  });
});

const indexOf = (peer: RawPeer): number =>
  peer.of("declare").flatMap(({ add }) => add.filter(({ role }) => role === "events"))[0]?.index ??
  0;

const limitOf = (peer: RawPeer): number =>
  Math.max(
    0,
    ...[
      ...peer.of("ping").flatMap(({ credits }) => credits),
      ...peer.of("credit").flatMap((f) => f.entries),
    ]
      .filter(({ subscription }) => subscription === indexOf(peer))
      .map(({ numberLimit }) => numberLimit),
  );

const batchOf = (session: number, subscription: number, count: number) => {
  const writer = new BatchWriter();
  const envelope = encodeEnvelope({
    subject: "x.y",
    kind: 0,
    time: { ms: 1, counter: 0 },
    payload: new TextEncoder().encode("{}"),
  });
  const head = { subscription, first: 1, epoch: 1, volatile: false, floorEpoch: 0, floorSeq: 0 };
  writer.begin(session);
  writer.beginSection({ ...head, term: 0 });
  for (let seq = 1; seq <= count; seq++) {
    writer.delivery(seq, -1, 0, 0, -1, false, envelope, 0, envelope.length);
  }
  return writer.finish();
};
