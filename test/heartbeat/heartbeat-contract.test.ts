import { describe, expect, it } from "vitest";
import type { Heartbeat } from "../../src/ports/heartbeat.ts";
import { HEARTBEAT_CASES, type HeartbeatCase, type Rig } from "./heartbeat-contract.ts";
import { ThreadRig } from "./thread-rig.ts";
import { VirtualRig } from "./virtual-rig.ts";

const runOn = async (rig: Rig, { run }: HeartbeatCase): Promise<void> => {
  try {
    await run(rig);
  } finally {
    await rig.end();
  }
};

describe("the heartbeat of a thread", () => {
  it.each(HEARTBEAT_CASES)("$title", (each) => runOn(new ThreadRig(), each));
});

describe("the simulated heartbeat", () => {
  it.each(HEARTBEAT_CASES)("$title", (each) => runOn(new VirtualRig(), each));
});

/** `inner` with some methods replaced. */
const changed = (inner: Heartbeat, change: Partial<Heartbeat>): Heartbeat => ({
  start: (self, context) => inner.start(self, context),
  watch: (peer) => inner.watch(peer),
  unwatch: (nodeId) => inner.unwatch(nodeId),
  attend: (nodeId, closely) => inner.attend(nodeId, closely),
  pulse: (nodeId) => inner.pulse(nodeId),
  answeredSentMs: () => inner.answeredSentMs(),
  stop: () => inner.stop(),
  ...change,
});

const MUTANTS: readonly [name: string, change: (inner: Heartbeat) => Partial<Heartbeat>][] = [
  [
    "never lags",
    (inner) => ({
      pulse: (nodeId) => {
        const pulse = inner.pulse(nodeId);
        return pulse && { ...pulse, lagMs: 0 };
      },
    }),
  ],
  [
    "never falls silent",
    (inner) => ({
      pulse: (nodeId) => {
        const pulse = inner.pulse(nodeId);
        return pulse && { ...pulse, silentMs: 0 };
      },
    }),
  ],
  ["keeps watching", () => ({ unwatch: () => {} })],
  ["calls everybody heard", () => ({ pulse: () => ({ silentMs: 1, lagMs: 0 }) })],
  ["calls what was never answered answered", () => ({ answeredSentMs: () => 0 })],
  ["always asks", (inner) => ({ attend: (id) => inner.attend(id, true) })],
  ["never asks again", (inner) => ({ attend: (id) => inner.attend(id, false) })],
  ["does not stop", () => ({ stop: async () => {} })],
];

describe("the contract", () => {
  it.each(MUTANTS)("fails a heartbeat that %s", async (_, change) => {
    const failed: string[] = [];
    for (const each of HEARTBEAT_CASES) {
      const rig = new VirtualRig((inner) => changed(inner, change(inner)));
      await runOn(rig, each).catch(() => failed.push(each.title));
    }
    expect(failed).not.toEqual([]);
  });
});
