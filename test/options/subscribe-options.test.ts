import { describe, expect, it } from "vitest";
import { MeshError } from "../../src/errors.ts";
import { SUBSCRIBE_BOUNDS } from "../../src/options/bounds.ts";
import { resolveSubscribeOptions } from "../../src/options/subscribe-options.ts";
import type { Role } from "../../src/wire/declare.ts";

const MIB = 1024 * 1024;
const context = (role: Role) => ({
  role,
  service: "orders",
  retry: { attempts: 10, baseMs: 100, capMs: 60_000 },
  nodePrefetchBytes: 64 * MIB,
});
const resolve = (input?: unknown, role: Role = "events") =>
  resolveSubscribeOptions(input, context(role));

const problemsOf = (input: unknown, role: Role = "events"): Record<string, string> => {
  try {
    resolve(input, role);
  } catch (error) {
    if (!MeshError.is(error, "INVALID_OPTIONS")) throw error;
    const problems = error.details.problems as { option: string; message: string }[];
    return Object.fromEntries(problems.map(({ option, message }) => [option, message]));
  }
  throw new Error("nothing was thrown");
};

describe("resolveSubscribeOptions", () => {
  it("applies the defaults of each role", () => {
    const events = resolve();
    expect(events).toMatchObject({
      role: "events",
      group: "orders",
      durable: false,
      distribution: "key",
      order: "key",
      failover: "move",
      onDead: "continue",
      start: "new",
      startTimeMs: 0,
      retry: { attempts: 10, baseMs: 100, capMs: 60_000 },
      filter: [],
      stateful: false,
      signal: undefined,
    });
    for (const name of [
      "concurrency",
      "prefetch",
      "prefetchBytes",
      "timeoutMs",
      "abandonMs",
      "weight",
    ] as const) {
      expect([name, events[name]]).toEqual([name, SUBSCRIBE_BOUNDS[name].default]);
    }
    expect(Object.isFrozen(events)).toBe(true);
    expect(resolve({}, "commands")).toMatchObject({ durable: true, order: "key" });
    expect(resolve({}, "queries")).toMatchObject({
      durable: false,
      distribution: "any",
      order: "none",
      stateful: false,
    });
  });

  it("takes competing consumers as unordered and refuses the contradiction", () => {
    expect(resolve({ distribution: "any" })).toMatchObject({ distribution: "any", order: "none" });
    expect(resolve({ distribution: "any", order: "none" }).order).toBe("none");
    expect(problemsOf({ distribution: "any", order: "key" })).toHaveProperty("order");
    expect(problemsOf({ distribution: "any", failover: "wait" })).toHaveProperty("failover");
    expect(problemsOf({ distribution: "any", onDead: "hold" })).toHaveProperty("onDead");
    expect(problemsOf({ order: "none", onDead: "hold" })).toHaveProperty("onDead");
    expect(resolve({ order: "none" }).distribution).toBe("key");
  });

  it("has state exactly where messages cannot move", () => {
    expect(resolve({ failover: "wait" }).stateful).toBe(true);
    expect(resolve({ failover: "wait" }, "commands").stateful).toBe(true);
    expect(resolve({ group: false })).toMatchObject({ stateful: true, failover: "wait" });
    expect(resolve({ group: false, distribution: "any" }).stateful).toBe(true);
    expect(resolve({ failover: "move" }).stateful).toBe(false);
    expect(problemsOf({ group: false, failover: "move" })).toHaveProperty("failover");
  });

  it("wants one named group for commands and queries", () => {
    expect(problemsOf({ group: false }, "commands").group).toContain("must be a name");
    expect(problemsOf({ group: false }, "queries").group).toContain("must be a name");
    expect(problemsOf({ group: true }).group).toContain("or false");
    expect(problemsOf({ group: "a b" }).group).toContain("1 to 63");
    expect(resolve({ group: "billing" }).group).toBe("billing");
  });

  it("keeps commands durable and refuses what does not apply to a role", () => {
    expect(problemsOf({ durable: false }, "commands").durable).toContain("must be true or absent");
    expect(resolve({ durable: true }, "commands").durable).toBe(true);
    expect(
      Object.keys(problemsOf({ durable: true, retry: {}, onDead: "hold" }, "queries")),
    ).toEqual(["durable", "retry", "onDead"]);
    expect(problemsOf({ from: "earliest" }, "commands").from).toContain(
      "not an option of handle()",
    );
    expect(problemsOf({ filter: {} }, "commands")).toHaveProperty("filter");
  });

  it("reads where to start", () => {
    expect(resolve({ from: "new" }).start).toBe("new");
    expect(resolve({ from: "earliest" })).toMatchObject({ start: "earliest", startTimeMs: 0 });
    const from = new Date(1_700_000_000_000);
    expect(resolve({ from })).toMatchObject({ start: "time", startTimeMs: 1_700_000_000_000 });
    for (const wrong of [new Date(Number.NaN), new Date(-1), "old", 5, null]) {
      expect(problemsOf({ from: wrong }).from).toContain("must be");
    }
  });

  it("fits prefetch and concurrency to each other when one is given", () => {
    expect(resolve({ prefetch: 1 })).toMatchObject({ prefetch: 1, concurrency: 1 });
    expect(resolve({ concurrency: 500 })).toMatchObject({ concurrency: 500, prefetch: 1_000 });
    expect(resolve({ concurrency: 65_536 }).prefetch).toBe(65_536);
    expect(resolve({ concurrency: 1 }).prefetch).toBe(256);
    expect(problemsOf({ concurrency: 20, prefetch: 10 }).prefetch).toContain("concurrency 20");
  });

  it("keeps a subscription's bytes inside the node's", () => {
    const small = { ...context("events"), nodePrefetchBytes: 2 * MIB };
    expect(resolveSubscribeOptions({}, small).prefetchBytes).toBe(2 * MIB);
    expect(problemsOf({ prefetchBytes: 65 * MIB }).prefetchBytes).toContain("nodePrefetchBytes");
  });

  it("abandons a handler after the time-out again, unless told otherwise", () => {
    expect(resolve({ timeoutMs: 70 }).abandonMs).toBe(70);
    expect(resolve({ abandonMs: Number.POSITIVE_INFINITY }).abandonMs).toBe(
      Number.POSITIVE_INFINITY,
    );
    expect(problemsOf({ timeoutMs: Number.POSITIVE_INFINITY })).toHaveProperty("timeoutMs");
  });

  it("completes retry from the node's, part by part", () => {
    expect(resolve({ retry: { attempts: 3 } }).retry).toEqual({
      attempts: 3,
      baseMs: 100,
      capMs: 60_000,
    });
    expect(resolve({ retry: { attempts: Number.POSITIVE_INFINITY } }).retry.attempts).toBe(
      Number.POSITIVE_INFINITY,
    );
    expect(problemsOf({ retry: { capMs: 50 } })).toHaveProperty(["retry.capMs"]);
    expect(problemsOf({ retry: { tries: 5 } })).toHaveProperty(["retry.tries"]);
  });

  it("has no breaker and no rate unless asked, and completes what is given", () => {
    expect(resolve()).toMatchObject({ breaker: undefined, rate: undefined });
    expect(resolve({ breaker: false }).breaker).toBeUndefined();
    const defaults = {
      failureShare: 0.5,
      minimum: 20,
      windowMs: 60_000,
      openMs: 10_000,
      openMsMax: 60_000,
      probes: 1,
      isFailure: undefined,
    };
    expect(resolve({ breaker: true }).breaker).toEqual(defaults);
    expect(resolve({ breaker: {} }, "queries").breaker).toEqual(defaults);
    const isFailure = (): boolean => true;
    expect(resolve({ breaker: { openMs: 90_000, isFailure } }).breaker).toEqual({
      ...defaults,
      openMs: 90_000,
      openMsMax: 90_000,
      isFailure,
    });
    expect(resolve({ rate: {} }).rate).toBeUndefined();
    expect(resolve({ rate: { perSecond: 3 } }).rate).toEqual({ perSecond: 3, burst: 1 });
    expect(resolve({ rate: { perSecond: 0.5 } }, "queries").rate).toEqual({
      perSecond: 0.5,
      burst: 1,
    });
    expect(resolve({ rate: { perSecond: 1_500 } }, "commands").rate?.burst).toBe(150);
    expect(resolve({ rate: { perSecond: 5, burst: 9 } }).rate).toEqual({ perSecond: 5, burst: 9 });
  });

  it("names what is wrong with a breaker or a rate", () => {
    expect(problemsOf({ breaker: "on" }).breaker).toContain("must be true, false or an object");
    expect(problemsOf({ breaker: { openMs: 50, openMsMax: 10 } })).toHaveProperty([
      "breaker.openMsMax",
    ]);
    expect(problemsOf({ breaker: { isFailure: true } })["breaker.isFailure"]).toContain("function");
    expect(problemsOf({ breaker: { share: 1 } })["breaker.share"]).toContain("nearest");
    expect(problemsOf({ rate: 5 })).toHaveProperty("rate");
    const wrong = { breaker: { failureShare: 0, minimum: 1.5 }, rate: { perSecond: -1, burst: 0 } };
    expect(problemsOf(wrong)).toEqual({
      "breaker.minimum": "is 1.5, must be an integer from 1 to 1000000",
      "breaker.failureShare": "is 0, must be a number from 0.01 to 1",
      "rate.perSecond": "is -1, must be a number from 0.001 to 1000000, or Infinity",
      "rate.burst": "is 0, must be an integer from 1 to 1000000",
    });
  });

  it("accepts both ends of every range and refuses what lies beyond", () => {
    for (const name of [
      "concurrency",
      "prefetch",
      "prefetchBytes",
      "timeoutMs",
      "abandonMs",
      "weight",
    ] as const) {
      const { min, max } = SUBSCRIBE_BOUNDS[name];
      const roomy = { ...context("events"), nodePrefetchBytes: 2 ** 34 };
      for (const value of [min, max]) {
        const resolved = resolveSubscribeOptions({ [name]: value }, roomy);
        expect([name, resolved[name]]).toEqual([name, value]);
      }
      for (const value of [min - 1, max + 1, 1.5, "1", null]) {
        expect(problemsOf({ [name]: value })[name]).toContain(`from ${min} to ${max}`);
      }
    }
  });

  it("reads a header filter into a frozen list", () => {
    const { filter } = resolve({ filter: { headers: { region: "eu", tier: "" } } });
    expect(filter).toEqual([
      { name: "region", value: "eu" },
      { name: "tier", value: "" },
    ]);
    expect(Object.isFrozen(filter) && Object.isFrozen(filter[0])).toBe(true);
    expect(resolve({ filter: {} }).filter).toEqual([]);
  });

  it.each([
    [{ headers: 7 }],
    [{ headers: { "a b": "x" } }],
    [{ headers: { a: 1 } }],
    [{ headers: { a: "x".repeat(4_097) } }],
    [{ headers: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`h${i}`, ""])) }],
  ])("refuses the filter %j", (filter) => {
    expect(Object.keys(problemsOf({ filter }))[0]).toMatch(/^filter\.headers/);
  });

  it("takes an AbortSignal and nothing that only looks a bit like one", () => {
    const { signal } = new AbortController();
    expect(resolve({ signal }).signal).toBe(signal);
    expect(problemsOf({ signal: { aborted: false } })).toHaveProperty("signal");
  });
});
