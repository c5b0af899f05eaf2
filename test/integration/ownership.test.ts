/** Members join, leave, are killed and stand still while keys flow from two producers. */
import { afterEach, describe, expect, it } from "vitest";
import type { Happened } from "../children/node-protocol.ts";
import type { ChildNode } from "./child-node.ts";
import { until } from "./until.ts";
import { type World, worlds } from "./world.ts";

const world = worlds(afterEach);

const KEYS = 24;
const keyOf = (n: number): string => `k${n % KEYS}`;
const SUBSCRIPTION = "event work task.set";

/** One run of a handler. `endMs` is Infinity when its process never told of its end. */
type Run = {
  readonly member: ChildNode;
  readonly n: number;
  readonly key: string;
  readonly fence: bigint;
  readonly startMs: number;
  readonly endMs: number;
  readonly aborted: boolean;
};

const runsOf = (members: readonly ChildNode[]): Run[] =>
  members.flatMap((member) => {
    const runs: Run[] = [];
    const open = new Map<number, Happened>();
    let aborted = false;
    for (const told of member.events.filter(({ name }) => name === "work")) {
      const n = told.n as number;
      if (told.event === "start") open.set(n, told);
      if (told.event === "aborted") aborted = true;
      if (told.event !== "end") continue;
      runs.push(runOf(member, open.get(n) as Happened, told.atMs as number, aborted));
      open.delete(n);
      aborted = false;
    }
    for (const told of open.values()) runs.push(runOf(member, told, Infinity, false));
    return runs;
  });

const runOf = (member: ChildNode, began: Happened, endMs: number, aborted: boolean): Run => ({
  member,
  n: began.n as number,
  key: began.key as string,
  fence: BigInt(began.fence as string),
  startMs: began.atMs as number,
  endMs,
  aborted,
});

/** Runs of one key, two at a time. */
const overlaps = (runs: readonly Run[]): string[] => {
  const found: string[] = [];
  const last = new Map<string, Run>();
  for (const run of runs.toSorted((a, b) => a.startMs - b.startMs)) {
    const before = last.get(run.key);
    if (before !== undefined && before.endMs > run.startMs && before.member !== run.member) {
      found.push(`${run.key}: ${before.n} and ${run.n}`);
    }
    if (before === undefined || run.endMs > before.endMs) last.set(run.key, run);
  }
  return found;
};

/** What counts of each message: its first end that was not told to stop. */
const firstEnds = (runs: readonly Run[]): Run[] => {
  const first = new Map<number, Run>();
  for (const run of runs.toSorted((a, b) => a.endMs - b.endMs)) {
    if (run.endMs < Infinity && !run.aborted && !first.has(run.n)) first.set(run.n, run);
  }
  return [...first.values()];
};

/** Per producer (even and odd numbers) and key: in order, and under fences that never fall. */
const checkEffects = (runs: readonly Run[], said: number): void => {
  const ends = firstEnds(runs);
  expect(ends.length).toBe(said);
  const lanes = new Map<string, Run[]>();
  for (const run of ends) {
    const lane = `${run.key} ${run.n % 2}`;
    lanes.set(lane, [...(lanes.get(lane) ?? []), run]);
  }
  for (const [lane, mine] of lanes) {
    const numbers = mine.map(({ n }) => n);
    expect(numbers, lane).toEqual(numbers.toSorted((a, b) => a - b));
    for (const [at, { fence }] of mine.entries()) {
      expect(fence, lane).toBeGreaterThan(0n);
      if (at > 0) expect(fence >= (mine[at - 1] as Run).fence, lane).toBe(true);
    }
  }
};

/** Even numbers at one producer, odd ones at the other, until it is told to stop. */
class Flow {
  said = 0;
  readonly #producers: readonly ChildNode[];
  readonly #done: Promise<void>[];
  #stopped = false;

  constructor(producers: readonly ChildNode[]) {
    this.#producers = producers;
    this.#done = producers.map((_, at) => this.#say(at));
  }

  async stop(): Promise<number> {
    this.#stopped = true;
    await Promise.all(this.#done);
    return this.said;
  }

  async #say(at: number): Promise<void> {
    for (let n = at; !this.#stopped; n += 2) {
      const key = keyOf(n >> 1);
      await (this.#producers[at] as ChildNode).publish("task.set", n, { options: { key } });
      this.said++;
    }
  }
}

const listen = (member: ChildNode): Promise<unknown> =>
  member.listen({
    name: "work",
    verb: "subscribe",
    subject: "task.set",
    behaviour: [{ type: "slow", ms: 3 }],
    options: { group: "work", durable: true, concurrency: 8 },
  });

const start = async (mesh: World, ...names: string[]): Promise<ChildNode[]> => {
  const nodes = await Promise.all(names.map((name) => mesh.start(name)));
  await mesh.link(...nodes);
  return nodes;
};

const handles = (member: ChildNode, since: number): Promise<void> =>
  member.sees("handles something new", () => member.numbers("end", "work").length > since);

const settled = async (producers: readonly ChildNode[]): Promise<void> => {
  for (const producer of producers) {
    await until(`${producer.service} settles all`, async () => {
      const counts = (await producer.ledger())[SUBSCRIPTION];
      return counts?.pending === 0;
    });
  }
};

describe("members of a group", () => {
  it("have one owner a key while one joins and one leaves, and only what must move moves", async () => {
    const mesh = await world();
    const [p1, p2, b1, b2] = (await start(mesh, "p1", "p2", "b1", "b2")) as ChildNode[] & {
      length: 4;
    };
    const producers = [p1, p2] as ChildNode[];
    const [first, second] = [b1, b2] as [ChildNode, ChildNode];
    await listen(first);
    await listen(second);
    const flow = new Flow(producers);
    await handles(first, 20);
    await handles(second, 20);
    const before = ownersOf(runsOf([first, second]));
    const third = await mesh.start("b3");
    await mesh.link(third, ...producers, first, second);
    await listen(third);
    await handles(third, 20);
    const joinedAt = Date.now();
    await handles(first, first.numbers("end", "work").length + 50);
    const after = ownersOf(runsOf([first, second, third]).filter((run) => run.startMs > joinedAt));
    for (const [key, owner] of after) {
      if (owner !== third) expect(owner, key).toBe(before.get(key)); // nobody else's shards moved
    }
    await second.stop();
    await handles(first, first.numbers("end", "work").length + 20);
    const said = await flow.stop();
    await settled(producers);
    const runs = runsOf([first, second, third]);
    expect(overlaps(runs)).toEqual([]);
    expect(runs.filter(({ aborted }) => aborted)).toEqual([]);
    checkEffects(runs, said);
  });

  it("find new owners when one is killed, and when one stands still for longer than its lease", async () => {
    const mesh = await world();
    const [p1, p2, b1, b2, b3] = (await start(mesh, "p1", "p2", "b1", "b2", "b3")) as ChildNode[];
    const producers = [p1, p2] as ChildNode[];
    const [first, killed, frozen] = [b1, b2, b3] as [ChildNode, ChildNode, ChildNode];
    for (const member of [first, killed, frozen]) await listen(member);
    const flow = new Flow(producers);
    for (const member of [first, killed, frozen]) await handles(member, 20);
    await killed.kill();
    const keysOfKilled = new Set(runsOf([killed]).map(({ key }) => key));
    const killedAt = Date.now();
    await first.sees("has taken over what the killed one had", () => {
      const since = runsOf([first, frozen]).filter(({ startMs }) => startMs > killedAt);
      const seen = new Set(since.map(({ key }) => key));
      return [...keysOfKilled].every((key) => seen.has(key));
    });
    const count = frozen.numbers("end", "work").length;
    const keysOfFrozen = new Set(
      runsOf([frozen]).flatMap(({ key, startMs }) => (startMs > killedAt ? [key] : [])),
    );
    frozen.freeze();
    const frozenAt = Date.now();
    await first.sees("has taken over what the frozen one had", () => {
      const since = runsOf([first]).filter(({ startMs }) => startMs > frozenAt);
      const seen = new Set(since.map(({ key }) => key));
      return [...keysOfFrozen].every((key) => seen.has(key));
    });
    frozen.thaw();
    const thawedAt = Date.now();
    await handles(frozen, count + 20); // it has got its share again
    const said = await flow.stop();
    await settled(producers);
    const runs = runsOf([first, killed, frozen]);
    checkEffects(runs, said);
    // What it began after it woke up, it began as the owner.
    const woken = runs.filter(({ startMs }) => startMs > thawedAt);
    expect(overlaps(woken)).toEqual([]);
  });
});

/** Who handled each key last. */
const ownersOf = (runs: readonly Run[]): Map<string, ChildNode> => {
  const owners = new Map<string, ChildNode>();
  for (const { key, member } of runs.toSorted((a, b) => a.startMs - b.startMs)) {
    owners.set(key, member);
  }
  return owners;
};
