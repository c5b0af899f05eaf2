/** What one peer may take of a node, and what happens at each limit: to it, to the others, and to what it accepted. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { MeshNode } from "../../src/index.ts";
import { MeshError } from "../../src/index.ts";
import type { StatusChange } from "../../src/runtime/environment.ts";
import { encodeEnvelope } from "../../src/wire/envelope.ts";
import { SAMPLE_ENVELOPES } from "../wire/frame-samples.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";

let mesh: TestMesh;

beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const count = (node: MeshNode, name: string): number => node.counters()[name] ?? 0;
const address = (node: MeshNode): string => node.addresses[0] ?? "";

/** What `status()` of a node tells from now on. */
const changesOf = (node: MeshNode): StatusChange[] => {
  const changes: StatusChange[] = [];
  void (async () => {
    for await (const change of node.status()) changes.push(change);
  })();
  return changes;
};

const codeOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "",
    (error) => (MeshError.is(error) ? error.code : String(error)),
  );

describe("a quota of messages", () => {
  it("makes durable messages wait where they were accepted: none is lost, doubled or out of order", async () => {
    const takes = await mesh.node("takes", { peerLimits: { messagesPerSecond: 100 } });
    const says = await mesh.node("says");
    const changes = changesOf(says);
    const reports = changesOf(takes);
    const seen: number[] = [];
    const subscribing = takes.subscribe(
      "x.y",
      async (data) => {
        seen.push((data as { n: number }).n);
      },
      { durable: true, prefetch: 32, concurrency: 32 },
    );
    await mesh.linked();
    await mesh.clock.run(subscribing);
    await mesh.owned();
    const all = Array.from({ length: 1_000 }, (_, n) => ({ n }));
    await mesh.clock.run(says.publishMany("x.y", all, { key: "k" }));
    await mesh.clock.advance(2_000);
    // A second's worth at once, two seconds more, and what was on its way.
    expect(seen.length).toBeGreaterThanOrEqual(250);
    expect(seen.length).toBeLessThanOrEqual(300 + 64);
    await mesh.clock.until(() => seen.length === 1_000, 20_000);
    await mesh.clock.advance(1_000);
    expect(seen).toEqual(all.map(({ n }) => n));
    expect(Object.values(says.ledger())[0]).toMatchObject({ accepted: 1_000, acked: 1_000 });
    expect(count(takes, "peer.limited.messages")).toBeGreaterThan(0);
    expect(count(says, "limited.messages")).toBeGreaterThan(0);
    const limit = { kind: "messages", message: "peerLimits.messagesPerSecond 100 reached" };
    expect(changes).toContainEqual({
      type: "limited",
      nodeId: takes.id,
      service: "takes",
      ...limit,
    });
    expect(reports).toContainEqual({
      type: "peer-limited",
      nodeId: says.id,
      service: "says",
      ...limit,
    });
    // One line for each now and then, not for each time.
    const lines = mesh.logs.filter(({ message }) => message === "a peer has reached a limit");
    expect(lines.length).toBeLessThan(10);
    expect(count(takes, "peer.limited.messages")).toBeGreaterThan(lines.length);
    expect(says.peers().find(({ nodeId }) => nodeId === takes.id)?.state).toBe("alive");
  });

  it("is one peer's: what others send goes on", async () => {
    const takes = await mesh.node("takes", { peerLimits: { messagesPerSecond: 10 } });
    const loud = await mesh.node("loud");
    const calm = await mesh.node("calm");
    const seen: string[] = [];
    await mesh.linked();
    await mesh.clock.run(
      takes.subscribe("x.y", async (data) => void seen.push((data as { by: string }).by)),
    );
    await mesh.owned();
    await mesh.clock.run(loud.publishMany("x.y", new Array(2_000).fill({ by: "loud" })));
    await mesh.clock.advance(100);
    const before = seen.length;
    expect(before).toBeLessThan(2_000);
    await mesh.clock.run(calm.publish("x.y", { by: "calm" }));
    await mesh.clock.advance(50);
    expect(seen.filter((by) => by === "calm")).toEqual(["calm"]);
  });

  it("drops at-most-once messages at their sender, which is told", async () => {
    const takes = await mesh.node("takes", { peerLimits: { messagesPerSecond: 10 } });
    const says = await mesh.node("says");
    let seen = 0;
    await mesh.linked();
    await mesh.clock.run(takes.subscribe("x.y", async () => void seen++));
    await mesh.owned();
    for (let n = 0; n < 50; n++) says.emit("x.y", {});
    await mesh.clock.advance(50);
    const before = seen;
    expect(before).toBeGreaterThanOrEqual(10);
    expect(says.emit("x.y", {})).toBe(false);
    expect(count(says, "emit.dropped.noCredit")).toBe(1);
    await mesh.clock.advance(10_000);
    expect(says.emit("x.y", {})).toBe(true);
    await mesh.clock.advance(50);
    expect(seen).toBe(before + 1);
  });

  it("refuses requests with RATE_LIMITED, and answers again when the time has passed", async () => {
    const answers = await mesh.node("answers", { peerLimits: { messagesPerSecond: 10 } });
    const asks = await mesh.node("asks");
    await mesh.linked();
    await mesh.clock.run(answers.reply("q.a", async () => 1));
    const ask = () => codeOf(asks.request("q.a", {}));
    const codes: string[] = [];
    for (let n = 0; n < 100; n++) codes.push(await mesh.clock.run(ask()));
    expect(codes.filter((code) => code === "").length).toBeLessThan(20);
    expect(new Set(codes)).toEqual(new Set(["", "RATE_LIMITED"]));
    expect(count(answers, "peer.limited.requests")).toBeGreaterThan(80);
    await mesh.clock.advance(1_000);
    expect(await mesh.clock.run(ask())).toBe("");
  });

  it("ends the link of who goes on all the same, and lets it in again after a while that doubles", async () => {
    const takes = await mesh.node("takes", { peerLimits: { messagesPerSecond: 1 } });
    const other = await mesh.node("other");
    await mesh.linked();
    await mesh.clock.run(takes.subscribe("x.y", () => {}));
    const [envelope = new Uint8Array(0)] = Object.values(SAMPLE_ENVELOPES).map(encodeEnvelope);
    const delivery = { keyHash: -1, attempts: 0, skip: 0, remainingMs: -1, resume: false } as const;
    const bytes = { bytes: envelope, envelopeStart: 0, envelopeEnd: envelope.length };
    const deliveries = new Array(1_000).fill({ seq: 0, ...delivery, ...bytes });
    const flood = async (): Promise<RawPeer> => {
      const peer = await RawPeer.dial(mesh, address(takes), { nodeId: "flooder" });
      await mesh.clock.until(() => peer.of("declare").length > 0);
      const subscription = peer.of("declare")[0]?.add[0]?.index ?? 0;
      const head = { subscription, first: 1, epoch: 0, volatile: true, floorEpoch: 0, floorSeq: 0 };
      const sections = [{ ...head, term: 1, deliveries, bundles: [] }];
      for (let n = 0; n < 200; n++) peer.send({ type: "batch", session: peer.session, sections });
      await mesh.clock.until(() => peer.closed);
      return peer;
    };
    const first = await flood();
    expect(first.closed).toBe(true);
    expect(first.of("bye")[0]?.code).toBe("RATE_LIMITED");
    expect(first.of("limited").length).toBeGreaterThan(0);
    const early = await RawPeer.dial(mesh, address(takes), { nodeId: "flooder" });
    expect(early.of("reject")[0]).toMatchObject({ code: "RATE_LIMITED" });
    await mesh.clock.advance(1_000);
    const again = await flood();
    expect(again.of("bye")[0]?.code).toBe("RATE_LIMITED");
    await mesh.clock.advance(1_500);
    const still = await RawPeer.dial(mesh, address(takes), { nodeId: "flooder" });
    expect(still.of("reject")[0]).toMatchObject({ code: "RATE_LIMITED" });
    await mesh.clock.advance(500);
    const late = await RawPeer.dial(mesh, address(takes), { nodeId: "flooder" });
    expect(late.session).toBeGreaterThan(0);
    expect(takes.peers().find(({ nodeId }) => nodeId === other.id)?.state).toBe("alive");
  });
});

describe("a quota of bytes", () => {
  it("makes messages wait as well", async () => {
    const takes = await mesh.node("takes", { peerLimits: { bytesPerSecond: 100_000 } });
    const says = await mesh.node("says");
    let seen = 0;
    await mesh.linked();
    await mesh.clock.run(takes.subscribe("x.y", async () => void seen++, { prefetch: 16 }));
    await mesh.owned();
    await mesh.clock.run(says.publishMany("x.y", new Array(100).fill("x".repeat(10_000))));
    await mesh.clock.advance(2_000);
    expect(seen).toBeGreaterThan(20);
    expect(seen).toBeLessThan(70);
    await mesh.clock.until(() => seen === 100, 20_000);
    expect(count(takes, "peer.limited.bytes")).toBeGreaterThan(0);
  });
});

describe("a limit of sessions", () => {
  it("refuses a peer that comes again and again, and no other", async () => {
    const node = await mesh.node("node", { peerLimits: { sessionsPerMinute: 60 } });
    let begun = 0;
    let refused = 0;
    for (let n = 0; n < 40; n++) {
      const peer = await RawPeer.dial(mesh, address(node), { nodeId: "restless" });
      if (peer.session > 0) begun++;
      if (peer.of("reject")[0]?.code === "RATE_LIMITED") refused++;
      peer.cut();
      await mesh.clock.advance(10);
    }
    expect([begun, refused]).toEqual([12, 28]);
    expect(count(node, "peer.limited.sessions")).toBe(28);
    const other = await RawPeer.dial(mesh, address(node), { nodeId: "other" });
    expect(other.session).toBeGreaterThan(0);
    await mesh.clock.advance(1_000);
    const again = await RawPeer.dial(mesh, address(node), { nodeId: "restless" });
    expect(again.session).toBeGreaterThan(0);
    const lines = mesh.logs.filter(({ message }) => message === "link rejected");
    expect(lines.length).toBeLessThanOrEqual(21);
  });
});

describe("a limit of control frames", () => {
  it("ends the link of who floods with them, and touches nobody else", async () => {
    const node = await mesh.node("node", { peerLimits: { controlPerSecond: 100 } });
    const other = await mesh.node("other");
    await mesh.linked();
    const peer = await RawPeer.dial(mesh, address(node), { nodeId: "flooder" });
    const credentials = { chain: [], revocations: new Uint8Array(0), secrets: [] };
    for (let n = 0; n < 20; n++)
      peer.send({ type: "credentials", session: peer.session, ...credentials });
    await mesh.clock.settle();
    expect(peer.of("bye")[0]?.code).toBe("RATE_LIMITED");
    expect(count(node, "peer.limited.control")).toBe(1);
    const barred = await RawPeer.dial(mesh, address(node), { nodeId: "flooder" });
    expect(barred.of("reject")[0]?.code).toBe("RATE_LIMITED");
    expect(node.peers().find(({ nodeId }) => nodeId === other.id)?.state).toBe("alive");
  });
});

describe("a limit of subscriptions", () => {
  const confirmed = (peer: RawPeer): string[] =>
    peer.of("declared").flatMap(({ confirmations }) => confirmations.map(({ code }) => code));

  it("refuses one peer more, and leaves room for others", async () => {
    const limits = { peerLimits: { subscriptionsMax: 3 }, limits: { subscriptionsMax: 4 } };
    const node = await mesh.node("node", limits);
    const greedy = await RawPeer.dial(mesh, address(node));
    for (let n = 1; n <= 5; n++) greedy.declare({ index: n, pattern: `x.n${n}` });
    await mesh.clock.until(() => confirmed(greedy).length === 5);
    expect(confirmed(greedy).sort()).toEqual([
      "",
      "",
      "",
      "SUBSCRIPTION_LIMIT",
      "SUBSCRIPTION_LIMIT",
    ]);
    const other = await RawPeer.dial(mesh, address(node));
    other.declare({ pattern: "y.z" });
    await mesh.clock.until(() => confirmed(other).length === 1);
    expect(confirmed(other)).toEqual([""]);
    expect(count(node, "peer.limited.subscriptions")).toBe(2);
  });

  it("counts durable ones that it brought and left, whose rows stay", async () => {
    const node = await mesh.node("node", { peerLimits: { subscriptionsMax: 3 } });
    const greedy = await RawPeer.dial(mesh, address(node));
    for (let n = 1; n <= 5; n++) {
      greedy.declare({ index: n, pattern: `x.n${n}` });
      await mesh.clock.until(() => confirmed(greedy).length === n);
      const change = { add: [], drain: [], remove: [n], complete: false, ended: [] };
      greedy.send({ type: "declare", session: greedy.session, ...change });
    }
    expect(confirmed(greedy)).toEqual(["", "", "", "SUBSCRIPTION_LIMIT", "SUBSCRIPTION_LIMIT"]);
  });

  it("is an error at the caller that subscribes", async () => {
    await mesh.node("node", { peerLimits: { subscriptionsMax: 2 } });
    const greedy = await mesh.node("greedy");
    await mesh.linked();
    await mesh.clock.run(greedy.subscribe("x.w", async () => {}));
    await mesh.clock.run(greedy.subscribe("x.y", async () => {}));
    const refused = codeOf(greedy.subscribe("x.z", async () => {}));
    expect(await mesh.clock.run(refused)).toBe("SUBSCRIPTION_LIMIT");
    // Each node answers for its dead letters: that is the other of the two.
    await mesh.clock.run(greedy.reply("q.a", async () => 1));
    const another = codeOf(greedy.reply("q.b", async () => 1));
    expect(await mesh.clock.run(another)).toBe("SUBSCRIPTION_LIMIT");
  });
});

describe("a limit of the bytes of requests", () => {
  it("refuses what is above it with RATE_LIMITED, and takes one of any size", async () => {
    const answers = await mesh.node("answers", { peerLimits: { requestBytesMax: 65_536 } });
    const asks = await mesh.node("asks");
    await mesh.linked();
    let release = (): void => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    await mesh.clock.run(answers.reply("q.a", () => held.then(() => 1)));
    const large = "x".repeat(40_000);
    const codes = [0, 1, 2].map(() => codeOf(asks.request("q.a", large)));
    expect(await mesh.clock.run(codes[1] ?? Promise.resolve(""))).toBe("RATE_LIMITED");
    expect(await mesh.clock.run(codes[2] ?? Promise.resolve(""))).toBe("RATE_LIMITED");
    release();
    expect(await mesh.clock.run(codes[0] ?? Promise.resolve(""))).toBe("");
    expect(await mesh.clock.run(codeOf(asks.request("q.a", "x".repeat(100_000))))).toBe("");
    expect(count(answers, "peer.limited.requests")).toBe(2);
  });
});

describe("a peer that does not say who it is in time", () => {
  it("is told so", async () => {
    const node = await mesh.node("node", { handshakeMs: 500 });
    const slow = await RawPeer.dial(mesh, address(node), { silent: true });
    await mesh.clock.advance(600);
    expect(slow.of("reject")[0]).toMatchObject({ code: "TIMEOUT" });
    expect(slow.closed).toBe(true);
  });
});
