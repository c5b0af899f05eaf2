import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { json, MeshError, type MeshNode, query, type Subscription } from "../../src/index.ts";
import type { SubscribeOptions } from "../../src/options/subscribe-options.ts";
import { TestMesh } from "./test-mesh.ts";

const Quote = query("price.quote", {
  request: json<{ n: number }>(),
  reply: json<{ by: string; n: number }>(),
});

const breaker = { minimum: 4, openMs: 5_000 } as const;

let mesh: TestMesh;
let asks: MeshNode;

beforeEach(async () => {
  mesh = new TestMesh();
  asks = await mesh.node("asks");
});
afterEach(() => mesh.stop());

class Replier {
  readonly node: MeshNode;
  readonly runs: number[] = [];
  isUp = true;
  subscription: Subscription | undefined;

  constructor(node: MeshNode) {
    this.node = node;
  }

  async replies(options: SubscribeOptions): Promise<void> {
    const answer = ({ n }: { n: number }): { by: string; n: number } => {
      this.runs.push(n);
      if (!this.isUp) throw new Error("the dependency is down");
      return { by: this.node.service, n };
    };
    this.subscription = await mesh.clock.run(this.node.reply(Quote, answer, options));
  }
}

const replier = async (name: string, options: SubscribeOptions): Promise<Replier> => {
  const made = new Replier(await mesh.node(name));
  await mesh.linked();
  await made.replies(options);
  return made;
};
/** The answer, or the code of the error. */
const ask = async (n: number): Promise<string> => {
  try {
    return (await mesh.clock.run(asks.request(Quote, { n }))).by;
  } catch (error) {
    if (MeshError.is(error)) return error.code;
    throw error;
  }
};
const askAll = async (from: number, count: number): Promise<string[]> => {
  const answers: string[] = [];
  for (let n = from; n < from + count; n++) answers.push(await ask(n));
  return answers;
};

describe("a reply with a circuit breaker", () => {
  it("refuses at once while it is open, and answers again after a probe succeeded", async () => {
    const one = await replier("one", { breaker });
    one.isUp = false;
    expect(await askAll(0, 6)).toEqual([
      ...Array(4).fill("REMOTE_ERROR"),
      ...Array(2).fill("CIRCUIT_OPEN"),
    ]);
    expect(one.runs).toEqual([0, 1, 2, 3]);
    expect(one.subscription?.activity.breaker).toBe("open");
    await mesh.clock.advance(5_000);
    expect(await ask(6)).toBe("REMOTE_ERROR"); // the probe
    expect(await ask(7)).toBe("CIRCUIT_OPEN");
    one.isUp = true;
    await mesh.clock.advance(10_000);
    expect(await askAll(8, 2)).toEqual(["one", "one"]);
    expect(one.subscription?.activity.breaker).toBe("closed");
  });

  it("leaves requests to instances that take them", async () => {
    const one = await replier("one", { group: "quotes", breaker });
    const two = await replier("two", { group: "quotes", breaker });
    one.isUp = false;
    await askAll(0, 12);
    expect(one.subscription?.activity.breaker).toBe("open");
    const before = one.runs.length;
    expect(await askAll(12, 20)).toEqual(Array(20).fill("two"));
    expect(one.runs).toHaveLength(before);
    expect(two.runs.length).toBeGreaterThanOrEqual(20);
    expect(asks.counters()["requests.askedAnother"]).toBeGreaterThan(0);
  });

  it("does not run a request a second time because its handler failed with a refusal of another", async () => {
    const one = await replier("one", {});
    const two = await replier("two", {});
    let runs = 0;
    for (const { node, subscription } of [one, two]) {
      await mesh.clock.run(subscription?.stop() ?? Promise.resolve());
      const fails = (): never => {
        runs++;
        throw new MeshError("CIRCUIT_OPEN", "what I asked is open");
      };
      await mesh.clock.run(node.reply(Quote, fails, {}));
    }
    expect(await ask(1)).toBe("REMOTE_ERROR");
    expect(runs).toBe(1);
  });
});

describe("a reply with a rate", () => {
  it("refuses what comes too fast as RATE_LIMITED, when no other instance takes it", async () => {
    const one = await replier("one", { group: "quotes", rate: { perSecond: 1, burst: 3 } });
    expect(await askAll(0, 5)).toEqual(["one", "one", "one", "RATE_LIMITED", "RATE_LIMITED"]);
    const two = await replier("two", { group: "quotes", rate: { perSecond: 1, burst: 2 } });
    expect(await askAll(5, 3)).toEqual(["two", "two", "RATE_LIMITED"]);
    await mesh.clock.advance(1_000);
    expect((await askAll(8, 3)).sort()).toEqual(["RATE_LIMITED", "one", "two"]);
    expect([one.runs.length, two.runs.length]).toEqual([4, 3]);
  });
});
