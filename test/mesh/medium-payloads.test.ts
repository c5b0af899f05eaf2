/** Payloads of 9 to 200 KiB over a socket: whose memory they are in, at both ends. */
import { afterEach, describe, expect, it } from "vitest";
import {
  bytes,
  createNode,
  event,
  type MeshNode,
  query,
  staticPeers,
  stream,
  unix,
} from "../../src/index.ts";

const SIZES = [9_000, 33_000, 65_536, 70_001, 131_072, 200_000];
const shown = event("medium.shown", { schema: bytes() });
const kept = event("medium.kept", { schema: bytes() });
const echo = query("medium.echo", { request: bytes(), reply: bytes() });

const nodes: MeshNode[] = [];
afterEach(async () => {
  for (const node of nodes.splice(0).reverse()) await node.stop();
});

const open = async (service: string, scheme: () => ReturnType<typeof stream>, peers: string[]) => {
  const node = await createNode({
    service,
    mesh: `medium-${process.pid}`,
    dataDir: ":memory:",
    transports: [scheme()],
    heartbeatThread: false,
    discovery: peers.length === 0 ? [] : [staticPeers(peers)],
  });
  nodes.push(node);
  return node;
};

const patterned = (size: number, seed: number): Uint8Array => {
  const payload = new Uint8Array(size);
  for (let at = 0; at < size; at++) payload[at] = (at >> 8) * 31 + at * 7 + seed * 13;
  return payload;
};

const isSame = (one: Uint8Array | undefined, other: Uint8Array): boolean =>
  one !== undefined && Buffer.compare(one, other) === 0;

describe.each([
  ["tcp", stream],
  ["unix", unix],
] as const)("payloads of medium size over %s", (_name, scheme) => {
  it("emitted, may be changed at once, and are the handler's for good", async () => {
    const taker = await open("taker", scheme, []);
    const giver = await open("giver", scheme, [...taker.addresses].slice(0, 1));
    const came: Uint8Array[] = [];
    await taker.subscribe(shown, (payload) => void came.push(payload), { durable: false });
    await giver.waitFor(shown);
    const rounds = 20;
    const scratch = new Uint8Array(200_000);
    for (let number = 0; number < rounds * SIZES.length; number++) {
      const wanted = patterned(SIZES[number % SIZES.length] ?? 0, number);
      scratch.set(wanted);
      const part = scratch.subarray(0, wanted.length);
      while (!giver.emit(shown, part)) await new Promise((resolve) => void setImmediate(resolve));
      scratch.fill(0xee);
    }
    await expect.poll(() => came.length, { timeout: 60_000 }).toBe(rounds * SIZES.length);
    for (const [number, payload] of came.entries()) {
      expect(isSame(payload, patterned(SIZES[number % SIZES.length] ?? 0, number))).toBe(true);
    }
  });

  it("asked and answered, are whole, whoever changes them afterwards", async () => {
    const taker = await open("taker", scheme, []);
    const giver = await open("giver", scheme, [...taker.addresses].slice(0, 1));
    const asked: Uint8Array[] = [];
    const scratch = new Uint8Array(200_000);
    await taker.reply(echo, (payload) => {
      asked.push(payload);
      scratch.set(payload);
      // The answer is sent when this has returned, and is changed in the same turn.
      queueMicrotask(() => setImmediate(() => scratch.fill(0xdd)));
      return scratch.subarray(0, payload.length);
    });
    await giver.waitFor(echo);
    const answers: Uint8Array[] = [];
    const question = new Uint8Array(200_000);
    for (let number = 0; number < 10 * SIZES.length; number++) {
      const wanted = patterned(SIZES[number % SIZES.length] ?? 0, number);
      question.set(wanted);
      answers.push(await giver.request(echo, question.subarray(0, wanted.length)));
      question.fill(0xee);
    }
    for (let number = 0; number < 10 * SIZES.length; number++) {
      const wanted = patterned(SIZES[number % SIZES.length] ?? 0, number);
      expect(isSame(answers[number], wanted)).toBe(true);
      expect(isSame(asked[number], wanted)).toBe(true);
    }
  });

  it("durable, are whole, small ones among them", async () => {
    const taker = await open("taker", scheme, []);
    const giver = await open("giver", scheme, [...taker.addresses].slice(0, 1));
    const came: Uint8Array[] = [];
    await taker.subscribe(kept, (payload) => void came.push(payload), { concurrency: 1 });
    await giver.waitFor(kept);
    const sizes = [...SIZES, 3, 200];
    const wanted = Array.from({ length: 64 }, (_, at) => patterned(sizes[at % 8] ?? 0, at));
    await Promise.all(wanted.map((payload) => giver.publish(kept, payload)));
    await expect.poll(() => came.length, { timeout: 60_000 }).toBe(64);
    for (const [at, payload] of came.entries()) {
      expect(isSame(payload, wanted[at] ?? payload)).toBe(true);
    }
  });
});
