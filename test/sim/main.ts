/**
 * npm run sim -- [--seeds N] [--seed-start K] [--workers N] [--scenario NAME] [--keep-going] [--json]
 *              | --seed N [--scenario NAME] [--trace] | --scenarios
 *
 * Runs simulated meshes, one a seed. Exit code 1 when a checker found a violation.
 */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { isMainThread, parentPort } from "node:worker_threads";
import type { Violation } from "../../src/testing/history.ts";
import { runSeed, type SeedTask } from "./run-seed.ts";
import { isScenario, NO_SCENARIO, SCENARIOS } from "./scenarios.ts";
import { simulate } from "./simulate.ts";
import { runSwarm } from "./swarm.ts";

const TRACE_SHOWN = 60;
const PROGRESS_EVERY = 25;

const command = (): Promise<boolean> => {
  const { values } = parseArgs({
    options: {
      seeds: { type: "string", default: "200" },
      "seed-start": { type: "string", default: "1" },
      seed: { type: "string" },
      workers: { type: "string", default: String(availableParallelism()) },
      scenario: { type: "string" },
      scenarios: { type: "boolean", default: false },
      trace: { type: "boolean", default: false },
      // The totals are always one line of JSON; the word is for those who expect to say it.
      json: { type: "boolean", default: false },
      "keep-going": { type: "boolean", default: false },
    },
  });
  const { scenario } = values;
  if (values.scenarios) return list();
  if (scenario !== undefined && scenario !== NO_SCENARIO && !isScenario(scenario)) {
    throw new Error(`no scenario "${scenario}": --scenarios lists them`);
  }
  if (values.seed !== undefined) return replay(numberOf(values.seed, 0), scenario, values.trace);
  return swarm({
    first: numberOf(values["seed-start"], 0),
    count: numberOf(values.seeds, 1),
    workers: numberOf(values.workers, 1),
    scenario,
    keepGoing: values["keep-going"],
  });
};

const numberOf = (text: string, min: number): number => {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new Error(`"${text}" is not a whole number of at least ${min}`);
};

const list = async (): Promise<boolean> => {
  for (const { name, about } of SCENARIOS) process.stdout.write(`${name.padEnd(20)} ${about}\n`);
  return true;
};

const show = (result: {
  readonly seed: number;
  readonly scenario: string;
  readonly violations: readonly Violation[];
  readonly diagnosis: string;
}): void => {
  for (const { check, message } of result.violations) {
    process.stderr.write(`seed ${result.seed} (${result.scenario}): ${check}: ${message}\n`);
  }
  if (result.diagnosis !== "") process.stderr.write(`${result.diagnosis}\n`);
};

const replay = async (
  seed: number,
  scenario: string | undefined,
  trace: boolean,
): Promise<boolean> => {
  const outcome = await simulate(seed, { keepTrace: true, scenario });
  if (trace) process.stdout.write(`${outcome.trace?.join("\n")}\n`);
  process.stdout.write(
    `trace hash ${outcome.hash}, ${outcome.events} events, scenario ${outcome.scenario}\n`,
  );
  show(outcome);
  return outcome.violations.length === 0;
};

const swarm = async (what: {
  first: number;
  count: number;
  workers: number;
  scenario: string | undefined;
  keepGoing: boolean;
}): Promise<boolean> => {
  const startMs = performance.now();
  let done = 0;
  let events = 0;
  const totals = await runSwarm({
    ...what,
    traceShown: TRACE_SHOWN,
    program: new URL(import.meta.url),
    ended: (result) => {
      events += result.events;
      show(result);
      if (result.traceEnd.length > 0) process.stderr.write(`${result.traceEnd.join("\n")}\n`);
      if (++done % PROGRESS_EVERY !== 0) return;
      const seconds = ((performance.now() - startMs) / 1_000).toFixed(1);
      process.stderr.write(`${done} seeds, ${events} events, ${seconds} s\n`);
    },
  });
  process.stdout.write(`${JSON.stringify(totals)}\n`);
  return totals.violations === 0;
};

if (isMainThread) {
  process.exitCode = (await command()) ? 0 : 1;
} else {
  parentPort?.on("message", (task: SeedTask) => {
    void runSeed(task).then((result) => parentPort?.postMessage(result));
  });
}
