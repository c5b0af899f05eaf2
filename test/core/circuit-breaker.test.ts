import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type BreakerOutcome,
  type BreakerPolicy,
  CircuitBreaker,
} from "../../src/core/circuit-breaker.ts";

const POLICY: BreakerPolicy = {
  failureShare: 0.5,
  minimum: 4,
  windowMs: 1_000,
  openMs: 100,
  openMsMax: 350,
  probes: 1,
};

/** A call that takes no time. */
const call = (breaker: CircuitBreaker, outcome: BreakerOutcome, nowMs: number): void => {
  expect(breaker.waitMs(nowMs)).toBe(0);
  breaker.end(breaker.start(nowMs), outcome, nowMs);
};
const opened = (nowMs: number, policy: Partial<BreakerPolicy> = {}): CircuitBreaker => {
  const breaker = new CircuitBreaker({ ...POLICY, ...policy });
  for (let n = 0; n < 4; n++) call(breaker, "failure", nowMs);
  expect(breaker.state.type).toBe("open");
  return breaker;
};

describe("a closed circuit breaker", () => {
  it("opens when the share of failures is reached, and not before the minimum of calls", () => {
    const breaker = new CircuitBreaker(POLICY);
    for (let n = 0; n < 3; n++) call(breaker, "failure", n);
    expect(breaker.state.type).toBe("closed");
    call(breaker, "failure", 3);
    expect(breaker.state).toEqual({ type: "open", untilMs: 103, openings: 1 });
  });

  it("stays closed below the share, and opens at it", () => {
    const breaker = new CircuitBreaker(POLICY);
    for (let n = 0; n < 3; n++) call(breaker, "success", 0);
    for (let n = 0; n < 2; n++) call(breaker, "failure", 0);
    expect(breaker.counted).toEqual({ failures: 2, total: 5 });
    expect(breaker.state.type).toBe("closed");
    call(breaker, "failure", 0);
    expect(breaker.state.type).toBe("open");
  });

  it("forgets what is older than its window", () => {
    const breaker = new CircuitBreaker(POLICY);
    for (let n = 0; n < 3; n++) call(breaker, "failure", 0);
    call(breaker, "failure", 1_000);
    expect(breaker.counted).toEqual({ failures: 1, total: 1 });
    expect(breaker.state.type).toBe("closed");
  });

  it("does not count neutral outcomes", () => {
    const breaker = new CircuitBreaker(POLICY);
    for (let n = 0; n < 100; n++) call(breaker, "neutral", n);
    expect(breaker.counted).toEqual({ failures: 0, total: 0 });
  });
});

describe("an open circuit breaker", () => {
  it("lets nothing through until its time is over, then one probe", () => {
    const breaker = opened(1_000);
    expect([breaker.waitMs(1_000), breaker.waitMs(1_099)]).toEqual([100, 1]);
    expect(breaker.waitMs(1_100)).toBe(0);
    breaker.start(1_100);
    expect(breaker.waitMs(1_100)).toBe(Number.POSITIVE_INFINITY);
    expect(breaker.waitMs(9_999)).toBe(Number.POSITIVE_INFINITY);
  });

  it("closes when the probe succeeds, and starts to count anew", () => {
    const breaker = opened(0);
    call(breaker, "success", 100);
    expect(breaker.state.type).toBe("closed");
    expect(breaker.counted).toEqual({ failures: 0, total: 0 });
    for (let n = 0; n < 3; n++) call(breaker, "failure", 101);
    expect(breaker.state.type).toBe("closed");
  });

  it("stays open twice as long each time a probe fails, to the most, and anew from the least after it closed", () => {
    const breaker = opened(0);
    let nowMs = 0;
    const waits: number[] = [];
    for (let n = 0; n < 4; n++) {
      const waitMs = breaker.waitMs(nowMs);
      waits.push(waitMs);
      nowMs += waitMs;
      call(breaker, n < 3 ? "failure" : "success", nowMs);
    }
    expect(waits).toEqual([100, 200, 350, 350]);
    for (let n = 0; n < 4; n++) call(breaker, "failure", nowMs);
    expect(breaker.waitMs(nowMs)).toBe(100);
  });

  it("asks for as many successes in a row as it was told, one after the other", () => {
    const breaker = opened(0, { probes: 3 });
    call(breaker, "success", 100);
    call(breaker, "neutral", 100);
    call(breaker, "success", 100);
    expect(breaker.state).toMatchObject({ type: "half-open", succeeded: 2 });
    call(breaker, "failure", 100);
    expect(breaker.state).toEqual({ type: "open", untilMs: 300, openings: 2 });
  });

  it("tries another probe when the outcome of one says nothing", () => {
    const breaker = opened(0);
    call(breaker, "neutral", 100);
    expect(breaker.state.type).toBe("half-open");
    expect(breaker.waitMs(100)).toBe(0);
  });

  it("hears nothing of calls that began before it opened", () => {
    const breaker = new CircuitBreaker(POLICY);
    const early = [0, 1, 2].map(() => breaker.start(0));
    for (let n = 0; n < 4; n++) call(breaker, "failure", 0);
    breaker.end(early[0] as number, "success", 50);
    expect(breaker.state.type).toBe("open");
    const probe = breaker.start(100);
    breaker.end(early[1] as number, "success", 100);
    expect(breaker.state).toMatchObject({ type: "half-open", probing: true });
    breaker.end(probe, "success", 120);
    breaker.end(early[2] as number, "failure", 130);
    expect(breaker.state.type).toBe("closed");
    expect(breaker.counted).toEqual({ failures: 0, total: 0 });
  });
});

/**
 * The same rules told another way: a list of all that happened, searched anew for every question. Times are
 * cut to the slices of the window, as the breaker says it does.
 */
class PlainBreaker {
  readonly #policy: BreakerPolicy;
  #counted: { readonly slice: number; readonly failed: boolean }[] = [];
  #era = 0;
  #mode: "closed" | "open" | "half-open" = "closed";
  #openedAtMs = 0;
  #failedInRow = 0;
  #probes: ("running" | BreakerOutcome)[] = [];

  constructor(policy: BreakerPolicy) {
    this.#policy = policy;
  }

  get era(): number {
    return this.#era;
  }

  mode(nowMs: number): string {
    const { openMs, openMsMax } = this.#policy;
    const forMs = Math.min(openMsMax, openMs * 2 ** (this.#failedInRow - 1));
    if (this.#mode === "open" && nowMs - this.#openedAtMs >= forMs) this.#become("half-open");
    return this.#mode;
  }

  mayStart(nowMs: number): boolean {
    const mode = this.mode(nowMs);
    return mode === "closed" || (mode === "half-open" && !this.#probes.includes("running"));
  }

  start(): void {
    if (this.#mode === "half-open") this.#probes.push("running");
  }

  end(era: number, outcome: BreakerOutcome, nowMs: number): void {
    const mode = this.mode(nowMs);
    if (era !== this.#era) return;
    if (mode === "half-open") {
      this.#probes[this.#probes.indexOf("running")] = outcome;
      const good = this.#probes.filter((probe) => probe === "success").length;
      if (outcome === "failure") this.#openAgain(nowMs);
      else if (good === this.#policy.probes) this.#close();
    } else if (mode === "closed" && outcome !== "neutral") {
      const slice = Math.floor(nowMs / (this.#policy.windowMs / 10));
      this.#counted.push({ slice, failed: outcome === "failure" });
      const lately = this.#counted.filter((one) => one.slice > slice - 10);
      const failures = lately.filter(({ failed }) => failed).length;
      const { minimum, failureShare } = this.#policy;
      const tooMany = failures / lately.length >= failureShare;
      if (outcome === "failure" && lately.length >= minimum && tooMany) this.#openAgain(nowMs);
    }
  }

  #openAgain(nowMs: number): void {
    this.#failedInRow++;
    this.#openedAtMs = nowMs;
    this.#become("open");
  }

  #close(): void {
    this.#failedInRow = 0;
    this.#counted = [];
    this.#become("closed");
  }

  #become(mode: "closed" | "open" | "half-open"): void {
    this.#mode = mode;
    this.#era++;
    this.#probes = [];
  }
}

describe("a circuit breaker, whatever happens", () => {
  const policies = fc.record({
    failureShare: fc.constantFrom(0.25, 0.5, 0.75, 1),
    minimum: fc.integer({ min: 1, max: 8 }),
    windowMs: fc.constantFrom(100, 1_000),
    openMs: fc.integer({ min: 1, max: 100 }),
    openMsMax: fc.integer({ min: 100, max: 400 }),
    probes: fc.integer({ min: 1, max: 3 }),
  });
  const outcomes = fc.constantFrom<BreakerOutcome>("success", "failure", "failure", "neutral");
  const steps = fc.array(
    fc.oneof(
      { weight: 3, arbitrary: fc.record({ type: fc.constant("start" as const) }) },
      {
        weight: 3,
        arbitrary: fc.record({
          type: fc.constant("end" as const),
          which: fc.nat(),
          outcome: outcomes,
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({ type: fc.constant("wait" as const), ms: fc.nat({ max: 120 }) }),
      },
    ),
    { minLength: 1, maxLength: 150 },
  );

  it("does as the rules told plainly", () => {
    const seen = new Set<string>();
    fc.assert(
      fc.property(policies, steps, (policy, all) => {
        const breaker = new CircuitBreaker(policy);
        const plain = new PlainBreaker(policy);
        const calls: { readonly permit: number; readonly era: number }[] = [];
        let nowMs = 0;
        for (const step of all) {
          if (step.type === "wait") nowMs += step.ms;
          else if (step.type === "start") {
            const may = breaker.waitMs(nowMs) === 0;
            expect(may).toBe(plain.mayStart(nowMs));
            if (!may) continue;
            plain.start();
            calls.push({ permit: breaker.start(nowMs), era: plain.era });
          } else if (calls.length > 0) {
            const [ended] = calls.splice(step.which % calls.length, 1);
            breaker.end(ended?.permit ?? 0, step.outcome, nowMs);
            plain.end(ended?.era ?? 0, step.outcome, nowMs);
          }
          breaker.waitMs(nowMs);
          expect(breaker.state.type).toBe(plain.mode(nowMs));
          seen.add(breaker.state.type);
        }
      }),
      { numRuns: 500 },
    );
    expect([...seen].sort()).toEqual(["closed", "half-open", "open"]);
  });

  it("names the wait after which a call may start, while no probe runs", () => {
    fc.assert(
      fc.property(policies, fc.nat({ max: 10_000 }), (policy, nowMs) => {
        const breaker = new CircuitBreaker(policy);
        while (breaker.state.type === "closed") call(breaker, "failure", nowMs);
        const waitMs = breaker.waitMs(nowMs);
        expect(waitMs).toBe(Math.min(policy.openMs, policy.openMsMax));
        expect(breaker.waitMs(nowMs + waitMs - 1)).toBe(1);
        expect(breaker.waitMs(nowMs + waitMs)).toBe(0);
      }),
    );
  });
});
