/** Runs one seed: a safety phase with faults, a liveness phase without, then the checkers. */
import { check } from "../../src/testing/checkers/check.ts";
import type { Violation } from "../../src/testing/history.ts";
import { FaultDriver } from "./fault-driver.ts";
import { scenarioOf } from "./scenarios.ts";
import { type Shape, World } from "./world.ts";

export type Outcome = {
  readonly seed: number;
  /** What was staged on purpose, or "none". */
  readonly scenario: string;
  readonly events: number;
  readonly simulatedMs: number;
  readonly faults: ReadonlyMap<string, number>;
  readonly coverage: ReadonlyMap<string, number>;
  readonly violations: readonly Violation[];
  readonly hash: string;
  readonly trace: readonly string[] | undefined;
  readonly diagnosis: string;
};

/** Nothing came to its end for so long: it is stuck. */
const PATIENCE_MS = 60_000;
const LIVENESS_MS = 1_800_000;
const QUIET_STEP_MS = 250;
const BOUNDS_STEP_MS = 100;
const EVENTS_MAX = 3_000_000;

export const simulate = async (
  seed: number,
  options: {
    readonly keepTrace?: boolean;
    readonly scenario?: string | undefined;
    readonly shape?: Shape | undefined;
  } = {},
): Promise<Outcome> => {
  const drawn = scenarioOf(seed, options.scenario);
  const world = new World(seed, {
    keepTrace: options.keepTrace === true,
    drawn,
    shape: options.shape,
  });
  const { time, plan, history } = world;
  const driver = new FaultDriver(world);
  const unhandled = (error: unknown): void => world.found("unhandledRejection", String(error));
  process.on("unhandledRejection", unhandled);
  for (const node of world.nodes) {
    const startMs = world.random.between(0, plan.startSpreadMs);
    time.after(plan.startsMs?.[node.index] ?? startMs, () => node.start());
  }
  const bounds = (): void => {
    world.checkBounds();
    time.after(BOUNDS_STEP_MS, bounds);
  };
  time.after(BOUNDS_STEP_MS, bounds);
  driver.begin();
  const { scenario } = world;
  if (scenario !== undefined) {
    const seen = (count?: number): void => world.seen(count);
    world.watcher = scenario.begin({ world, driver, random: drawn.random, seen });
  }
  await time.run({ untilMs: plan.safetyMs, eventsMax: EVENTS_MAX });
  driver.heal();
  const settled = await settle(world);
  history.isQuiet = settled === undefined;
  if (settled !== undefined) world.found("C11", `stuck: ${settled}`);
  world.watcher.over?.();
  world.takeStock();
  const diagnosis = settled === undefined ? "" : world.diagnosis();
  process.removeListener("unhandledRejection", unhandled);
  return {
    seed,
    scenario: world.scenarioName,
    events: time.events,
    simulatedMs: time.nowMs,
    faults: world.faults,
    coverage: world.coverage,
    violations: [...history.found, ...check(history)],
    hash: world.trace.hash,
    trace: world.trace.lines,
    diagnosis,
  };
};

/**
 * Runs until nothing is pending, three times in a row. What is pending when nothing came to its end for
 * a long while, or undefined.
 */
const settle = async (world: World): Promise<string | undefined> => {
  const { time } = world;
  const lastMs = time.nowMs + LIVENESS_MS;
  let deadlineMs = time.nowMs + PATIENCE_MS;
  let most = Number.NEGATIVE_INFINITY;
  let quiet = 0;
  let why: string | undefined = "nothing ran";
  while (time.nowMs < Math.min(deadlineMs, lastMs) && time.events < EVENTS_MAX) {
    await time.run({ untilMs: time.nowMs + QUIET_STEP_MS, eventsMax: EVENTS_MAX });
    why = world.notQuiet();
    quiet = why === undefined ? quiet + 1 : 0;
    if (quiet >= 3) return undefined;
    const done = world.workDone();
    if (done > most) {
      most = done;
      deadlineMs = time.nowMs + PATIENCE_MS;
    }
    world.nurse();
  }
  return why ?? "it never stayed quiet";
};
