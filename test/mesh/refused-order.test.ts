/** A key's messages stay in order when a consumer gives some back and has their shard before the rest comes. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { encodeEnvelope } from "../../src/wire/envelope.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";

const SUBSCRIPTION = "event hears x.y";
const KEY = 7;

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const events = (peer: RawPeer) =>
  peer.of("declare").flatMap(({ add }) => add.filter(({ role }) => role === "events"));

const nacks = (peer: RawPeer): string[] =>
  peer
    .of("settle")
    .flatMap(({ sections }) => sections.flatMap((section) => section.nacks))
    .map(({ number, outcome }) => `${number} ${outcome}`);

/** Messages of one key, numbered from `first` on in this session; the first may lift a stop. */
const deliver = (peer: RawPeer, first: number, seqs: readonly number[], resume = false): void => {
  const writer = new BatchWriter();
  const subscription = events(peer)[0]?.index ?? 0;
  writer.begin(peer.session);
  const head = { subscription, first, epoch: 1, volatile: false, floorEpoch: 0, floorSeq: 0 };
  writer.beginSection({ ...head, term: 1 });
  for (const [at, seq] of seqs.entries()) {
    const payload = new TextEncoder().encode(String(seq));
    const time = { ms: 1, counter: 0 };
    const envelope = encodeEnvelope({ subject: "x.y", kind: 0, time, key: "k", payload });
    writer.delivery(seq, KEY, 0, 0, -1, resume && at === 0, envelope, 0, envelope.length);
  }
  peer.sendBytes(writer.finish());
};

/** A consumer that owned every shard, and its producer. */
const prepare = async (seen: number[], handler: () => unknown = () => undefined) => {
  const node = await mesh.node("hears");
  const handle = (n: unknown): unknown => {
    seen.push(n as number);
    return handler();
  };
  await mesh.clock.run(node.subscribe("x.y", handle, { durable: true }));
  await mesh.owned();
  const peer = await RawPeer.dial(mesh, node.addresses[0] ?? "", { nodeId: "raw-p" });
  await mesh.clock.until(() => events(peer).length > 0);
  return { node, peer };
};

/** The shard comes back; then comes what was sent before its producer knew of what it gets back. */
const comeBack = async (peer: RawPeer, nodeId: string, first: number): Promise<void> => {
  peer.release(SUBSCRIPTION, nodeId);
  await mesh.owned();
  deliver(peer, first, [3]);
  await mesh.clock.settle();
};

it("returns what was sent behind refused messages", async () => {
  const seen: number[] = [];
  const { node, peer } = await prepare(seen);
  peer.hold(SUBSCRIPTION);
  deliver(peer, 1, [1, 2]);
  await mesh.clock.until(() => nacks(peer).length === 2);
  await comeBack(peer, node.id, 3);
  expect(nacks(peer)).toEqual(["1 return", "2 return", "3 return"]);
  expect(seen).toEqual([]);
  deliver(peer, 4, [1, 2, 3], true);
  await mesh.clock.until(() => seen.length === 3);
  expect(seen).toEqual([1, 2, 3]);
});

it.each([
  ["ran", [1]],
  ["ran, and others that waited,", [1, 2]],
])("returns what was sent behind a message that %s when the shard was lost", async (_, sent) => {
  const seen: number[] = [];
  const ends: (() => void)[] = [];
  const handler = () => new Promise<void>((resolve) => ends.push(resolve));
  const { node, peer } = await prepare(seen, handler);
  deliver(peer, 1, sent);
  await mesh.clock.until(() => seen.length === 1);
  peer.hold(SUBSCRIPTION);
  await mesh.clock.until(() => nacks(peer).length === sent.length);
  for (const end of ends) end();
  await mesh.clock.settle();
  const next = sent.length + 1;
  await comeBack(peer, node.id, next);
  expect(nacks(peer)).toContain(`${next} return`);
  expect(seen).toEqual([1]);
  deliver(peer, next + 1, [1], true);
  await mesh.clock.until(() => seen.length === 2);
  expect(seen).toEqual([1, 1]);
});
