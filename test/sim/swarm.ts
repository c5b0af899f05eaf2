/**
 * Runs many seeds on several threads.
 *
 * Problem: what is reported must not depend on how many threads there are or which is faster. Approach:
 * seeds are given out in order, results are added up in order. At the first seed with a violation nothing
 * more is given out, seeds below it are waited for, and what ran above it does not count.
 */
import { Worker } from "node:worker_threads";
import { runSeed, type SeedResult, type SeedTask } from "./run-seed.ts";

/** A world is thrown away after its seed: with room for it, less of it is copied first. */
const YOUNG = { maxYoungGenerationSizeMb: 96 };

export type SwarmOptions = {
  readonly first: number;
  readonly count: number;
  readonly workers: number;
  readonly scenario: string | undefined;
  readonly keepGoing: boolean;
  readonly traceShown: number;
  /** What each thread runs: a module that calls `serveSeeds`. */
  readonly program: URL;
  /** Hears of every seed as it ends, in any order. */
  readonly ended: (result: SeedResult) => void;
};

export type SwarmTotals = {
  readonly seeds: number;
  readonly events: number;
  readonly simulatedHours: number;
  readonly faults: Record<string, number>;
  readonly violations: number;
  readonly coverage: Record<string, number>;
};

export const runSwarm = async (options: SwarmOptions): Promise<SwarmTotals> => {
  const { first, count, workers, scenario, keepGoing, ended } = options;
  const results = new Map<number, SeedResult>();
  const traceShown = keepGoing ? 0 : options.traceShown;
  let next = first;
  let last = first + count - 1;
  const take = (): SeedTask | undefined =>
    next > last ? undefined : { seed: next++, scenario, traceShown };
  const took = (result: SeedResult): void => {
    results.set(result.seed, result);
    ended(result);
    if (result.violations.length > 0 && !keepGoing) last = Math.min(last, result.seed);
  };
  if (workers === 1) {
    for (let task = take(); task !== undefined; task = take()) took(await runSeed(task));
  } else {
    const threads = Array.from({ length: Math.min(workers, count) }, () =>
      employ(options.program, take, took),
    );
    await Promise.all(threads);
  }
  const counted = [...results.values()].filter(({ seed }) => seed <= last);
  return totalsOf(counted.sort((a, b) => a.seed - b.seed));
};

/** One thread, until there is nothing left to take. Rejects when it dies. */
const employ = (
  program: URL,
  take: () => SeedTask | undefined,
  took: (result: SeedResult) => void,
): Promise<void> =>
  new Promise((resolve, reject) => {
    const thread = new Worker(program, { resourceLimits: YOUNG });
    const feed = (): void => {
      const task = take();
      if (task === undefined) void thread.terminate().then(() => resolve());
      else thread.postMessage(task);
    };
    thread.on("message", (result: SeedResult) => {
      took(result);
      feed();
    });
    thread.on("error", reject);
    feed();
  });

const totalsOf = (results: readonly SeedResult[]): SwarmTotals => {
  const faults = new Map<string, number>();
  const coverage = new Map<string, number>();
  let events = 0;
  let simulatedMs = 0;
  let violations = 0;
  for (const result of results) {
    events += result.events;
    simulatedMs += result.simulatedMs;
    violations += result.violations.length;
    add(faults, result.faults);
    add(coverage, result.coverage);
  }
  return {
    seeds: results.length,
    events,
    simulatedHours: Number((simulatedMs / 3_600_000).toFixed(3)),
    faults: sorted(faults),
    violations,
    coverage: sorted(coverage),
  };
};

const add = (into: Map<string, number>, from: ReadonlyMap<string, number>): void => {
  for (const [name, count] of from) into.set(name, (into.get(name) ?? 0) + count);
};

const sorted = (counts: ReadonlyMap<string, number>): Record<string, number> =>
  Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));
