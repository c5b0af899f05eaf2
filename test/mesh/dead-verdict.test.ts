/** A message that failed for good, and what follows it of its key, when the word of that gets lost. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type MeshNode, Unrecoverable } from "../../src/index.ts";
import { deadLetterId } from "../../src/runtime/producer/dead-letters.ts";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { encodeEnvelope } from "../../src/wire/envelope.ts";
import { encodeFrame } from "../../src/wire/frames.ts";
import type { Nack } from "../../src/wire/settle.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";
import { TestStore } from "./test-store.ts";

let mesh: TestMesh;
beforeEach(() => {
  mesh = new TestMesh();
});
afterEach(() => mesh.stop());

const addressOf = (node: MeshNode): string => node.addresses[0] ?? "";

describe("at its consumer", () => {
  const KEY = 7;
  const events = (peer: RawPeer) =>
    peer.of("declare").flatMap(({ add }) => add.filter(({ role }) => role === "events"));

  /** Messages 1 to `count` of one key, as their producer sends them. */
  const deliver = (peer: RawPeer, count: number, keyHash = KEY): void => {
    const writer = new BatchWriter();
    const subscription = events(peer)[0]?.index ?? 0;
    writer.begin(peer.session);
    const head = { subscription, first: 1, epoch: 1, volatile: false, floorEpoch: 0, floorSeq: 0 };
    writer.beginSection({ ...head, term: 1 });
    for (let seq = 1; seq <= count; seq++) {
      const payload = new TextEncoder().encode(String(seq));
      const time = { ms: 1, counter: 0 };
      const envelope = encodeEnvelope({ subject: "x.y", kind: 0, time, key: "k", payload });
      writer.delivery(seq, keyHash, 0, 0, -1, false, envelope, 0, envelope.length);
    }
    peer.sendBytes(writer.finish());
  };

  const met = async (node: MeshNode): Promise<RawPeer> => {
    const peer = await RawPeer.dial(mesh, addressOf(node), { nodeId: "raw-p" });
    await mesh.clock.until(() => events(peer).length > 0);
    return peer;
  };

  it.each(["continue", "hold"] as const)(
    'lets nothing of its key run until its producer has it, and is tried again if that was lost ("%s")',
    async (onDead) => {
      const node = await mesh.node("hears");
      const seen: number[] = [];
      let broken = true;
      const handler = (n: unknown): void => {
        seen.push(n as number);
        if (n === 1 && broken) throw new Unrecoverable("cannot");
      };
      await mesh.clock.run(node.subscribe("x.y", handler, { durable: true, onDead }));
      await mesh.owned();
      const first = await met(node);
      deliver(first, 3);
      await mesh.clock.until(() => first.of("settle").length > 0);
      await mesh.clock.settle();
      const nacks = first.of("settle").flatMap((frame) => frame.sections.flatMap((s) => s.nacks));
      expect(nacks.map(({ number, outcome }) => `${number} ${outcome}`).sort()).toEqual([
        "1 dead",
        "2 return",
        "3 return",
      ]);
      expect(seen).toEqual([1]);
      first.cut(); // what it said was lost
      await mesh.clock.settle();
      broken = false;
      deliver(await met(node), 3);
      await mesh.clock.until(() => seen.length === 4);
      expect(seen).toEqual([1, 1, 2, 3]);
    },
  );

  it("tells of many at once, whatever they say, in frames that every peer takes", async () => {
    const node = await mesh.node("hears");
    const handler = (): void => {
      throw new Unrecoverable("\u6b7b".repeat(1_000_000));
    };
    await mesh.clock.run(node.subscribe("x.y", handler, { durable: true }));
    const peer = await met(node);
    deliver(peer, 16, -1);
    const nacks = () =>
      peer.of("settle").flatMap(({ sections }) => sections.flatMap((s) => s.nacks));
    await mesh.clock.until(() => nacks().length === 16);
    const sizes = peer.of("settle").map((frame) => encodeFrame(frame).length);
    expect(Math.max(...sizes)).toBeLessThan(129 * 1_024);
  });
});

describe("at its producer", () => {
  const declared = async (node: MeshNode, holdOnDead = false): Promise<RawPeer> => {
    const peer = await RawPeer.dial(mesh, addressOf(node), { nodeId: "raw-c" });
    peer.declare({ holdOnDead });
    peer.grant(1, 1_000);
    await mesh.clock.until(() => peer.of("declared").length === 1);
    return peer;
  };
  const nack = (number: number, outcome: Nack["outcome"]): Nack => {
    const told = { reason: "cannot", errorName: "", errorMessage: "", earlier: [] };
    return { number, outcome, delayMs: 0, attempts: 1, ...told };
  };
  const settle = (peer: RawPeer, nacks: Nack[], acked: number[] = []): void => {
    const section = { subscription: 1, acked, held: [], nacks, released: [] };
    peer.send({ type: "settle", session: peer.session, sections: [section] });
  };
  const ledger = (node: MeshNode) => Object.values(node.ledger())[0];

  /** Two messages of a key are with the member, the first is dead; nothing more reaches the disk. */
  const buried = async (store: TestStore, holdOnDead = false) => {
    const node = await mesh.node("says", { store });
    const peer = await declared(node, holdOnDead);
    const [receipt] = await mesh.clock.run(node.publishMany("x.y", [1, 2], { key: "k" }));
    await mesh.clock.until(() => peer.delivered.length === 2);
    store.hold();
    settle(peer, [nack(1, "dead"), nack(2, "return")]);
    await mesh.clock.advance(200);
    return { node, peer, id: deadLetterId(receipt?.id ?? "", Object.keys(node.ledger())[0] ?? "") };
  };

  it("lets its key go on once the dead letter is on disk, and not before", async () => {
    const store = await TestStore.open();
    const { node, peer } = await buried(store);
    const [first, second] = peer.delivered;
    expect(peer.delivered).toEqual([first, second]);
    store.letGo();
    await mesh.clock.until(() => peer.delivered.length === 3);
    expect(peer.delivered).toEqual([first, second, second]);
    const deliveries = peer.of("batch").flatMap((f) => f.sections.flatMap((s) => s.deliveries));
    expect(deliveries.at(-1)?.resume).toBe(true);
    settle(peer, [], [3, 1]);
    await mesh.clock.advance(100);
    expect(ledger(node)).toMatchObject({ accepted: 2, acked: 1, dead: 1, pending: 0 });
    expect(store.rows("dead")).toHaveLength(1);
  });

  it("tries it again, before the rest of its key, when it dies before the dead letter is on disk", async () => {
    const store = await TestStore.open();
    const { node, peer } = await buried(store);
    const before = peer.delivered;
    const next = store.crash();
    await mesh.clock.run(node.stop({ drainMs: 0 }));
    const again = await declared(await mesh.node("says", { store: next }));
    await mesh.clock.until(() => again.delivered.length === 2);
    expect(again.delivered).toEqual(before);
    expect(next.rows("dead")).toEqual([]);
  });

  it("counts it once when it dies after that, with its cursor where it was", async () => {
    const store = await TestStore.open();
    const { node } = await buried(store);
    store.letGo();
    await mesh.clock.until(() => store.rows("dead").length === 1);
    const next = store.crash();
    await mesh.clock.run(node.stop({ drainMs: 0 }));
    const later = await mesh.node("says", { store: next });
    const again = await declared(later);
    await mesh.clock.until(() => again.delivered.length === 1);
    settle(again, [], [1, 1]);
    await mesh.clock.advance(100);
    expect(ledger(later)).toMatchObject({ accepted: 2, acked: 1, dead: 1, pending: 0 });
  });

  it("waits with a key it stopped until the discard of its dead letter is on disk", async () => {
    const store = await TestStore.open();
    const { node, peer, id } = await buried(store, true);
    store.letGo();
    await mesh.clock.until(() => store.rows("dead").length === 1);
    store.hold();
    const discarded = node.deadLetters.discard(id);
    await mesh.clock.advance(200);
    expect(peer.delivered).toHaveLength(2);
    store.letGo();
    await mesh.clock.run(discarded);
    await mesh.clock.until(() => peer.delivered.length === 3);
    settle(peer, [], [3, 1]);
    await mesh.clock.advance(100);
    expect(ledger(node)).toMatchObject({ accepted: 2, acked: 1, dead: 1, pending: 0 });
  });

  it("keeps a dead letter, and the key it stops, when its discard fails", async () => {
    const store = await TestStore.open();
    const { node, peer, id } = await buried(store, true);
    store.letGo();
    await mesh.clock.until(() => store.rows("dead").length === 1);
    store.failing = "full";
    const failed = node.deadLetters.discard(id).catch((error: unknown) => error);
    expect(await mesh.clock.run(failed)).toMatchObject({ code: "DISK_FULL" });
    store.failing = undefined;
    await mesh.clock.advance(1_000);
    expect(peer.delivered).toHaveLength(2);
    expect(ledger(node)).toMatchObject({ dead: 0, pending: 2 });
    await mesh.clock.run(node.deadLetters.discard(id));
    await mesh.clock.until(() => peer.delivered.length === 3);
  });
});
