/**
 * npm run sim:mutants -- [--json] [--only NAME]... [--seeds N] [--workers N] | --list
 *
 * Breaks the code in every named way, in copies, and shows each fault caught. The last line of stdout is
 * {"mutants":N,"killed":N}; exit code 1 unless all are killed.
 */
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { Baseline } from "./baseline.ts";
import { type Catch, hunt } from "./hunt.ts";
import { type Mutant, mutate } from "./mutant.ts";
import { MUTANTS } from "./mutant-list.ts";
import { mutantTable } from "./mutant-table.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    seeds: { type: "string", default: "400" },
    workers: { type: "string", default: `${Math.min(2, availableParallelism())}` },
    json: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});

const root = process.cwd();

/** Every anchor is where it says, also of mutants that are not hunted now. */
const checkAnchors = async (): Promise<void> => {
  for (const mutant of MUTANTS) mutate(await readFile(mutant.file, "utf8"), mutant);
};

const show = ({ name, killed, by, ground, seed, seeds, note }: Catch, ms: number): void => {
  const where = seed === undefined ? "" : ` at ${ground}:${seed}`;
  const tried = seeds === undefined ? "" : `, ${seeds} seeds`;
  const took = `${(ms / 1_000).toFixed(1)} s`;
  const text = killed ? `killed  ${name}: ${by}${where}` : `LIVES   ${name}: ${note}`;
  process.stderr.write(`${text} (${took}${tried})\n`);
};

const run = async (mutants: readonly Mutant[]): Promise<number> => {
  const baseline = new Baseline(root);
  const left = [...mutants];
  let killed = 0;
  const work = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      const startMs = performance.now();
      const caught = await hunt(root, mutant, baseline, Number(values.seeds));
      if (caught.killed) killed++;
      show(caught, performance.now() - startMs);
      if (values.json) process.stdout.write(`${JSON.stringify(caught)}\n`);
    }
  };
  try {
    await Promise.all(Array.from({ length: Number(values.workers) }, work));
  } finally {
    await baseline.remove();
  }
  return killed;
};

await checkAnchors();
if (values.list) {
  process.stdout.write(`${mutantTable(MUTANTS)}\n`);
} else {
  const { only } = values;
  const unknown = only.filter((name) => !MUTANTS.some((mutant) => mutant.name === name));
  if (unknown.length > 0) throw new Error(`there is no mutant ${unknown.join(", ")}; see --list`);
  const mutants = MUTANTS.filter(({ name }) => only.length === 0 || only.includes(name));
  const killed = await run(mutants);
  process.stdout.write(`${JSON.stringify({ mutants: mutants.length, killed })}\n`);
  if (killed < mutants.length) process.exitCode = 1;
}
