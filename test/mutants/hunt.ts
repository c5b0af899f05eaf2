/** Looks for one mutant where it says that it is seen, until it is caught or a bound is reached. */
import type { Baseline } from "./baseline.ts";
import type { Mutant } from "./mutant.ts";
import { plantTree } from "./mutant-tree.ts";
import { runSeeds, type SeedsEnd } from "./run-seeds.ts";
import { runTest } from "./run-test.ts";

export type Catch = {
  readonly name: string;
  readonly killed: boolean;
  /** The check, or the test, that saw it. */
  readonly by: string;
  readonly ground?: string;
  readonly seed?: number;
  /** Seeds tried. */
  readonly seeds?: number;
  /** What it did instead, for one that lives. */
  readonly note: string;
};

/** Seeds of its ground, before those of any kind. */
const GROUND_SEEDS_MAX = 60;

/** Broken code that throws has done nothing wrong unseen. */
const THROWN: ReadonlySet<string> = new Set(["threw", "unhandledRejection"]);

export const hunt = (
  root: string,
  mutant: Mutant,
  baseline: Baseline,
  seedsMax: number,
): Promise<Catch> =>
  mutant.caughtBy.by === "test"
    ? huntInTest(root, mutant, mutant.caughtBy, baseline)
    : huntInSimulation(root, mutant, mutant.caughtBy, { baseline, seedsMax });

const huntInSimulation = async (
  root: string,
  mutant: Mutant,
  caughtBy: Extract<Mutant["caughtBy"], { by: "simulation" }>,
  how: { readonly baseline: Baseline; readonly seedsMax: number },
): Promise<Catch> => {
  const { name } = mutant;
  const tree = await plantTree(root, "compiled", mutant);
  const wanted = new Set(caughtBy.checks);
  const others = new Set<string>();
  let seeds = 0;
  let found: { readonly check: string; readonly ground: string; readonly seed: number } | undefined;
  let end: SeedsEnd;
  try {
    const { ground = "any" } = caughtBy;
    const ranges = ground === "any" ? [] : [`${ground}:1-${GROUND_SEEDS_MAX}`];
    ranges.push(`any:1-${how.seedsMax}`);
    end = await runSeeds(tree.path, ranges, async ({ ground, seed, violations }) => {
      seeds++;
      for (const { check } of violations) if (!wanted.has(check)) others.add(check);
      if (violations.some(({ check }) => THROWN.has(check))) return false;
      const seen = violations.find(({ check }) => wanted.has(check));
      if (seen === undefined || !(await how.baseline.isClean(ground, seed))) return false;
      found = { check: seen.check, ground, seed };
      return true;
    });
  } finally {
    await tree.remove();
  }
  if (found !== undefined) {
    const { check: by, ground, seed } = found;
    return { name, killed: true, by, ground, seed, seeds, note: "" };
  }
  const why = end.type === "died" ? `its process died: ${end.stderr}` : end.type;
  return { name, killed: false, by: "", seeds, note: `${why}; saw ${[...others].join(", ")}` };
};

const huntInTest = async (
  root: string,
  mutant: Mutant,
  { file, test }: Extract<Mutant["caughtBy"], { by: "test" }>,
  baseline: Baseline,
): Promise<Catch> => {
  const { name } = mutant;
  if (!(await baseline.passes(file, test))) {
    return { name, killed: false, by: "", note: `"${test}" does not pass without the fault` };
  }
  const tree = await plantTree(root, "sources", mutant);
  try {
    const { passed, failed } = await runTest(tree.path, file, test);
    const note = `${passed} passed, ${failed} failed`;
    return { name, killed: failed === 1, by: failed === 1 ? file : "", note };
  } finally {
    await tree.remove();
  }
};
