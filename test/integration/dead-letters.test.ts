/** Handlers that fail, hang or come too late, and what becomes of their messages. */
import { afterEach, describe, expect, it } from "vitest";
import type { Behaviour, Listen } from "../children/node-protocol.ts";
import type { ChildNode } from "./child-node.ts";
import { worlds } from "./world.ts";

const world = worlds(afterEach);
const LEDGER = "event work task.set";
const LISTEN = {
  name: "work",
  verb: "subscribe",
  subject: "task.set",
  options: { group: "work", durable: true, retry: { attempts: 3, baseMs: 5, capMs: 20 } },
} as const;

const start = async (
  behaviour: Behaviour[],
  rest: Partial<Listen> = {},
): Promise<{ a: ChildNode; b: ChildNode; ops: ChildNode }> => {
  const mesh = await world();
  const [a, b, ops] = await Promise.all([mesh.start("a"), mesh.start("b"), mesh.start("ops")]);
  await mesh.link(a, b, ops);
  await b.listen({ ...LISTEN, behaviour, ...rest });
  return { a, b, ops };
};

describe("a handler that fails", () => {
  it("is tried again, then its message is a dead letter with reason, attempts and errors", async () => {
    const { a, b } = await start([{ type: "throw", only: [2] }]);
    for (const n of [1, 2, 3]) await a.publish("task.set", n);
    expect(await a.settled(LEDGER, 3)).toMatchObject({ acked: 2, dead: 1 });
    const tried = b.happened("start", "work").filter(({ n }) => n === 2);
    expect(tried.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    const [letter, ...others] = await a.deadLetters("work");
    expect(others).toEqual([]);
    expect(letter).toMatchObject({
      node: a.id,
      group: "work",
      subject: "task.set",
      kind: "event",
      reason: "3 attempts failed",
      attempts: 3,
    });
    expect(letter?.errors.at(-1)).toMatchObject({
      name: "PlannedFailure",
      message: "told to fail",
    });
  });

  it("succeeds at a later attempt and leaves no dead letter", async () => {
    const { a, b } = await start([{ type: "throw", attempts: 2 }]);
    await a.publish("task.set", 1);
    expect(await a.settled(LEDGER, 1)).toMatchObject({ acked: 1, dead: 0 });
    expect(b.happened("end", "work")[0]?.attempt).toBe(3);
    expect(await a.deadLetters()).toEqual([]);
  });

  it("is tried again at a member that came meanwhile, after a long wait at the producer", async () => {
    const mesh = await world();
    const [a, b] = await Promise.all([mesh.start("a"), mesh.start("b")]);
    await mesh.link(a, b);
    await b.listen({ ...LISTEN, behaviour: [{ type: "retry", ms: 1_500 }] });
    await a.publish("task.set", 1);
    await b.sees("the failed attempt", async () => (await b.counter("retries")) === 1);
    await b.call({ op: "unlisten", name: "work" });
    const c = await mesh.start("c");
    await mesh.link(a, c);
    await c.listen(LISTEN);
    expect(await a.settled(LEDGER, 1)).toMatchObject({ acked: 1 });
    expect(c.happened("end", "work")[0]).toMatchObject({ n: 1, attempt: 2 });
  });

  it("that gives up makes a dead letter at once", async () => {
    const { a, b } = await start([{ type: "dead" }]);
    await a.publish("task.set", 1);
    expect(await a.settled(LEDGER, 1)).toMatchObject({ dead: 1 });
    expect(b.numbers("start", "work")).toEqual([1]);
    const [letter] = await a.deadLetters();
    expect(letter).toMatchObject({ reason: "told to give up", attempts: 1 });
  });
});

describe("dead letters", () => {
  it("are listed, read, replayed and discarded from a node that does not own them", async () => {
    const { a, b, ops } = await start([{ type: "throw" }]);
    await ops.listen({ ...LISTEN, name: "copy", options: { group: "copy", durable: true } });
    await a.publish("task.set", 1, { options: { headers: { region: "eu" } } });
    await a.publish("task.set", 2);
    await a.settled(LEDGER, 2);
    // Without a key they may die in any order.
    const letters = (await ops.deadLetters("work")).sort((x, y) => x.seq - y.seq);
    expect(letters.map(({ node }) => node)).toEqual([a.id, a.id]);
    const [first, second] = letters as [(typeof letters)[number], (typeof letters)[number]];
    expect(await ops.call({ op: "dead-get", letter: first.id })).toMatchObject({
      id: first.id,
      node: a.id,
      data: { n: 1 },
      headers: { region: "eu" },
    });
    await b.call({ op: "unlisten", name: "work" });
    await b.listen({ ...LISTEN, name: "mended" });
    expect(await ops.call({ op: "dead-replay", letter: first.id })).toBe(1);
    await b.handledAll("mended", [1]);
    expect(b.happened("end", "mended")[0]?.replayOf).toBe(first.messageId);
    expect(await ops.call({ op: "dead-discard", letter: second.id })).toBe(1);
    expect(await ops.deadLetters("work")).toEqual([]);
    expect(await a.settled(LEDGER, 3)).toMatchObject({ acked: 1, dead: 2 });
    // The replay is for the group it failed in, not for the other.
    await a.settled("event copy task.set", 2);
    expect(ops.numbers("end", "copy")).toEqual([1, 2]);
  });

  it("survive kill -9 of the node that owns them", async () => {
    const mesh = await world();
    const [a, b] = await Promise.all([mesh.start("a"), mesh.start("b")]);
    await mesh.link(a, b);
    await b.listen({ ...LISTEN, behaviour: [{ type: "dead" }] });
    await a.publish("task.set", 1);
    await a.sees("the dead letter", async () => (await a.deadLetters()).length === 1);
    await a.kill();
    const again = await mesh.start("a");
    const [letter] = await again.deadLetters();
    expect(letter).toMatchObject({ reason: "told to give up", attempts: 1 });
    expect((await again.ledger())[LEDGER]).toMatchObject({ accepted: 1, dead: 1, pending: 0 });
  });

  it("that nobody has are refused by name", async () => {
    const { ops } = await start([]);
    const call = ops.call({ op: "dead-replay", letter: "nothing" });
    await expect(call).rejects.toMatchObject({ code: "INVALID_OPTIONS" });
  });
});

describe("a handler that hangs", () => {
  const timeouts = { timeoutMs: 100, abandonMs: 100 };

  it("has failed at its time-out, and others go on", async () => {
    const options = { ...LISTEN.options, ...timeouts, retry: { attempts: 2, baseMs: 5, capMs: 5 } };
    const { a, b } = await start([{ type: "hang", only: [1] }], { options });
    for (const n of [1, 2, 3]) await a.publish("task.set", n, { options: { key: `k${n}` } });
    expect(await a.settled(LEDGER, 3)).toMatchObject({ acked: 2, dead: 1 });
    const [letter] = await a.deadLetters();
    expect(letter?.errors.at(-1)?.message).toContain("timeoutMs 100");
    expect(await b.counter("handler.timeouts")).toBe(2);
    expect(await b.counter("handler.abandoned")).toBe(2);
  });

  it("that returns after its time-out has no effect, nor has what it sends then", async () => {
    const { a, b, ops } = await start(
      [
        // The first attempt comes back in the middle of the second.
        { type: "late", ms: 400, attempts: 1 },
        { type: "slow", ms: 250, attempts: 2 },
      ],
      {
        options: { ...LISTEN.options, timeoutMs: 300, abandonMs: 0 },
        forward: [{ verb: "publish", subject: "task.done" }],
      },
    );
    await ops.listen({ name: "done", verb: "subscribe", subject: "task.done" });
    await a.publish("task.set", 1);
    expect(await a.settled(LEDGER, 1)).toMatchObject({ acked: 1 });
    await ops.handledAll("done", [1]);
    await b.sees("the late attempt", () => b.happened("failed", "work").length === 1);
    expect(b.happened("failed", "work")[0]).toMatchObject({ attempt: 1, code: "ALREADY_SETTLED" });
    const ends = b.happened("end", "work").map(({ attempt }) => attempt);
    expect(ends.sort()).toEqual([1, 2]);
    await b.settled("event ops task.done", 1);
    expect(ops.numbers("end", "done")).toEqual([1]);
  });
});
