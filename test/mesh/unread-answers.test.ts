/** A peer that asks and never reads the answers, over a real socket: they must not gather without a bound. */
import { connect, type Socket } from "node:net";
import { afterEach, expect, it } from "vitest";
import { createNode } from "../../src/mesh/create-node.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { FrameReader, HEADER_BYTES, PREAMBLE } from "../../src/transport/stream/frame-reader.ts";
import { stream } from "../../src/transport/stream/stream-transport.ts";
import type { SubscriptionRecord } from "../../src/wire/declare.ts";
import { encodeEnvelope } from "../../src/wire/envelope.ts";
import { decodeFrame, encodeFrame, type Frame, type KnownFrame } from "../../src/wire/frames.ts";
import { until } from "../integration/until.ts";
import { SAMPLE_FRAMES } from "../wire/frame-samples.ts";

const ANSWER_BYTES = 64 * 1024;
/** More than the sockets of a host hold, and the limit. */
const ASKED = 400;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
let node: MeshNode;
let socket: Socket;

afterEach(async () => {
  socket?.destroy();
  await node?.stop({ drainMs: 0 });
});

/** Frames over a plain socket. */
class Client {
  readonly frames: Frame[] = [];
  readonly #reader = new FrameReader(1 << 22, {
    frame: (bytes) => {
      this.frames.push(decodeFrame(bytes));
      return "kept";
    },
    marker: () => {},
    malformed: () => {},
  });

  constructor() {
    socket.on("data", (chunk) => this.#reader.push(chunk));
    socket.on("error", () => {});
    socket.write(PREAMBLE);
  }

  send(frame: KnownFrame): void {
    const bytes = encodeFrame(frame);
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32BE(bytes.length);
    socket.write(Buffer.concat([header, bytes]));
  }

  find<Type extends Frame["type"]>(type: Type): Extract<Frame, { type: Type }> | undefined {
    return this.frames.find((frame) => frame.type === type) as never;
  }
}

it("refuses the requests of who reads no answer, and ends the link of who goes on", async () => {
  node = await createNode({
    service: "answers",
    dataDir: ":memory:",
    discovery: [],
    transports: [stream()],
    heartbeatThread: false,
    logger: silent,
    peerLimits: { unreadBytesMax: 1024 * 1024 },
  });
  const answer = "x".repeat(ANSWER_BYTES);
  let answered = 0;
  await node.reply("q.a", async () => {
    answered++;
    return answer;
  });
  const port = Number(new URL(node.addresses[0] ?? "").port);
  socket = connect(port, "127.0.0.1");
  const client = new Client();
  const { hello } = SAMPLE_FRAMES;
  const { shown: _, ...plain } = hello;
  const identity = {
    ...hello.identity,
    mesh: "default",
    nodeId: "r0g0e000000000000000",
    protocolMin: 1,
    protocolMax: 1,
    shardCount: 4_096,
    hashId: "xxh32-0",
    features: 0,
    addresses: [],
    heartbeat: "",
  };
  client.send({ ...plain, identity, targetNodeId: "", knownEpoch: 0, redirect: false });
  await until("it is welcome", () => client.find("declare") !== undefined);
  const session = client.find("welcome")?.session ?? 0;
  const records = client.frames.flatMap((frame): readonly SubscriptionRecord[] =>
    frame.type === "declare" ? frame.add : [],
  );
  const subscription = records.find(({ pattern }) => pattern === "q.a")?.index ?? 0;
  const envelope = encodeEnvelope({
    subject: "q.a",
    kind: 2,
    time: { ms: 1, counter: 0 },
    payload: Buffer.from("{}"),
  });
  let id = 0;
  const ask = (count: number): void => {
    for (let n = 0; n < count; n++) {
      const request = { type: "request", session, subscription, remainingMs: 60_000 } as const;
      client.send({ ...request, id: ++id, envelope });
    }
  };
  const limited = (): number => node.counters()["peer.limited.requests"] ?? 0;
  const isLinked = (): boolean => node.peers().some(({ state }) => state === "alive");

  socket.pause();
  for (let asked = 0; limited() === 0 && asked < ASKED; asked += 10) {
    ask(10);
    await until("they were heard", () => answered + limited() >= asked + 10);
  }
  expect(limited()).toBeGreaterThan(0);
  expect(answered).toBeLessThan(ASKED);
  expect(isLinked()).toBe(true);
  ask(1_100);
  await until("the link has ended", () => !isLinked());
  expect(answered).toBeLessThan(ASKED);
});
