/**
 * What earlier runs measured stands until its scenario is measured again: ratios are those of one scenario in one run, so
 * that scenarios of several runs may share a page, each with its own time, machine and load.
 */
import { existsSync, readFileSync } from "node:fs";
import { SCENARIOS } from "./bench-flags.ts";
import type { Machine } from "./machine.ts";
import type { Row } from "./row.ts";

export type Result = {
  readonly results: readonly Row[];
  readonly missing: readonly string[];
  readonly quick: boolean;
  readonly machine: Machine;
};

export type Run = { readonly quick: boolean; readonly machine: Machine };

/** What the report is written from. */
export type Kept = {
  readonly results: readonly Row[];
  /** By scenario. */
  readonly runs: Readonly<Record<string, Run>>;
};

/** The rows of this run, and those of `file` for scenarios that it did not measure, in the bench's order. */
export const mergedWith = (file: string, { results, quick, machine }: Result): Kept => {
  const earlier = existsSync(file)
    ? (JSON.parse(readFileSync(file, "utf8")) as Kept)
    : { results: [], runs: {} };
  const measured = new Set(
    results.filter(({ system }) => system !== "all").map(({ scenario }) => scenario),
  );
  const rows: Row[] = [];
  const runs: Record<string, Run> = {};
  for (const scenario of SCENARIOS) {
    const isNew = measured.has(scenario);
    const run = isNew ? { quick, machine } : earlier.runs[scenario];
    if (run === undefined) continue;
    runs[scenario] = run;
    const from = isNew ? results : earlier.results;
    rows.push(...from.filter((row) => row.scenario === scenario));
  }
  return { results: rows, runs };
};
