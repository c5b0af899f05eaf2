/**
 * npm run sim -- [--seeds N] [--seed-start K] [--json] | --seed N [--trace]
 *
 * Runs simulated meshes, one a seed. Exit code 1 when a checker found a violation.
 */
import { parseArgs } from "node:util";
import { type Outcome, simulate } from "./simulate.ts";

const RUN_TWICE_EVERY = 100;
const TRACE_SHOWN = 60;

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    "seed-start": { type: "string", default: "1" },
    seed: { type: "string" },
    trace: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    "keep-going": { type: "boolean", default: false },
  },
});

const add = (into: Map<string, number>, from: ReadonlyMap<string, number>): void => {
  for (const [name, count] of from) into.set(name, (into.get(name) ?? 0) + count);
};

const sorted = (counts: ReadonlyMap<string, number>): Record<string, number> =>
  Object.fromEntries([...counts].sort(([a], [b]) => (a < b ? -1 : 1)));

const show = (outcome: Outcome): void => {
  const { seed, violations, diagnosis } = outcome;
  for (const { check, message } of violations) {
    process.stderr.write(`seed ${seed}: ${check}: ${message}\n`);
  }
  if (diagnosis !== "") process.stderr.write(`${diagnosis}\n`);
};

const replay = async (seed: number): Promise<boolean> => {
  const outcome = await simulate(seed, { keepTrace: true });
  if (values.trace) process.stdout.write(`${outcome.trace?.join("\n")}\n`);
  process.stdout.write(`trace hash ${outcome.hash}, ${outcome.events} events\n`);
  show(outcome);
  return outcome.violations.length === 0;
};

const swarm = async (first: number, count: number): Promise<boolean> => {
  const faults = new Map<string, number>();
  const coverage = new Map<string, number>();
  let events = 0;
  let simulatedMs = 0;
  let violations = 0;
  let done = 0;
  const startMs = performance.now();
  for (let seed = first; seed < first + count; seed++) {
    const outcome = await simulate(seed);
    done++;
    events += outcome.events;
    simulatedMs += outcome.simulatedMs;
    add(faults, outcome.faults);
    add(coverage, outcome.coverage);
    if (outcome.violations.length > 0) {
      violations += outcome.violations.length;
      show(outcome);
      if (!values["keep-going"]) {
        const { trace = [] } = await simulate(seed, { keepTrace: true });
        process.stderr.write(`${trace.slice(-TRACE_SHOWN).join("\n")}\n`);
        break;
      }
    }
    if (seed % RUN_TWICE_EVERY === 0 && (await simulate(seed)).hash !== outcome.hash) {
      violations++;
      process.stderr.write(`seed ${seed}: two runs have different traces\n`);
      break;
    }
    if (done % 25 === 0) {
      const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
      process.stderr.write(`${done} seeds, ${events} events, ${seconds} s\n`);
    }
  }
  const simulatedHours = Number((simulatedMs / 3_600_000).toFixed(3));
  const totals = { seeds: done, events, simulatedHours, faults: sorted(faults), violations };
  process.stdout.write(`${JSON.stringify({ ...totals, coverage: sorted(coverage) })}\n`);
  return violations === 0;
};

const ok =
  values.seed === undefined
    ? await swarm(Number(values["seed-start"]), Number(values.seeds))
    : await replay(Number(values.seed));
process.exitCode = ok ? 0 : 1;
