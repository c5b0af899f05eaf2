/**
 * The log through power cuts, torn and failed writes, at sizes so small that segments turn all the time. The store
 * below is in memory, which is what a store with synced commits is after a crash: as of its last commit.
 */

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { MARK_MS } from "../../../src/journal/wal/log-mark.ts";
import { openLog } from "../../../src/journal/wal/open-log.ts";
import type { JournalStore } from "../../../src/ports/journal-store.ts";
import {
  applied,
  Below,
  LIMITS,
  type Model,
  plannedWrite,
  settled,
  shown,
  sorted,
  writesOf,
} from "./log-model.ts";
import { SimulatedSegments } from "./simulated-segments.ts";

/** Which of these states the store shows. */
const oneOf = (store: JournalStore, allowed: readonly Model[]): Model => {
  const found = sorted(shown(store));
  const match = allowed.find((one) => JSON.stringify(sorted(one)) === JSON.stringify(found));
  expect(match, "what is shown after opening again").toBeDefined();
  return match as Model;
};

const commit = fc.record({
  kind: fc.constant("commit" as const),
  writes: fc.array(plannedWrite, { minLength: 1, maxLength: 5 }),
  fails: fc.oneof(
    { weight: 9, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
});
const cut = fc.record({
  kind: fc.constant("cut" as const),
  /** The machine is gone and not only the process: what it had not synced may be. */
  losesPower: fc.boolean(),
  /** Writes that still reach the disk. */
  after: fc.nat({ max: 1 }),
  sectors: fc.array(fc.boolean(), { maxLength: 24 }),
});
const reopen = fc.record({ kind: fc.constant("reopen" as const) });
/** Long enough for the mark to be written. */
const pause = fc.record({ kind: fc.constant("pause" as const) });
const steps = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: commit },
    { weight: 2, arbitrary: cut },
    { weight: 1, arbitrary: reopen },
    { weight: 1, arbitrary: pause },
  ),
  { minLength: 1, maxLength: 60 },
);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
});
afterEach(() => {
  vi.useRealTimers();
});

describe("the write-ahead log", () => {
  test("shows after any crash every acknowledged commit, and of the last one all or nothing", async () => {
    let cuts = 0;
    let moves = 0;
    const property = fc.asyncProperty(steps, async (plan) => {
      const disk = new SimulatedSegments();
      const below = await Below.empty();
      let store = await openLog(below.opened(), disk, LIMITS);
      let model: Model = new Map();
      /** What a failed commit may still turn out to have done, until another one succeeds. */
      let unknown: Model | undefined;
      for (const step of plan) {
        if (step.kind === "commit") {
          const writes = writesOf(step.writes);
          const after = applied(model, writes);
          if (step.fails) {
            disk.beforeWrite = () => {
              disk.beforeWrite = undefined;
              throw Object.assign(new Error("planted"), { code: "EIO" });
            };
          }
          const outcome = await settled(store.commit(writes));
          disk.beforeWrite = undefined;
          if (outcome === "ok") {
            model = after;
            unknown = undefined;
          } else unknown = after;
          expect(sorted(shown(store))).toEqual(sorted(model));
        } else if (step.kind === "reopen") {
          await store.close();
          store = await openLog(below.opened(), disk, LIMITS);
          model = oneOf(store, [model, ...(unknown === undefined ? [] : [unknown])]);
          unknown = undefined;
        } else if (step.kind === "pause") {
          vi.advanceTimersByTime(MARK_MS);
          await settled(new Promise(() => {}));
        } else {
          cuts += 1;
          const [last, ...rest] = plan.flatMap((one) =>
            one.kind === "commit" ? [one.writes] : [],
          );
          const writes = writesOf(last ?? rest[0] ?? []);
          let sector = 0;
          disk.fate = () => step.sectors[sector++ % Math.max(1, step.sectors.length)] ?? false;
          disk.writesLeft = step.after;
          disk.cut = true;
          below.cut = true;
          void store.commit(writes);
          await settled(new Promise(() => {}));
          vi.clearAllTimers();
          if (step.losesPower) disk.losePower();
          disk.cut = false;
          below.cut = false;
          disk.fate = () => true;
          store = await openLog(below.opened(), disk, LIMITS);
          const maybe = unknown === undefined ? [] : [unknown];
          model = oneOf(store, [model, applied(model, writes), ...maybe]);
          unknown = undefined;
        }
      }
      expect(sorted(shown(store))).toEqual(sorted(model));
      expect(disk.files.reduce((sum, { capacity }) => sum + capacity, 0)).toBeLessThan(80 * 1024);
      await store.close();
      const again = await openLog(below.opened(), disk, LIMITS);
      oneOf(again, [model, ...(unknown === undefined ? [] : [unknown])]);
      expect(again.scan("meta", { limit: 10 })).toEqual([]);
      moves += below.commits;
      await again.close();
    });
    await fc.assert(property, { numRuns: 2_000, seed: 20_261 });
    expect(cuts).toBeGreaterThan(500);
    expect(moves).toBeGreaterThan(500);
  }, 120_000);
});
