/**
 * Two keys in one shard: one fails and waits at its producer with what follows it, the other goes on. What
 * is right for a shard is not right for a key.
 */

import type { Run } from "../../../src/testing/history.ts";
import { xxh32Bytes } from "../../../src/testing/xxh32.ts";
import { PLAIN, placeOfRun, type Scenario, withSubscription } from "../scenario.ts";

const SHARD_MASK = 4_095;
/** Waits below this are spent at the member; longer ones park the key at the producer. */
const PARKED_MS = 1_000;

const shardOf = (key: string): number => xxh32Bytes(Buffer.from(key)) & SHARD_MASK;

/** `count` keys of one shard. */
const neighbours = (first: string, count: number): string[] => {
  const keys = [first];
  const shard = shardOf(first);
  for (let n = 0; keys.length < count; n++) {
    if (shardOf(`n${n}`) === shard) keys.push(`n${n}`);
  }
  return keys;
};

export const shardNeighbours: Scenario = {
  name: "shard-neighbours",
  about: "two keys of one shard, one parked at its producer while the other goes on",
  shape: (plan, random) => ({
    ...withSubscription(plan, {
      ...PLAIN,
      flaky: 0.15,
      retryBaseMs: 3_000,
      sends: random.chance(0.5) ? 0.3 : 0,
    }),
    services: 1,
    isCalm: false,
    safetyMs: Math.max(6_000, plan.safetyMs),
    work: { ...plan.work, keyless: 0, commands: 0, keyNames: neighbours(`k${plan.nodes}`, 3) },
  }),
  begin: ({ world, seen }) => ({
    over: () => {
      const lanes = new Map<string, Run[]>();
      for (const run of world.history.runs) {
        if (run.volatile || run.key === undefined) continue;
        if (!world.plan.work.keyNames?.includes(run.key)) continue;
        const lane = `${run.subscription} n${run.producer}`;
        lanes.set(lane, [...(lanes.get(lane) ?? []), run]);
      }
      for (const runs of lanes.values()) seen(parkedBeside(runs));
    },
  }),
};

/** How often a run failed, its key waited, and another key's message was handled meanwhile. */
const parkedBeside = (runs: readonly Run[]): number => {
  let count = 0;
  for (const [at, failed] of runs.entries()) {
    if (failed.outcome !== "failed" || failed.endMs === undefined) continue;
    const later = runs.slice(at + 1);
    const again = later.find((run) => placeOfRun(run) === placeOfRun(failed));
    if (again === undefined || again.startMs - failed.endMs < PARKED_MS) continue;
    const beside = later.some(
      ({ key, outcome, startMs, endMs = Number.POSITIVE_INFINITY }) =>
        key !== failed.key &&
        outcome === "ok" &&
        startMs > (failed.endMs ?? 0) &&
        endMs < again.startMs,
    );
    if (beside) count++;
  }
  return count;
};
