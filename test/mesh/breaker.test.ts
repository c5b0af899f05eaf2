import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  event,
  json,
  type MeshNode,
  type StatusChange,
  type SubscribeOptions,
  type Subscription,
  Unrecoverable,
} from "../../src/index.ts";
import type { HandlerContext } from "../../src/mesh/handler-context.ts";
import { TestMesh } from "./test-mesh.ts";

type Task = { readonly n: number; readonly key?: string };
const Task = event("task.set", { schema: json<Task>(), key: (task) => task.key });

const breaker = { minimum: 4, openMs: 5_000, openMsMax: 15_000 } as const;
const LONG = { ...breaker, openMs: 60_000, openMsMax: 60_000 };
const retry = { attempts: 100, baseMs: 20, capMs: 500 } as const;

let mesh: TestMesh;
let says: MeshNode;

beforeEach(async () => {
  mesh = new TestMesh();
  says = await mesh.node("says");
});
afterEach(() => mesh.stop());

/** A service whose handler fails while what it depends on is down. */
class Service {
  readonly node: MeshNode;
  readonly runs: string[] = [];
  readonly done: number[] = [];
  readonly changes: StatusChange[] = [];
  isUp = true;
  running = 0;
  runningMost = 0;
  subscription: Subscription | undefined;

  constructor(node: MeshNode) {
    this.node = node;
    void this.#watch();
  }

  async listens(options: SubscribeOptions): Promise<void> {
    const given = { group: "work", durable: true, retry, breaker, ...options };
    const subscribed = this.node.subscribe(Task, (task, ctx) => this.#handle(task, ctx), given);
    this.subscription = await mesh.clock.run(subscribed);
  }

  get states(): string[] {
    return this.changes.flatMap((change) =>
      change.type === "breaker" ? [change.openMs > 0 ? `open ${change.openMs}` : change.state] : [],
    );
  }

  async #watch(): Promise<void> {
    for await (const change of this.node.status()) this.changes.push(change);
  }

  async #handle({ n }: Task, { message }: HandlerContext): Promise<void> {
    this.runs.push(`${n}.${message.attempt}`);
    this.running++;
    this.runningMost = Math.max(this.runningMost, this.running);
    await Promise.resolve();
    this.running--;
    if (!this.isUp) throw new Error("the dependency is down");
    this.done.push(n);
  }
}

const service = async (name: string): Promise<Service> => new Service(await mesh.node(name));
const tasks = (count: number, keys: number): Task[] =>
  Array.from({ length: count }, (_, n) => ({ n, key: `k${n % keys}` }));
const ledger = () => Object.values(says.ledger())[0];

describe("the circuit breaker of a subscription", () => {
  it("starts no handler while open, probes, and goes on in order once the probe succeeds", async () => {
    const worker = await service("worker");
    await mesh.linked();
    worker.isUp = false;
    await worker.listens({});
    await mesh.clock.run(says.publishMany(Task, tasks(400, 4)));
    await mesh.clock.until(() => worker.states.length === 1);
    const burnt = worker.runs.length;
    await mesh.clock.advance(4_900);
    expect(worker.runs).toHaveLength(burnt);
    expect(worker.subscription?.activity.breaker).toBe("open");
    expect(worker.subscription?.activity).toEqual({ running: 0, waiting: 0, breaker: "open" });
    worker.isUp = true;
    await mesh.clock.until(() => worker.done.length === 400);
    expect(worker.states).toEqual(["open 5000", "half-open", "closed"]);
    for (const key of [0, 1, 2, 3]) {
      const mine = worker.done.filter((n) => n % 4 === key);
      expect(mine).toEqual(mine.toSorted((a, b) => a - b));
    }
    await mesh.clock.advance(1_000);
    expect(ledger()).toMatchObject({ accepted: 400, acked: 400, pending: 0 });
    expect(worker.node.counters()).toMatchObject({ "breaker.opened": 1, "breaker.probes": 1 });
  });

  it("probes one message at a time, stays open longer each time one fails, and burns no other attempt", async () => {
    const worker = await service("worker");
    await mesh.linked();
    worker.isUp = false;
    await worker.listens({});
    await mesh.clock.run(says.publishMany(Task, tasks(40, 8)));
    await mesh.clock.until(() => worker.states.length === 1);
    const burnt = worker.runs.length;
    worker.runningMost = 0;
    await mesh.clock.advance(45_500); // 5 + 10 + 15 + 15 s
    expect(worker.states).toEqual([
      "open 5000",
      "half-open",
      "open 10000",
      "half-open",
      "open 15000",
      "half-open",
      "open 15000",
      "half-open",
      "open 15000",
    ]);
    expect(worker.runs).toHaveLength(burnt + 4);
    expect(worker.runningMost).toBe(1);
    worker.isUp = true;
    await mesh.clock.until(() => worker.done.length === 40);
    expect(ledger()).toMatchObject({ dead: 0 });
  });

  it("gives what belongs to no key to other members, and asks for nothing itself", async () => {
    const broken = await service("broken");
    const sound = await service("sound");
    await mesh.linked();
    broken.isUp = false;
    const options = { distribution: "any", prefetch: 32 } as const;
    await broken.listens(options);
    await mesh.clock.run(says.publishMany(Task, tasks(20, 20)));
    await mesh.clock.until(() => broken.states.length === 1);
    const burnt = broken.runs.length;
    await sound.listens({ ...options, group: "work" });
    await mesh.clock.run(says.publishMany(Task, tasks(500, 500)));
    await mesh.clock.until(() => ledger()?.acked === 520, 1_000);
    const tried = new Set(broken.runs.map((run) => run.split(".")[0]));
    const fresh = sound.runs.filter((run) => !tried.has(run.split(".")[0]));
    expect(fresh.every((run) => run.endsWith(".1"))).toBe(true);
    expect(broken.runs).toHaveLength(burnt);
    expect(sound.done).toHaveLength(520);
  });

  it("holds up neither the keys that a new member takes over, nor their order", async () => {
    const broken = await service("broken");
    await mesh.linked();
    broken.isUp = false;
    await broken.listens({ breaker: LONG, retry: { attempts: 100, baseMs: 900, capMs: 900 } });
    await mesh.clock.run(says.publishMany(Task, tasks(200, 20)));
    await mesh.clock.until(() => broken.states.length === 1);
    const tried = new Set(broken.runs.map((run) => run.split(".")[0]));
    const sound = await service("sound");
    await mesh.linked();
    await sound.listens({});
    await mesh.clock.advance(5_000);
    const keys = [...new Set(sound.done.map((n) => n % 20))];
    expect(keys.length).toBeGreaterThan(3);
    for (const key of keys) {
      const mine = sound.done.filter((n) => n % 20 === key);
      expect(mine).toEqual(tasks(200, 20).flatMap(({ n }) => (n % 20 === key ? [n] : [])));
    }
    const fresh = sound.runs.filter((run) => !tried.has(run.split(".")[0]));
    expect(fresh.every((run) => run.endsWith(".1"))).toBe(true);
    broken.isUp = true;
    await mesh.clock.until(() => ledger()?.acked === 200);
  });

  it("lets messages expire at their producer: none is handled past its deadline", async () => {
    const worker = await service("worker");
    await mesh.linked();
    worker.isUp = false;
    await worker.listens({ breaker: LONG });
    await mesh.clock.run(says.publishMany(Task, tasks(40, 4), { expireAfterMs: 10_000 }));
    await mesh.clock.until(() => worker.states.length === 1);
    const burnt = worker.runs.length;
    worker.isUp = true;
    await mesh.clock.advance(62_000);
    expect(ledger()).toMatchObject({ expired: 40, pending: 0 });
    expect(worker.runs).toHaveLength(burnt);
  });

  it("costs next to nothing while open, with nobody else to take the messages", async () => {
    const worker = await service("worker");
    await mesh.linked();
    worker.isUp = false;
    await worker.listens({
      distribution: "any",
      prefetch: 32,
      breaker: LONG,
    });
    await mesh.clock.run(says.publishMany(Task, tasks(100, 100)));
    await mesh.clock.until(() => worker.states.length === 1);
    await mesh.clock.advance(10_000);
    const waiting = ledger();
    expect(waiting).toMatchObject({ acked: 0, pending: 100 });
    const before = worker.node.counters()["breaker.returned"] ?? 0;
    await mesh.clock.advance(40_000);
    expect(worker.node.counters()["breaker.returned"] ?? 0).toBe(before);
    expect(worker.subscription?.activity).toEqual({ running: 0, waiting: 0, breaker: "open" });
    worker.isUp = true;
    await mesh.clock.until(() => worker.done.length === 100);
  });

  it("is not opened by messages that are themselves at fault, unless it is told so", async () => {
    const worker = await service("worker");
    await mesh.linked();
    const seen: number[] = [];
    const handler = ({ n }: Task): void => {
      seen.push(n);
      throw new Unrecoverable("not a task");
    };
    const options = { durable: true, breaker, retry };
    const lenient = { ...options, group: "lenient" };
    await mesh.clock.run(worker.node.subscribe(Task, handler, lenient));
    await mesh.clock.run(says.publishMany(Task, tasks(30, 1)));
    await mesh.clock.until(() => seen.length === 30);
    expect(worker.states).toEqual([]);
    await mesh.clock.run(worker.node.removeSubscription("lenient", Task));
    const strict = { ...options, group: "strict", breaker: { ...breaker, isFailure: () => true } };
    await mesh.clock.run(worker.node.subscribe(Task, handler, strict));
    await mesh.clock.run(says.publishMany(Task, tasks(30, 1)));
    await mesh.clock.until(() => worker.states.length > 0);
    expect(worker.states).toEqual(["open 5000"]);
  });

  it("takes a handler that runs out of time for a failure at once, and probes although it never ends", async () => {
    const worker = await service("worker");
    await mesh.linked();
    let isUp = false;
    let started = 0;
    const handler = (): Promise<void> => {
      started++;
      return isUp ? Promise.resolve() : new Promise(() => {});
    };
    const options = {
      durable: true,
      timeoutMs: 1_000,
      abandonMs: Number.POSITIVE_INFINITY,
      concurrency: 8,
      prefetch: 8,
      breaker,
    };
    await mesh.clock.run(worker.node.subscribe(Task, handler, options));
    await mesh.clock.run(says.publishMany(Task, tasks(6, 6)));
    await mesh.clock.until(() => worker.states.length > 0);
    expect(started).toBe(6);
    isUp = true;
    await mesh.clock.run(says.publishMany(Task, tasks(20, 20).slice(6)));
    await mesh.clock.until(() => ledger()?.acked === 14);
    expect(worker.states.at(-1)).toBe("closed");
  });

  it("probes with what a producer sends that was not there when it opened", async () => {
    const worker = await service("worker");
    await mesh.linked();
    worker.isUp = false;
    await worker.listens({ breaker: LONG, retry: { attempts: 1 } });
    await mesh.clock.run(says.publishMany(Task, tasks(4, 1)));
    await mesh.clock.until(() => worker.states.length === 1);
    worker.isUp = true;
    const late = await mesh.node("late");
    await mesh.linked();
    await mesh.clock.advance(61_000);
    expect(worker.subscription?.activity).toEqual({ running: 0, waiting: 0, breaker: "half-open" });
    await mesh.clock.run(late.publishMany(Task, tasks(100, 10)));
    await mesh.clock.until(() => worker.done.length === 100, 5_000);
    expect(worker.subscription?.activity.breaker).toBe("closed");
  });

  it("lets a subscription stop, and gives back what waited, without an attempt", async () => {
    const worker = await service("worker");
    const other = await service("other");
    await mesh.linked();
    worker.isUp = false;
    await worker.listens({});
    await mesh.clock.run(says.publishMany(Task, tasks(50, 50)));
    await mesh.clock.until(() => worker.states.length === 1);
    const tried = new Set(worker.runs.map((run) => run.split(".")[0]));
    await mesh.clock.run(worker.subscription?.stop() ?? Promise.resolve());
    await other.listens({});
    await mesh.clock.until(() => other.done.length === 50);
    const again = other.runs.filter((run) => !tried.has(run.split(".")[0]));
    expect(again.every((run) => run.endsWith(".1"))).toBe(true);
    expect(again.length).toBeGreaterThan(10);
  });
});

describe("the rate of a subscription", () => {
  it("spaces the starts of handlers, retries among them, and keeps each key's order", async () => {
    const worker = await mesh.node("worker");
    await mesh.linked();
    const starts: number[] = [];
    const done: number[] = [];
    const handler = ({ n }: Task, { message }: HandlerContext): void => {
      starts.push(mesh.clock.monotonicMs());
      if (n % 10 === 0 && message.attempt === 1) throw new Error("once");
      done.push(n);
    };
    const rate = { perSecond: 50, burst: 5 };
    const options = { durable: true, rate, retry: { baseMs: 1, capMs: 1 } };
    await mesh.clock.run(worker.subscribe(Task, handler, options));
    await mesh.clock.run(says.publishMany(Task, tasks(100, 5)));
    await mesh.clock.until(() => done.length === 100);
    expect(starts).toHaveLength(110);
    for (let at = 5; at < starts.length; at++) {
      const spanMs = (starts[at] as number) - (starts[at - 5] as number);
      expect(spanMs).toBeGreaterThanOrEqual(20 - 1e-6);
    }
    const tookMs = (starts.at(-1) as number) - (starts[0] as number);
    expect(tookMs).toBeGreaterThanOrEqual(105 * 20 - 1);
    expect(tookMs).toBeLessThan(105 * 20 + 250);
    for (const key of [0, 1, 2, 3, 4]) {
      const mine = done.filter((n) => n % 5 === key);
      expect(mine).toEqual(mine.toSorted((a, b) => a - b));
    }
    expect(worker.counters()["rate.waits"]).toBeGreaterThan(100);
  });

  it("leaves what it cannot start at its producer, beyond the credit", async () => {
    const worker = await mesh.node("worker");
    await mesh.linked();
    let started = 0;
    const handler = (): void => {
      started++;
    };
    const rate = { perSecond: 1 };
    const options = { durable: true, rate, prefetch: 32 };
    const subscription = await mesh.clock.run(worker.subscribe(Task, handler, options));
    await mesh.owned();
    await mesh.clock.run(says.publishMany(Task, tasks(500, 50)));
    await mesh.clock.advance(10_000);
    expect(started).toBe(11);
    expect(subscription.activity.waiting).toBeLessThanOrEqual(32);
  });
});
