/**
 * At-most-once messages come as deliveries or as bundles, and run by themselves or as jobs: what a handler and
 * an operator see is the same.
 */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { HandlerContext } from "../../src/mesh/handler-context.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import { BatchWriter } from "../../src/wire/batch-writer.ts";
import { BUNDLE_FEATURE } from "../../src/wire/bundle.ts";
import { EnvelopeTemplate } from "../../src/wire/envelope.ts";
import { RawPeer } from "./raw-peer.ts";
import { TestMesh } from "./test-mesh.ts";

const ACTIONS = [
  "return",
  "return",
  "throw",
  "resolve",
  "reject",
  "wait",
  "publish",
  "stageThenThrow",
  "look",
  "keep",
  "useKept",
  "pause",
  "signal",
  "unreadable",
] as const;
type Action = (typeof ACTIONS)[number];
type Message = { n: number; action: Action; key?: string; rare: boolean; ends: boolean };
type Options = { concurrency: number; distribution: "key" | "any"; timeoutMs: number };

const HEAD = { epoch: 0, volatile: true, floorEpoch: 0, floorSeq: 0, term: 1 };
const WAIT_MS = 500;
const RUNS = 80;
const plain = new EnvelopeTemplate({ subject: "x.y", kind: 0 });
/** A message of another version than the handler reads is refused before it runs. */
const encoded = ({ n, action }: Message): Buffer =>
  Buffer.from(action === "unreadable" ? "{" : JSON.stringify({ n, action }));

const message: fc.Arbitrary<Message> = fc.record(
  {
    n: fc.constant(0),
    action: fc.constantFrom(...ACTIONS),
    key: fc.constantFrom("a", "b"),
    rare: fc.boolean(),
    ends: fc.boolean(),
  },
  { requiredKeys: ["n", "action", "rare", "ends"] },
);
const options: fc.Arbitrary<Options> = fc.record({
  concurrency: fc.constantFrom(1, 2, 16),
  distribution: fc.constantFrom("key", "any"),
  timeoutMs: fc.constantFrom(200, 30_000),
});

/** All that shows of these messages, when they come in this form. */
const run = async (
  form: "deliveries" | "bundles",
  messages: readonly Message[],
  given: Options,
) => {
  const mesh = new TestMesh();
  const node = await mesh.node("node");
  const seen: unknown[] = [];
  const out: unknown[] = [];
  const sink = node.subscribe("out", (value) => void out.push(value), { distribution: "any" });
  await mesh.clock.run(sink);
  const subscribed = node.subscribe("x.y", handlerOf(mesh, seen), given);
  const subscription = await mesh.clock.run(subscribed);
  const handle = handlers.get(seen);
  if (handle !== undefined) handle.pause = () => subscription.pause();
  const peer = await RawPeer.dial(mesh, node.addresses[0] ?? "");
  await mesh.clock.until(() => creditOf(peer) > 0, 5_000);
  await mesh.owned();
  send(peer, form, messages);
  await mesh.clock.advance(50);
  subscription.resume();
  for (let turn = 0; turn < 4; turn++) {
    await mesh.clock.advance(20 * WAIT_MS);
    subscription.resume();
  }
  const { running, waiting } = subscription.activity;
  const counters = countersOf(node);
  const warnings = mesh.logs.filter(({ level }) => level === "warn");
  handlers.delete(seen);
  await mesh.stop();
  return { seen, out, running, waiting, counters, warnings };
};

const handlers = new Map<unknown[], { pause: () => void }>();

const handlerOf = (mesh: TestMesh, seen: unknown[]) => {
  let kept: HandlerContext | undefined;
  const tools = { pause: () => {} };
  handlers.set(seen, tools);
  const later = (ms: number): Promise<void> =>
    new Promise((resolve) => void mesh.clock.setTimer(ms, resolve));
  return (data: unknown, ctx: HandlerContext): unknown => {
    const { n, action } = data as Message;
    seen.push([n, action, mesh.clock.monotonicMs()]);
    switch (action) {
      case "throw":
        throw new Error(`no ${n}`);
      case "resolve":
        return Promise.resolve();
      case "reject":
        return Promise.reject(new Error(`not ${n}`));
      case "wait":
        return later(WAIT_MS).then(() => {
          seen.push([n, "waited", ctx.signal.aborted]);
          ctx.publish("out", n);
        });
      case "publish":
        ctx.publish("out", n);
        return undefined;
      case "stageThenThrow":
        ctx.publish("out", n);
        throw new Error(`never ${n}`);
      case "look": {
        const { id, subject, kind, key, position, time, attempt, headers } = ctx.message;
        seen.push({
          id,
          subject,
          kind,
          key,
          position,
          time,
          attempt,
          headers,
          isOwned: ctx.fence > 0n,
        });
        return undefined;
      }
      case "keep":
        kept = ctx;
        return undefined;
      case "useKept":
        seen.push(failureOf(() => kept?.publish("out", -n)));
        seen.push([kept?.message.subject, kept?.signal.aborted]);
        return undefined;
      case "pause":
        tools.pause();
        return undefined;
      case "signal":
        seen.push([n, ctx.signal.aborted]);
        return undefined;
      default:
        return undefined;
    }
  };
};

const failureOf = (call: () => void): string => {
  try {
    call();
    return "none";
  } catch (error) {
    return error instanceof Error ? error.message : "";
  }
};

/** In sections of consecutive messages. */
const send = (peer: RawPeer, form: string, messages: readonly Message[], first = 1): void => {
  const { index = 0 } =
    peer
      .of("declare")
      .flatMap(({ add }) => add)
      .find(({ pattern }) => pattern === "x.y") ?? {};
  const writer = new BatchWriter();
  let isOpen = false;
  for (const [at, one] of messages.entries()) {
    if (!isOpen) {
      writer.begin(peer.session);
      writer.beginSection({ ...HEAD, subscription: index, first: first + at });
    }
    const keyHash = one.key === undefined ? -1 : one.key.charCodeAt(0);
    const fields = {
      key: one.key,
      time: { ms: 1_900_000_000_000 + at, counter: 0 },
      payload: encoded(one),
      ...(one.rare ? { headers: { at: `${at}` }, id: `id-${at}` } : {}),
    };
    if (form === "bundles") writer.bundled(plain, keyHash, fields);
    else writer.emitDelivery(0, keyHash, 0, 0, -1, false, plain, fields);
    isOpen = !one.ends;
    if (one.ends) peer.sendBytes(writer.finish());
  }
  if (isOpen) peer.sendBytes(writer.finish());
};

const creditOf = (peer: RawPeer): number => {
  const granted = [
    ...peer.of("ping").flatMap(({ credits }) => credits),
    ...peer.of("credit").flatMap(({ entries }) => entries),
  ];
  return Math.min(0, ...granted.map(({ volatileNumberLimit }) => -volatileNumberLimit)) * -1;
};

const countersOf = (node: MeshNode): Record<string, number> => {
  const names = /^(emit|handler|breaker|output|link)\./;
  return Object.fromEntries(Object.entries(node.counters()).filter(([name]) => names.test(name)));
};

/** No order is promised between messages with a key and those without: what depends on it is left out. */
const ORDERLESS: readonly Action[] = ["return", "throw", "resolve", "reject", "publish", "look"];
const inAnyOrder = (result: Awaited<ReturnType<typeof run>>) => ({
  ...result,
  seen: result.seen.map((line) => JSON.stringify(line)).sort(),
  out: [...result.out].sort(),
  warnings: result.warnings.map((line) => JSON.stringify(line)).sort(),
});

describe("at-most-once messages", () => {
  it("have the same effects as deliveries and as bundles", async () => {
    const many = fc.array(message, { minLength: 1, maxLength: 12 });
    const keys = fc.constantFrom("all", "none", "some");
    await fc.assert(
      fc.asyncProperty(many, options, keys, async (list, given, which) => {
        const isMixed = which === "some" && given.distribution === "key";
        const messages = list.map(({ key = "a", ...one }, n) => ({
          ...one,
          n,
          ...(which === "all" || (which === "some" && n % 2 === 0) ? { key } : {}),
          action: isMixed && !ORDERLESS.includes(one.action) ? "return" : one.action,
        }));
        const bundles = await run("bundles", messages, given);
        const deliveries = await run("deliveries", messages, given);
        if (isMixed) expect(inAnyOrder(bundles)).toEqual(inAnyOrder(deliveries));
        else expect(bundles).toEqual(deliveries);
      }),
      { numRuns: RUNS },
    );
  });

  it("beyond the credit are dropped and counted, those within it are not", async () => {
    const mesh = new TestMesh();
    const node = await mesh.node("node");
    const seen: unknown[] = [];
    const subscribed = node.subscribe("x.y", (value) => void seen.push(value), {});
    const subscription = await mesh.clock.run(subscribed);
    const peer = await RawPeer.dial(mesh, node.addresses[0] ?? "");
    await mesh.clock.until(() => creditOf(peer) > 0, 5_000);
    subscription.pause();
    const credit = creditOf(peer);
    const list = Array.from({ length: credit + 9 }, (_, n) => ({
      n,
      action: "return" as const,
      rare: false,
      ends: false,
    }));
    send(peer, "bundles", list);
    await mesh.clock.settle();
    expect(node.counters()["emit.dropped.overCredit"]).toBe(9);
    subscription.resume();
    await mesh.clock.until(() => seen.length === credit, 1_000);
    await mesh.stop();
  });

  it("that are missing before a bundle are counted as lost", async () => {
    const mesh = new TestMesh();
    const node = await mesh.node("node");
    const seen: unknown[] = [];
    await mesh.clock.run(node.subscribe("x.y", (value) => void seen.push(value), {}));
    const peer = await RawPeer.dial(mesh, node.addresses[0] ?? "");
    await mesh.clock.until(() => creditOf(peer) > 0, 5_000);
    send(peer, "bundles", [{ n: 0, action: "return", rare: false, ends: true }], 4);
    await mesh.clock.until(() => seen.length === 1, 1_000);
    expect(node.counters()["emit.dropped.lost"]).toBe(3);
    await mesh.stop();
  });
});

describe("what is said at most once", () => {
  const emits = fc.array(
    fc.record({
      subject: fc.constantFrom("order.placed", "order.sent", "stock.low"),
      isKeyed: fc.boolean(),
      region: fc.constantFrom("eu", "us", undefined),
      bytes: fc.constantFrom(1, 100, 3_000, 40_000),
      ends: fc.boolean(),
    }),
    { maxLength: 60 },
  );
  const PATTERNS = ["order.placed", "order.*", ">", "stock.low"];
  const subscriptions = fc.array(
    fc.record({
      node: fc.integer({ min: 0, max: 2 }),
      pattern: fc.constantFrom(...PATTERNS),
      group: fc.constantFrom("own", "shared"),
      isFiltered: fc.boolean(),
    }),
    { minLength: 1, maxLength: 8 },
  );
  const matches = (pattern: string, subject: string): boolean =>
    pattern === ">" ||
    pattern === subject ||
    (pattern === "order.*" && subject.startsWith("order."));

  it("reaches one member of each group that wants it, in order, whatever else is said between", async () => {
    await fc.assert(
      fc.asyncProperty(subscriptions, emits, async (wanted, list) => {
        const mesh = new TestMesh();
        const source = await mesh.node("source");
        const nodes = [await mesh.node("a"), await mesh.node("b"), await mesh.node("c")];
        const got = new Map<string, { pattern: string; isFiltered: boolean; lists: number[][] }>();
        const taken = new Set<string>();
        for (const { node, pattern, group: kind, isFiltered } of wanted) {
          const at = PATTERNS.indexOf(pattern);
          const group = kind === "own" ? `own-${node}-${at}` : `shared-${at}`;
          if (taken.has(`${node} ${group}`)) continue;
          taken.add(`${node} ${group}`);
          const known = got.get(group) ?? { pattern, isFiltered, lists: [] };
          got.set(group, known);
          const numbers: number[] = [];
          known.lists.push(numbers);
          const filter = known.isFiltered ? { filter: { headers: { region: "eu" } } } : {};
          const handler = (value: unknown): void => void numbers.push((value as { n: number }).n);
          await mesh.clock.run(
            (nodes[node] as MeshNode).subscribe(pattern, handler, {
              group,
              distribution: "any",
              ...filter,
            }),
          );
        }
        await mesh.linked();
        await mesh.clock.advance(1_000);
        const expected = new Map([...got.keys()].map((group) => [group, [] as number[]]));
        for (const [n, { subject, isKeyed, region, bytes, ends }] of list.entries()) {
          const headers = region === undefined ? {} : { headers: { region } };
          const key = isKeyed ? { key: `k${n % 3}` } : {};
          const isTaken = source.emit(
            subject,
            { n, text: "x".repeat(bytes) },
            { ...headers, ...key },
          );
          let someone = false;
          for (const [group, { pattern, isFiltered }] of got) {
            if (!matches(pattern, subject) || (isFiltered && region !== "eu")) continue;
            someone = true;
            expected.get(group)?.push(n);
          }
          expect(isTaken).toBe(someone);
          if (ends) await mesh.clock.settle();
        }
        await mesh.clock.advance(1_000);
        for (const [group, { lists }] of got) {
          for (const one of lists) expect(one).toEqual([...one].sort((a, b) => a - b));
          expect(lists.flat().sort((a, b) => a - b)).toEqual(expected.get(group));
        }
        for (const node of nodes) expect(node.counters()["emit.dropped.lost"]).toBe(undefined);
        await mesh.stop();
      }),
      { numRuns: 40 },
    );
  });

  it("goes to a peer as it can read it, encoded once for those that take bundles", async () => {
    const mesh = new TestMesh();
    const node = await mesh.node("node");
    const dial = async (nodeId: string, features: number): Promise<RawPeer> => {
      const peer = await RawPeer.dial(mesh, node.addresses[0] ?? "", {
        nodeId,
        identity: { features },
      });
      peer.declare({ group: nodeId, durable: false, distribution: "any" });
      const limits = { numberLimit: 9, bytesLimit: 9_000, paused: false };
      const volatile = { volatileNumberLimit: 9, volatileBytesLimit: 99_000 };
      const entries = [{ subscription: 1, ...limits, ...volatile }];
      peer.send({ type: "credit", session: peer.session, entries });
      return peer;
    };
    const [one, two] = [
      await dial("raw-one", BUNDLE_FEATURE),
      await dial("raw-two", BUNDLE_FEATURE),
    ];
    const old = await dial("raw-old", 0);
    await mesh.clock.settle();
    for (let n = 0; n < 3; n++) expect(node.emit("x.y", n)).toBe(true);
    await mesh.clock.settle();
    const sections = (peer: RawPeer) =>
      peer
        .of("batch")
        .flatMap((frame) => frame.sections)
        .filter(({ volatile }) => volatile);
    expect(
      sections(old).map(({ deliveries, bundles }) => [deliveries.length, bundles.length]),
    ).toEqual([[3, 0]]);
    for (const peer of [one, two]) {
      const [section] = sections(peer);
      expect(section).toMatchObject({ first: 1, deliveries: [] });
      expect(section?.bundles.map(({ rests }) => rests.length / 2)).toEqual([3]);
    }
    await mesh.stop();
  });

  it("leaves before the goodbye of a link that closes in the same turn", async () => {
    const mesh = new TestMesh();
    const a = await mesh.node("a");
    const b = await mesh.node("b");
    const got: unknown[] = [];
    await mesh.clock.run(b.subscribe("x.y", (value) => void got.push(value), {}));
    await mesh.linked();
    await mesh.clock.advance(1_000);
    expect(a.emit("x.y", 1)).toBe(true);
    await mesh.clock.run(a.stop());
    await mesh.clock.settle();
    expect(got).toEqual([1]);
    await mesh.stop();
  });
});
