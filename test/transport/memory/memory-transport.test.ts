import { strict as assert } from "node:assert";
import { test } from "vitest";
import type { Clock, Timer } from "../../../src/ports/clock.ts";
import { MemoryNetwork, memoryTransport } from "../../../src/transport/memory/memory-transport.ts";
import { ownClock } from "../../own-clock.ts";
import { numbered, numberOf, Recorder, testContext } from "../transport-harness.ts";

type Due = { readonly atMs: number; readonly fn: () => void };

/** Time that stands still until it is told to move; each step runs one thing that is due. */
class VirtualClock implements Clock {
  nowMs = 0;
  readonly #turnEnd: (() => void)[] = [];
  readonly #timers: Due[] = [];

  wallMs = () => this.nowMs;
  monotonicMs = () => this.nowMs;

  setTimer(delayMs: number, fn: () => void): Timer {
    const timer = { atMs: this.nowMs + delayMs, fn };
    this.#timers.push(timer);
    return timer as unknown as Timer;
  }

  clearTimer(timer: Timer): void {
    const index = this.#timers.indexOf(timer as unknown as Due);
    if (index >= 0) this.#timers.splice(index, 1);
  }

  endOfTurn(fn: () => void): void {
    this.#turnEnd.push(fn);
  }

  /** Runs everything due now, without letting time pass; promises get their turn in between. */
  async settle(): Promise<void> {
    for (;;) {
      for (let index = 0; index < 20; index += 1) await Promise.resolve();
      const next = this.#turnEnd.shift() ?? this.#due();
      if (next === undefined) return;
      next();
    }
  }

  #due(): (() => void) | undefined {
    const index = this.#timers.findIndex((timer) => timer.atMs <= this.nowMs);
    return index < 0 ? undefined : this.#timers.splice(index, 1)[0]?.fn;
  }
}

async function linked(clock: Clock, settle: () => Promise<void>) {
  const network = new MemoryNetwork();
  const transports = [memoryTransport(network), memoryTransport(network)] as const;
  for (const transport of transports) await transport.start(testContext(1 << 20, clock));
  const accepted: Recorder[] = [];
  const listener = await transports[0].listen({ host: "local", port: 0 }, (connection) => {
    accepted.push(new Recorder(connection));
  });
  const dialing = transports[1].dial(listener.address, { timeoutMs: 100 });
  await settle();
  return { dialed: new Recorder(await dialing), accepted: accepted[0] as Recorder };
}

test("on a virtual clock the same run gives the same events in the same order, in no time", async () => {
  const run = async () => {
    const clock = new VirtualClock();
    const { dialed, accepted } = await linked(clock, () => clock.settle());
    const log: string[] = [];
    accepted.onFrame = (bytes) => {
      log.push(`accepted ${numberOf(bytes)} at ${clock.nowMs}`);
      if (numberOf(bytes) < 3_000) accepted.connection.send(numbered(numberOf(bytes) + 1, 8));
    };
    dialed.onFrame = (bytes) => {
      log.push(`dialed ${numberOf(bytes)} at ${clock.nowMs}`);
      dialed.connection.send(numbered(numberOf(bytes) + 1, 8));
      dialed.connection.send(numbered(9_999, 8));
    };
    dialed.connection.send(numbered(0, 8));
    await clock.settle();
    dialed.connection.close();
    await clock.settle();
    assert.deepEqual([dialed.closes, accepted.closes], [[undefined], [undefined]]);
    assert.equal(clock.nowMs, 0);
    return log;
  };
  const first = await run();
  assert.ok(first.length > 4_000);
  assert.deepEqual(await run(), first);
});

test("hands the very bytes over, without a copy", async () => {
  const clock = new VirtualClock();
  const { dialed, accepted } = await linked(clock, () => clock.settle());
  const frame = numbered(1, 100);
  dialed.connection.send(frame);
  assert.equal(dialed.connection.bufferedBytes, 100);
  await clock.settle();
  assert.equal(accepted.frames[0], frame);
  assert.equal(dialed.connection.bufferedBytes, 0);
  assert.equal(dialed.drains, 1);
});

test("two nodes that answer one another endlessly let timers run", async () => {
  // A turn's end that is reached by promises alone, as the strictest reading of the clock allows.
  const clock: Clock = { ...ownClock, endOfTurn: (fn) => queueMicrotask(fn) };
  const { dialed, accepted } = await linked(clock, () => Promise.resolve());
  let rounds = 0;
  let isDone = false;
  dialed.keep = accepted.keep = false;
  accepted.onFrame = (bytes) => accepted.connection.send(bytes);
  dialed.onFrame = (bytes) => {
    rounds += 1;
    if (!isDone && rounds < 5_000_000) dialed.connection.send(bytes);
  };
  dialed.connection.send(numbered(0, 8));
  await new Promise<void>((resolve) => setTimeout(resolve, 5));
  isDone = true;
  assert.ok(rounds > 0 && rounds < 5_000_000);
});
