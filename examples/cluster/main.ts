/** `npm start`: an order business in eight processes, one of which is killed, and the proof. */
import { randomInt } from "node:crypto";
import { parseRunOptions, type RunOptions, USAGE } from "./arguments.ts";
import { plainShow } from "./plain-show.ts";
import type { Show } from "./progress.ts";
import { type Outcome, runCluster } from "./run-cluster.ts";
import { summaryOf } from "./summary.ts";
import { terminalShow } from "./terminal-show.ts";

const DEADLINE_MS = 120_000;
/** With a show, orders come slowly enough to watch: all within so long, and not slower than this. */
const SHOW_SECONDS = 8;
const SHOWN_PER_SECOND_MIN = 20;

const showFor = ({ json }: RunOptions): Show => {
  if (json) return plainShow((line) => process.stderr.write(`${line}\n`));
  if (process.stdout.isTTY) return terminalShow(process.stdout);
  return plainShow((line) => process.stdout.write(`${line}\n`));
};

const isProven = ({ orders }: RunOptions, outcome: Outcome): boolean => {
  const { lost, duplicateEffects, outOfOrder, completed, compensated, diagnosis } = outcome;
  const isClean = lost === 0 && duplicateEffects === 0 && outOfOrder === 0;
  return isClean && completed + compensated === orders && diagnosis.length === 0;
};

const run = async (options: RunOptions): Promise<boolean> => {
  const { orders, seed, json } = options;
  const interrupt = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => interrupt.abort());
  }
  const show = showFor(options);
  const ordersPerSecond = json ? 0 : Math.max(SHOWN_PER_SECOND_MIN, orders / SHOW_SECONDS);
  const { signal } = interrupt;
  const settings = { ...options, ordersPerSecond, deadlineMs: DEADLINE_MS, signal };
  let outcome: Outcome;
  try {
    outcome = await runCluster(settings, show);
  } finally {
    show.end();
  }
  const proven = isProven(options, outcome);
  const summary = summaryOf(options, outcome, proven);
  for (const line of summary) (json ? process.stderr : process.stdout).write(`${line}\n`);
  if (json) {
    const { completed, compensated, lost, duplicateEffects, outOfOrder, kills, seconds } = outcome;
    const { killed, handlings, handlerRepeats, effects, ledger } = outcome;
    const first = { orders, completed, compensated, lost, duplicateEffects, outOfOrder, kills };
    const more = { seconds, seed, killed, effects, handlings, handlerRepeats, ledger };
    process.stdout.write(`${JSON.stringify({ ...first, ...more })}\n`);
  }
  return proven;
};

let options: RunOptions | undefined;
try {
  options = parseRunOptions(process.argv.slice(2), randomInt(1_000_000));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${USAGE}\n`);
  process.exitCode = 2;
}
if (options !== undefined) process.exitCode = (await run(options)) ? 0 : 1;
