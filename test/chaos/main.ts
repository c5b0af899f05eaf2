/**
 * npm run chaos -- [--seconds 60] [--seed N] [--rate 600] [--keys 40] [--keep] [--json]
 *
 * A real mesh under faults drawn from the seed. Exit code 1 when a promise was broken, or the run could not
 * be judged.
 */
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { runChaos } from "./run-chaos.ts";

const SHOWN_MAX = 10;

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: String(randomInt(1_000_000)) },
    rate: { type: "string", default: "600" },
    keys: { type: "string", default: "40" },
    keep: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
  },
});

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupt.abort());

const seed = Number(values.seed);
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const outcome = await runChaos({
  seconds: Number(values.seconds),
  seed,
  perSecond: Number(values.rate),
  keys: Number(values.keys),
  keep: values.keep,
  signal: interrupt.signal,
  say: values.json ? () => {} : say,
});

const { figures, violations, failure, historyPath, seconds } = outcome;
for (const { check, message } of violations.slice(0, SHOWN_MAX)) say(`${check}: ${message}`);
if (failure !== undefined) say(failure);
const isClean = failure === undefined && violations.length === 0;
if (!isClean) say(`seed ${seed} is not clean`);
if (historyPath !== undefined) say(`history: ${historyPath}`);
process.stdout.write(
  `${JSON.stringify({ ...figures, violations: violations.length, seconds, seed })}\n`,
);
process.exitCode = isClean ? 0 : 1;
