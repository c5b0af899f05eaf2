/**
 * Durable messages run by themselves, or as jobs where something has to wait: what a handler and a producer see is
 * the same.
 */
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { HandlerContext } from "../../src/mesh/handler-context.ts";
import { AtOnce } from "../../src/runtime/consumer/at-once.ts";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { EnvelopeTemplate } from "../../src/wire/envelope.ts";
import type { SettleSection } from "../../src/wire/settle.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";

const ACTIONS = [
  "return",
  "return",
  "return",
  "throw",
  "reject",
  "resolve",
  "publish",
  "look",
  "pause",
  "drop",
  "wait",
  "unreadable",
] as const;
type Message = {
  action: (typeof ACTIONS)[number] | "stop";
  /** Positions before it that are not for this subscription; -1: it has the position of the one before. */
  skip: number;
  key: string | undefined;
  rare: boolean;
  other: boolean;
  attempts: number;
  ends: boolean;
};
type Options = { concurrency: number; distribution: "key" | "any" };

const WAIT_MS = 300;
const TURN_MS = 600;
/** Turns end before a peer that sends no heartbeat is taken for silent. */
const TURNS = 4;
const RETRY = { attempts: 3, baseMs: 10, capMs: 40 };
const RUNS = 200;
const EPOCH = 1_900_000_000;
const templates = [
  new EnvelopeTemplate({ subject: "x.y", kind: 0 }),
  new EnvelopeTemplate({ subject: "x.y", kind: 0, schemaVersion: 7 }),
] as const;
/** It has places for all at once: nothing waits for it, but it is told of each start, so that all are jobs. */
const RATE = { rate: { perSecond: 1_000_000, burst: 1_000_000 } };

const message: fc.Arbitrary<Message> = fc.record({
  action: fc.constantFrom(...ACTIONS),
  skip: fc.constantFrom(0, 0, 0, 0, 1, 5, -1),
  key: fc.constantFrom(undefined, undefined, "a", "b"),
  rare: fc.constantFrom(false, false, true),
  other: fc.constantFrom(false, false, false, false, true),
  attempts: fc.constantFrom(0, 0, 0, 0, 0, 1, 4),
  ends: fc.boolean(),
});

/** A handler was called as its message arrived, without a job. */
let isAtOnce = false;
beforeEach(() => {
  const run = AtOnce.prototype.run;
  vi.spyOn(AtOnce.prototype, "run").mockImplementation(function (this: AtOnce, arrival) {
    isAtOnce = true;
    try {
      return run.call(this, arrival);
    } finally {
      isAtOnce = false;
    }
  });
});
afterEach(() => void vi.restoreAllMocks());

const send = (peer: RawPeer, messages: readonly Message[]): void => {
  const { index = 0 } =
    peer
      .of("declare")
      .flatMap(({ add }) => add)
      .find(({ pattern }) => pattern === "x.y") ?? {};
  const writer = new BatchWriter();
  let isOpen = false;
  let seq = 0;
  for (const [at, { action, skip, key, rare, other, attempts, ends }] of messages.entries()) {
    if (!isOpen) {
      writer.begin(peer.session);
      const head = { subscription: index, first: 1 + at, epoch: EPOCH, volatile: false };
      writer.beginSection({ ...head, floorEpoch: 0, floorSeq: 0, term: 1 });
    }
    seq += skip < 0 && seq > 0 ? 0 : Math.max(0, skip) + 1;
    const payload = action === "unreadable" ? "{" : JSON.stringify({ n: at, action });
    const fields = {
      key,
      time: { ms: EPOCH * 1_000 + at, counter: 0 },
      payload: Buffer.from(payload),
      ...(rare ? { headers: { at: `${at}` }, id: `id-${at}` } : {}),
    };
    const keyHash = key === undefined ? -1 : key.charCodeAt(0);
    const template = templates[other ? 1 : 0];
    writer.emitDelivery(seq, keyHash, attempts, Math.max(0, skip), -1, false, template, fields);
    isOpen = !ends;
    if (ends) peer.sendBytes(writer.finish());
  }
  if (isOpen) peer.sendBytes(writer.finish());
};

const run = async (messages: readonly Message[], given: Options, asJobs: boolean) => {
  const mesh = new TestMesh();
  const node = await mesh.node("node");
  const peer = await RawPeer.dial(mesh, node.addresses[0] ?? "", {
    nodeId: `raw${"0".repeat(17)}`,
  });
  const seen: unknown[] = [];
  const alone: number[] = [];
  const running: number[] = [];
  let acting = { pause: () => {}, running: () => -1, stop: () => {} };
  const handler = (data: unknown, ctx: HandlerContext): unknown => {
    const { n, action } = data as { n: number; action: Message["action"] };
    if (isAtOnce) alone.push(n);
    running.push(acting.running());
    seen.push([n, action, mesh.clock.monotonicMs()]);
    if (action === "throw") throw new Error(`no ${n}`);
    if (action === "reject") return Promise.reject(new Error(`not ${n}`));
    if (action === "resolve") return Promise.resolve();
    if (action === "publish") ctx.publish("out", n);
    if (action === "pause") acting.pause();
    if (action === "drop") peer.cut();
    if (action === "stop") acting.stop();
    if (action === "wait" || action === "stop") {
      return new Promise<void>((resolve) => {
        mesh.clock.setTimer(WAIT_MS, () => {
          seen.push([n, "waited"]);
          resolve();
        });
      });
    }
    if (action === "look") {
      const { id, key, position, time, attempt, headers } = ctx.message;
      seen.push({ id, key, position, time, attempt, headers, aborted: ctx.signal.aborted });
    }
    return undefined;
  };
  const subscribed = node.subscribe("x.y", handler, {
    ...{ durable: true, group: "g", prefetch: 64, retry: RETRY, ...given },
    ...(asJobs ? RATE : {}),
  });
  const subscription = await mesh.clock.run(subscribed);
  acting = {
    pause: () => subscription.pause(),
    running: () => subscription.activity.running,
    stop: () => void subscription.stop().then(() => seen.push("stopped")),
  };
  await mesh.clock.until(() => creditOf(peer) > 0, 5_000);
  await mesh.owned();
  send(peer, messages);
  for (let turn = 0; turn < TURNS; turn++) {
    await mesh.clock.advance(TURN_MS);
    subscription.resume();
  }
  const settles = peer.of("settle").flatMap(({ sections }) => sections);
  const counters = Object.entries(node.counters());
  const result = {
    seen,
    acked: settles.flatMap(numbersOf).sort((a, b) => a - b),
    held: settles.flatMap(({ held }) => held).sort((a, b) => a - b),
    nacks: settles.flatMap(({ nacks }) => nacks).sort((a, b) => a.number - b.number),
    running: subscription.activity,
    closed: peer.closed,
    counters: counters.filter(([name]) => /^(handler|inbox|output|retries)/.test(name)).sort(),
  };
  await mesh.stop();
  expect(Math.min(...running, 1)).toBe(1);
  return { ...result, alone };
};

const numbersOf = ({ acked }: SettleSection): number[] => {
  const numbers: number[] = [];
  for (let at = 0; at + 1 < acked.length; at += 2) {
    const first = acked[at] as number;
    for (let n = first; n < first + (acked[at + 1] as number); n++) numbers.push(n);
  }
  return numbers;
};

const creditOf = (peer: RawPeer): number =>
  Math.max(
    0,
    ...peer.of("ping").flatMap(({ credits }) => credits.map(({ numberLimit }) => numberLimit)),
    ...peer.of("credit").flatMap(({ entries }) => entries.map(({ numberLimit }) => numberLimit)),
  );

describe("durable messages", () => {
  it("have the same effects and settles by themselves and as jobs", async () => {
    const many = fc.array(message, { minLength: 1, maxLength: 12 });
    const options = fc.record({
      concurrency: fc.constantFrom(1, 2, 16),
      distribution: fc.constantFrom("key" as const, "any" as const),
    });
    let alone = 0;
    await fc.assert(
      fc.asyncProperty(many, options, fc.boolean(), async (messages, given, haveKeys) => {
        // Between messages with a key and those without no order is promised.
        const { distribution } = given;
        const keyOf = (key: string | undefined) => (haveKeys ? (key ?? "c") : undefined);
        const list =
          distribution === "key"
            ? messages.map((one) => ({ ...one, key: keyOf(one.key) }))
            : messages;
        const { alone: byThemselves, ...bySelf } = await run(list, given, false);
        const { alone: none, ...asJobs } = await run(list, given, true);
        expect(bySelf).toEqual(asJobs);
        expect(none).toEqual([]);
        alone += byThemselves.length;
      }),
      { numRuns: RUNS },
    );
    expect(alone).toBeGreaterThan(RUNS / 4);
  });

  it("of one frame are handled once each, also when two of them have one position", async () => {
    const one = {
      action: "return",
      key: undefined,
      rare: false,
      other: false,
      attempts: 0,
    } as const;
    const list = [0, 0, -1, 0, -1].map((skip) => ({ ...one, skip, ends: false }));
    const { seen, acked, alone } = await run(list, { concurrency: 1, distribution: "key" }, false);
    expect(seen.map((line) => (line as unknown[])[0])).toEqual([0, 1, 3]);
    expect(alone).toEqual([0, 1, 3]);
    expect(acked).toEqual([1, 2, 3, 4, 5]);
  });

  const keyed = async (
    list: readonly (readonly [key: string | undefined, action: Message["action"]])[],
    concurrency = 4,
  ) => {
    const one = { skip: 0, rare: false, other: false, attempts: 0, ends: false } as const;
    const messages = list.map(([key, action]) => ({ ...one, key, action }));
    return run(messages, { concurrency, distribution: "key" }, false);
  };

  it("with keys in order run by themselves, beside those without", async () => {
    const { seen, acked, alone } = await keyed([
      [undefined, "return"],
      ["a", "return"],
      ["a", "return"],
      ["b", "return"],
    ]);
    expect(seen).toHaveLength(4);
    expect(alone).toEqual([0, 1, 2, 3]);
    expect(acked).toEqual([1, 2, 3, 4]);
  });

  it("wait for what is under way of their key, while others run", async () => {
    const { seen, acked, alone } = await keyed([
      ["a", "wait"],
      ["a", "return"],
      ["b", "return"],
      ["a", "return"],
      ["b", "return"],
    ]);
    expect(seen.map((line) => (line as unknown[])[0])).toEqual([0, 2, 4, 0, 1, 3]);
    expect(alone).toEqual([0, 2, 4]);
    expect(acked).toEqual([1, 2, 3, 4, 5]);
  });

  it("wait for a failed one of their key to be tried again", async () => {
    const { seen, alone } = await keyed([
      ["a", "throw"],
      ["a", "return"],
      ["b", "return"],
    ]);
    const order = seen.map((line) => (line as unknown[])[0]);
    expect(alone).toEqual([0, 2]);
    expect(order.slice(0, 3)).toEqual([0, 2, 0]);
    expect(order.indexOf(1)).toBe(-1); // the first is dead, and its producer has not said so
  });

  it.each(["a", undefined])("are waited for when their handler stops it (key %s)", async (key) => {
    const { seen } = await keyed([[key, "stop"]]);
    expect(seen.slice(1)).toEqual([[0, "waited"], "stopped"]);
  });
});
