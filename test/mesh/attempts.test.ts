import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { event, json, MeshError, type MeshNode, RetryLater } from "../../src/index.ts";
import type { HandlerContext } from "../../src/mesh/handler-context.ts";
import { TestMesh } from "./test-mesh.ts";

type Step = { readonly n: number; readonly key?: string };
const Step = event("step.taken", { schema: json<Step>(), key: (step) => step.key ?? "one" });

let mesh: TestMesh;
let says: MeshNode;
let hears: MeshNode;

beforeEach(async () => {
  mesh = new TestMesh();
  says = await mesh.node("says");
  hears = await mesh.node("hears");
  await mesh.linked();
});
afterEach(() => mesh.stop());

const ledger = () => Object.values(says.ledger())[0];

describe("a failed attempt", () => {
  it("is tried again here after a short wait, before its followers", async () => {
    const seen: string[] = [];
    const handler = ({ n }: Step, ctx: HandlerContext): void => {
      seen.push(`${n}.${ctx.message.attempt}`);
      if (n === 1 && ctx.message.attempt < 4) throw new Error("not yet");
    };
    await mesh.clock.run(hears.subscribe(Step, handler, { durable: true }));
    await mesh.clock.run(says.publishMany(Step, [{ n: 1 }, { n: 2 }, { n: 3 }]));
    await mesh.clock.until(() => seen.length === 6);
    expect(seen).toEqual(["1.1", "1.2", "1.3", "1.4", "2.1", "3.1"]);
    await mesh.clock.advance(1_000);
    expect(ledger()).toMatchObject({ accepted: 3, acked: 3, pending: 0 });
  });

  it("waits long at its producer, with its followers, while other keys go on", async () => {
    const seen: string[] = [];
    const handler = ({ n, key = "one" }: Step, ctx: HandlerContext): void => {
      seen.push(`${key}${n}`);
      if (key === "one" && n === 1 && ctx.message.attempt === 1) throw new RetryLater(60_000);
    };
    await mesh.clock.run(hears.subscribe(Step, handler, { durable: true }));
    const steps = [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 1, key: "two" }];
    await mesh.clock.run(says.publishMany(Step, steps));
    await mesh.clock.advance(59_000);
    expect(seen).toEqual(["one1", "two1"]);
    await mesh.clock.advance(2_000);
    expect(seen).toEqual(["one1", "two1", "one1", "one2", "one3"]);
  });

  it("leaves nothing behind: what its context still does is refused, also while the next one runs", async () => {
    const contexts: HandlerContext[] = [];
    let finish = (): void => {};
    const handler = (_: Step, ctx: HandlerContext): Promise<void> | undefined => {
      contexts.push(ctx);
      if (contexts.length === 1) throw new Error("first");
      return new Promise((resolve) => {
        finish = resolve;
      });
    };
    await mesh.clock.run(hears.subscribe(Step, handler as never, { durable: true }));
    await mesh.clock.run(says.publish(Step, { n: 1 }));
    await mesh.clock.until(() => contexts.length === 2);
    const [first, second] = contexts as [HandlerContext, HandlerContext];
    expect(() => first.publish("left.over", {})).toThrow(MeshError);
    second.publish("on.purpose", {});
    finish();
    await mesh.clock.advance(1_000);
    expect(ledger()).toMatchObject({ acked: 1 });
    expect(() => second.publish("too.late", {})).toThrow(MeshError);
  });

  it("goes to the dead letters after the last one, with what each said", async () => {
    let failing = true;
    const seen: number[] = [];
    const handler = ({ n }: Step, ctx: HandlerContext): void => {
      if (n === 1 && failing) throw new Error(`broken ${ctx.message.attempt}`);
      seen.push(n);
    };
    const retry = { attempts: 3, baseMs: 2_000_000, capMs: 2_000_000 };
    await mesh.clock.run(hears.subscribe(Step, handler, { durable: true, retry }));
    await mesh.clock.run(says.publishMany(Step, [{ n: 1 }, { n: 2 }]));
    await mesh.clock.until(() => seen.length === 1, 20_000_000);
    const [letter] = await mesh.clock.run(hears.deadLetters.list());
    expect(letter).toMatchObject({ attempts: 3, node: says.id, subject: "step.taken" });
    expect(letter?.errors.map(({ message }) => message)).toEqual([
      "broken 1",
      "broken 2",
      "broken 3",
    ]);
    expect(ledger()).toMatchObject({ accepted: 2, acked: 1, dead: 1, pending: 0 });
    failing = false;
    await mesh.clock.run(hears.deadLetters.replay(letter?.id ?? ""));
    await mesh.clock.until(() => seen.length === 2);
    expect(seen).toEqual([2, 1]);
    expect(await mesh.clock.run(hears.deadLetters.list())).toEqual([]);
    await mesh.clock.advance(1_000);
    expect(ledger()).toMatchObject({ accepted: 3, acked: 2, dead: 1, pending: 0 });
  });

  it("tells the dead letter also of attempts that were tried again in place, the latest of them", async () => {
    says = await mesh.node("keeps-three", { limits: { deadLetterErrorsMax: 3 } });
    await mesh.linked();
    const handler = (_: Step, ctx: HandlerContext): void => {
      throw new TypeError(`broken ${ctx.message.attempt}`);
    };
    const retry = { attempts: 5, baseMs: 800, capMs: 800 };
    await mesh.clock.run(hears.subscribe(Step, handler, { durable: true, retry }));
    await mesh.clock.run(says.publish(Step, { n: 1 }));
    await mesh.clock.until(() => says.counters()["messages.dead"] === 1);
    await mesh.clock.settle();
    const [letter] = await mesh.clock.run(says.deadLetters.list());
    expect(letter?.attempts).toBe(5);
    const errors = letter?.errors ?? [];
    expect(errors.map(({ name, message }) => `${name} ${message}`)).toEqual([
      "TypeError broken 3",
      "TypeError broken 4",
      "TypeError broken 5",
    ]);
    const times = errors.map(({ atMs }) => atMs);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(new Set(times).size).toBe(3);
  });

  it('stops its key when it is dead and onDead is "hold", until it is replayed or discarded', async () => {
    let failing = true;
    const seen: string[] = [];
    const handler = ({ n, key = "one" }: Step, ctx: HandlerContext): void => {
      if (n === 1 && key === "one" && failing) ctx.deadLetter("cannot");
      seen.push(`${key}${n}`);
    };
    await mesh.clock.run(hears.subscribe(Step, handler, { durable: true, onDead: "hold" }));
    const steps = [{ n: 1 }, { n: 2 }, { n: 1, key: "two" }];
    await mesh.clock.run(says.publishMany(Step, steps));
    await mesh.clock.advance(600_000);
    expect(seen).toEqual(["two1"]);
    const [letter] = await mesh.clock.run(says.deadLetters.list());
    expect(letter).toMatchObject({ reason: "cannot", holds: true });
    failing = false;
    await mesh.clock.run(says.deadLetters.replay(letter?.id ?? ""));
    await mesh.clock.until(() => seen.length === 3);
    expect(seen).toEqual(["two1", "one1", "one2"]);
    await mesh.clock.advance(1_000);
    expect(ledger()).toMatchObject({ accepted: 3, acked: 3, dead: 0, pending: 0 });
  });
});

describe("a handler that does not end in time", () => {
  const options = { durable: true, timeoutMs: 1_000, abandonMs: 5_000 } as const;
  const calls: { ctx: HandlerContext; end: (error?: Error) => void }[] = [];
  const handler = (_: Step, ctx: HandlerContext): Promise<void> =>
    new Promise((resolve, reject) => {
      calls.push({ ctx, end: (error) => (error === undefined ? resolve() : reject(error)) });
    });
  beforeEach(() => void calls.splice(0));

  it("holds its key until its promise ends, and what it does then has no effect", async () => {
    await mesh.clock.run(hears.subscribe(Step, handler, options));
    await mesh.clock.run(says.publishMany(Step, [{ n: 1 }, { n: 2 }]));
    await mesh.clock.advance(4_000);
    expect(calls).toHaveLength(1);
    expect(calls[0]?.ctx.signal.aborted).toBe(true);
    expect(() => calls[0]?.ctx.publish("too.late", {})).toThrow(MeshError);
    calls[0]?.end(); // returning now is no success
    await mesh.clock.until(() => calls.length === 2);
    expect(calls[1]?.ctx.message.attempt).toBe(2);
    expect(ledger()).toMatchObject({ acked: 0 });
  });

  it("is given up after abandonMs, and its late return does not end the attempt that followed", async () => {
    await mesh.clock.run(hears.subscribe(Step, handler, options));
    await mesh.clock.run(says.publish(Step, { n: 1 }));
    await mesh.clock.until(() => calls.length === 2);
    calls[0]?.end();
    await mesh.clock.settle();
    expect(ledger()).toMatchObject({ acked: 0, pending: 1 });
    expect(calls[1]?.ctx.signal.aborted).toBe(false);
    calls[1]?.ctx.publish("in.time", {});
    calls[1]?.end();
    await mesh.clock.advance(1_000);
    expect(ledger()).toMatchObject({ acked: 1, pending: 0 });
    expect(hears.counters()).toMatchObject({ "handler.abandoned": 1, "handler.timeouts": 1 });
  });

  it("does not keep another from timing out in its time", async () => {
    const other = { ...options, retry: { attempts: 10, baseMs: 0, capMs: 0 } };
    await mesh.clock.run(hears.subscribe(Step, handler, other));
    await mesh.clock.run(says.publish(Step, { n: 1, key: "again" }));
    await mesh.clock.until(() => calls.length === 1);
    await mesh.clock.advance(500);
    await mesh.clock.run(says.publish(Step, { n: 1, key: "slow" }));
    await mesh.clock.until(() => calls.length === 2);
    await mesh.clock.advance(400);
    calls[0]?.end(new Error("again")); // its next attempt has a later deadline than "slow"
    await mesh.clock.until(() => calls.length === 3);
    await mesh.clock.advance(700);
    expect(calls[1]?.ctx.signal.aborted).toBe(true);
    expect(calls[2]?.ctx.signal.aborted).toBe(false);
  });
});
