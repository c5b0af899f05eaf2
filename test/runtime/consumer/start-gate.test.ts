import { expect, it } from "vitest";
import type { Job } from "../../../src/runtime/consumer/job.ts";
import { type StartGate, StartGates } from "../../../src/runtime/consumer/start-gate.ts";
import { TurnClock } from "../journal/journal-fixture.ts";

it("looks at the clock once a start: a gate hears of it with the time at which it was asked", () => {
  const clock = new TurnClock();
  let looks = 0;
  const now = clock.monotonicMs.bind(clock);
  clock.monotonicMs = () => now() + looks++;
  const asked: number[] = [];
  const told: number[] = [];
  const gate: StartGate = {
    waitMs: (nowMs) => {
      asked.push(nowMs);
      return 0;
    },
    started: (_, nowMs) => void told.push(nowMs),
  };
  const gates = new StartGates([gate], clock, () => {});
  for (let start = 0; start < 3; start++) {
    expect(gates.areOpen()).toBe(true);
    gates.started({} as Job);
  }
  expect(looks).toBe(3);
  expect(told).toEqual(asked);
});
