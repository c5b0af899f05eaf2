/** Frames in pieces between a node and a peer that does not keep the rules, or does not know of pieces. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Piece } from "../../src/core/piece-assembler.ts";
import { bytes, type MeshNode, query } from "../../src/index.ts";
import { PIECES_FEATURE } from "../../src/runtime/link/link-pieces.ts";
import { encodeEnvelope } from "../../src/wire/envelope.ts";
import { encodeFrame, type KnownFrame } from "../../src/wire/frames.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";

const KIB = 1_024;
const MIB = 2 ** 20;
const SILENCE_MS = 3_000;
const HEARTBEAT_MS = 250;

let mesh: TestMesh;
let node: MeshNode;

beforeEach(async () => {
  mesh = new TestMesh();
  node = await mesh.node("node", { limits: { payloadBytesMax: 2 * MIB } });
});
afterEach(() => mesh.stop());

const dial = async (
  given: { features?: number; frameBytesMax?: number } = {},
): Promise<RawPeer> => {
  const identity = { features: PIECES_FEATURE, ...given };
  return RawPeer.dial(mesh, node.addresses[0] ?? "", { nodeId: "raw-a", identity });
};

const piece = (peer: RawPeer, given: Partial<Piece>): KnownFrame => ({
  type: "piece",
  session: peer.session,
  lane: "bulk",
  total: 1_000,
  offset: 0,
  data: Buffer.alloc(100),
  ...given,
});

/** A heartbeat now and then, for so long or until the link is closed. */
const beat = async (peer: RawPeer, forMs: number): Promise<void> => {
  for (let id = 1; id * HEARTBEAT_MS <= forMs && !peer.closed; id++) {
    const time = { ms: 0, counter: 0 };
    peer.send({ type: "ping", session: peer.session, id, echo: 0, time, tails: [], credits: [] });
    await mesh.clock.advance(HEARTBEAT_MS);
  }
};

const text = (bytes: number): { text: string } => ({ text: "x".repeat(bytes) });

describe("a peer that sends pieces", () => {
  it.each<[string, readonly Partial<Piece>[], string]>([
    ["out of order", [{ offset: 100 }], "MALFORMED"],
    ["with one missing", [{}, { offset: 200 }], "MALFORMED"],
    ["that overlap", [{}, { offset: 50 }], "MALFORMED"],
    ["of two frames at a time in a lane", [{}, { total: 2_000 }], "MALFORMED"],
    ["beyond their frame", [{}, { offset: 100, data: Buffer.alloc(901) }], "MALFORMED"],
    ["of nothing", [{ data: Buffer.alloc(0) }], "MALFORMED"],
    ["of a frame above the limit", [{ total: 0xffff_ffff }], "TOO_LARGE"],
    ["that make up no frame", [{ total: 100 }], "MALFORMED"],
  ])("%s is told so, and loses its link", async (_what, pieces, code) => {
    const peer = await dial();
    for (const given of pieces) peer.send(piece(peer, given));
    await mesh.clock.until(() => peer.closed);
    expect(peer.of("bye")).toMatchObject([{ code }]);
    expect(node.counters()["link.badPiece"]).toBe(1);
  });

  it.each<[string, "bulk" | "express", (session: number) => KnownFrame]>([
    ["a heartbeat", "bulk", (session) => ({ type: "resync", session, subscription: 1, from: 1 })],
    ["a batch among requests", "express", (session) => ({ type: "batch", session, sections: [] })],
    ["a piece", "bulk", (session) => ({ ...SOME_PIECE, session })],
    ["a greeting", "express", () => ({ type: "proof", session: 0, signature: Buffer.alloc(9) })],
  ])("may not wrap %s in them", async (_what, lane, inner) => {
    const peer = await dial();
    const data = encodeFrame(inner(peer.session));
    peer.send(piece(peer, { lane, total: data.length, data }));
    await mesh.clock.until(() => peer.closed);
    expect(peer.of("bye")).toMatchObject([{ code: "MALFORMED" }]);
  });

  it("and never ends is cut off although its heart beats", async () => {
    const peer = await dial();
    peer.send(piece(peer, {}));
    await beat(peer, SILENCE_MS - HEARTBEAT_MS);
    expect(peer.closed).toBe(false);
    await beat(peer, SILENCE_MS);
    expect(peer.of("bye")).toMatchObject([{ code: "TIMEOUT" }]);
  });

  it("a thousand times half has room for two frames, and the node goes on", async () => {
    for (let count = 0; count < 1_000; count++) {
      const peer = await dial();
      peer.send(piece(peer, { lane: "bulk" }));
      peer.send(piece(peer, { lane: "express" }));
      peer.cut();
      await mesh.clock.advance(1);
    }
    await mesh.clock.run(node.reply("echo", (data) => data));
    expect(await mesh.clock.run(node.request("echo", 1))).toBe(1);
  });

  it("is told what was taken of them", async () => {
    const peer = await dial();
    peer.send(piece(peer, {}));
    peer.send(piece(peer, { offset: 100 }));
    await mesh.clock.until(() => peer.of("piecesTaken").length > 0);
    expect(peer.of("piecesTaken").at(-1)).toMatchObject({ bytes: 200 });
  });

  it("asks in pieces and is answered in pieces", async () => {
    await mesh.clock.run(node.reply("echo", (data) => data));
    const peer = await dial();
    const declared = () => peer.of("declare").flatMap(({ add }) => add);
    await mesh.clock.until(() => declared().some(({ pattern }) => pattern === "echo"));
    const index = declared().find(({ pattern }) => pattern === "echo")?.index ?? 0;
    const payload = Buffer.from(JSON.stringify(text(300 * KIB)));
    const time = { ms: 1, counter: 0 };
    const envelope = encodeEnvelope({ subject: "echo", kind: 2, time, payload });
    const { session } = peer;
    const asked = { id: 7, subscription: index, remainingMs: 5_000, envelope };
    const whole = encodeFrame({ type: "request", session, ...asked });
    const total = whole.length;
    for (let offset = 0; offset < total; offset += 50_000) {
      const data = whole.subarray(offset, offset + 50_000);
      peer.send(piece(peer, { lane: "express", total, offset, data }));
      await mesh.clock.advance(1);
    }
    let bytes = 0;
    await mesh.clock.until(() => {
      bytes = peer.of("piece").reduce((sum, { data }) => sum + data.length, 0);
      peer.send({ type: "piecesTaken", session, bytes });
      return bytes > payload.length;
    });
    const came = Buffer.concat(peer.of("piece").map(({ data }) => data));
    expect(came.includes(payload)).toBe(true);
  });
});

const SOME_PIECE = {
  type: "piece",
  lane: "bulk",
  total: 9,
  offset: 0,
  data: Buffer.alloc(3),
} as const;

/** A member of the raw peer's group, with credit. */
const member = async (peer: RawPeer): Promise<void> => {
  peer.declare({});
  peer.grant(1, 100);
  await mesh.clock.until(() => peer.of("declared").length === 1);
};

describe("a peer that takes pieces", () => {
  it("and says nothing of them gets no more than the window, and is cut off", async () => {
    const peer = await dial();
    await member(peer);
    await mesh.clock.run(node.publish("x.y", text(MIB), { key: "k" }));
    await mesh.clock.until(() => peer.of("piece").length > 0);
    await mesh.clock.advance(HEARTBEAT_MS);
    const bytes = peer.of("piece").reduce((sum, { data }) => sum + data.length, 0);
    expect(bytes).toBeLessThanOrEqual(256 * KIB);
    await beat(peer, 2 * SILENCE_MS);
    expect(peer.of("bye")).toMatchObject([{ code: "TIMEOUT" }]);
  });

  it("and says that it took more than there was is not believed", async () => {
    const peer = await dial();
    peer.send({ type: "piecesTaken", session: peer.session, bytes: 1 });
    await mesh.clock.until(() => peer.closed);
    expect(peer.of("bye")).toMatchObject([{ code: "MALFORMED" }]);
  });

  it("gets a request as it was, whatever its payload becomes when the asker has given up", async () => {
    const peer = await dial();
    peer.declare({ role: "queries", pattern: "ask", group: "" });
    await mesh.clock.until(() => peer.of("declared").length === 1);
    const ask = query("ask", { request: bytes(), reply: bytes() });
    const payload = new Uint8Array(MIB).fill(7);
    const giveUp = new AbortController();
    const asked = node.request(ask, payload, { signal: giveUp.signal });
    const over = expect(asked).rejects.toMatchObject({ code: "ABORTED" });
    await mesh.clock.until(() => peer.of("piece").length > 0);
    giveUp.abort();
    await mesh.clock.run(over);
    payload.fill(9);
    let came = Buffer.alloc(0);
    await mesh.clock.until(() => {
      came = Buffer.concat(peer.of("piece").map(({ data }) => data));
      peer.send({ type: "piecesTaken", session: peer.session, bytes: came.length });
      return came.length > MIB;
    });
    expect(came.subarray(-MIB).equals(Buffer.alloc(MIB, 7))).toBe(true);
  });

  it("is not told of a tail that still waits, so that nothing looks lost", async () => {
    const peer = await dial();
    await member(peer);
    await mesh.clock.run(node.publish("x.y", text(MIB), { key: "k" }));
    await mesh.clock.until(() => peer.of("piece").length > 0);
    const before = peer.of("ping").length;
    await mesh.clock.until(() => peer.of("ping").length > before);
    expect(peer.of("ping").at(-1)?.tails).toEqual([]);
  });
});

describe("an older peer", () => {
  it("gets large frames whole", async () => {
    const peer = await dial({ features: 0 });
    await member(peer);
    await mesh.clock.run(node.publish("x.y", text(MIB), { key: "k" }));
    await mesh.clock.until(() => peer.delivered.length === 1);
    expect(peer.of("piece")).toEqual([]);
  });
});

describe("what is larger than its peer reads", () => {
  it("ends as a dead letter that says so, and its key goes on", async () => {
    const peer = await dial({ frameBytesMax: 200 * KIB });
    await member(peer);
    for (const bytes of [1, 300 * KIB, 2]) {
      await mesh.clock.run(node.publish("x.y", text(bytes), { key: "k" }));
    }
    await mesh.clock.until(() => peer.delivered.length === 1);
    const first = { subscription: 1, acked: [1, 1], held: [], nacks: [], released: [] };
    peer.send({ type: "settle", session: peer.session, sections: [first] });
    await mesh.clock.until(() => peer.delivered.length === 2);
    expect(peer.closed).toBe(false);
    const letters = await mesh.clock.run(node.deadLetters.list());
    expect(letters).toMatchObject([{ reason: "tooLarge", attempts: 0 }]);
    expect(Object.values(node.ledger())[0]).toMatchObject({
      accepted: 3,
      acked: 1,
      dead: 1,
      pending: 1,
    });
  });

  it("is not emitted, and that is counted", async () => {
    const peer = await dial({ frameBytesMax: 200 * KIB });
    await member(peer);
    expect(node.emit("x.y", text(300 * KIB))).toBe(false);
    expect(node.counters()["emit.dropped.tooLarge"]).toBe(1);
  });

  it("is not asked", async () => {
    const peer = await dial({ frameBytesMax: 200 * KIB });
    peer.declare({ role: "queries", pattern: "ask" });
    await mesh.clock.until(() => peer.of("declared").length === 1);
    const asking = node.request("ask", text(300 * KIB)).catch((error: unknown) => error);
    expect(await mesh.clock.run(asking)).toMatchObject({ code: "PAYLOAD_TOO_LARGE" });
    expect(peer.of("request")).toEqual([]);
  });
});
