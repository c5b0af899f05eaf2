import { expect, it } from "vitest";
import type { ConsumerOpening } from "../../../src/runtime/consumer/consumer-opening.ts";
import { Job } from "../../../src/runtime/consumer/job.ts";
import { JobRunner, type RunnerOwner } from "../../../src/runtime/consumer/job-runner.ts";
import { Counters } from "../../../src/runtime/counters.ts";
import type { Environment } from "../../../src/runtime/environment.ts";
import { VirtualClock } from "../../mesh/virtual-clock.ts";

const TIMEOUT_MS = 60_000;

const setUp = (timeoutMs: number) => {
  const clock = new VirtualClock();
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const env = { clock, logger, counters: new Counters() } as unknown as Environment;
  const ends: (() => void)[] = [];
  const owner: RunnerOwner = {
    id: "subscription",
    succeeded: (job) => runner.done(job),
    failed: (job) => runner.done(job),
    timedOut: () => {},
    abandoned: () => {},
  };
  const limits = { concurrency: 4, timeoutMs, abandonMs: TIMEOUT_MS };
  const runner = new JobRunner(env, limits, () => new Promise((end) => void ends.push(end)), owner);
  const job = (number: number): Job => {
    const subscription = { id: "subscription", spec: { stateful: false, alone: false } };
    const bytes = new Uint8Array(0);
    const opening = {} as ConsumerOpening;
    return new Job(subscription, opening, number, false, 1, number, 0, -1, 0, bytes, 0, 0);
  };
  return { clock, runner, ends, job };
};

it("leaves no timer, and so nothing in memory, once a subscription that ends is idle", async () => {
  const { clock, runner, ends, job } = setUp(TIMEOUT_MS);
  for (let number = 1; number <= 3; number++) runner.push(job(number));
  let isIdle = false;
  runner.whenIdle(() => {
    isIdle = true;
  });
  for (const end of ends) end();
  await clock.settle();
  expect(isIdle).toBe(true);
  expect(clock.pending).toBe(0);
});

it("leaves no timer when what runs ended before the subscription does", async () => {
  const { clock, runner, ends, job } = setUp(TIMEOUT_MS);
  runner.push(job(1));
  ends[0]?.();
  await clock.settle();
  expect(clock.pending).toBe(1); // one timer serves all attempts: it is not armed anew for each
  runner.whenIdle(() => {});
  expect(clock.pending).toBe(0);
});

it("waits no longer for a handler that returned after its time", async () => {
  const { clock, runner, ends, job } = setUp(100);
  runner.push(job(1));
  await clock.advance(150);
  expect(clock.pending).toBe(1);
  ends[0]?.();
  await clock.settle();
  expect(clock.pending).toBe(0);
});

it("arms the time-out again for what runs after it was idle", async () => {
  const { clock, runner, ends, job } = setUp(100);
  runner.push(job(1));
  ends[0]?.();
  await clock.settle();
  runner.whenIdle(() => {});
  const late = job(2);
  runner.push(late);
  await clock.advance(150);
  expect(late.state).toBe("revoked");
});
