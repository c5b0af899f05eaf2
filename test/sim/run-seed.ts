/** One seed of a swarm: its outcome, the end of its trace when it failed, and whether it repeats itself. */
import type { Violation } from "../../src/testing/history.ts";
import { type Outcome, simulate } from "./simulate.ts";

export type SeedTask = {
  readonly seed: number;
  /** Undefined: as the seed draws. */
  readonly scenario: string | undefined;
  /** Lines of the trace to give back when a checker finds something. */
  readonly traceShown: number;
};

export type SeedResult = Omit<Outcome, "trace"> & { readonly traceEnd: readonly string[] };

const RUN_TWICE_EVERY = 100;

export const runSeed = async ({ seed, scenario, traceShown }: SeedTask): Promise<SeedResult> => {
  const { trace: _, ...outcome } = await simulate(seed, { scenario });
  if (outcome.violations.length > 0 && traceShown > 0) {
    const { trace = [] } = await simulate(seed, { scenario, keepTrace: true });
    return { ...outcome, traceEnd: trace.slice(-traceShown) };
  }
  if (seed % RUN_TWICE_EVERY !== 0) return { ...outcome, traceEnd: [] };
  const again = await simulate(seed, { scenario });
  if (again.hash === outcome.hash) return { ...outcome, traceEnd: [] };
  const differs: Violation = { check: "repeat", message: "two runs have different traces" };
  return { ...outcome, violations: [...outcome.violations, differs], traceEnd: [] };
};
