/**
 * npm run chaos -- [--seconds 60] [--seed N] [--rate 600] [--keys 40] [--keep] [--json]
 *
 * A real mesh under faults drawn from the seed. Exit code 1 when a promise was broken, or the run could not
 * be judged.
 */
import { randomInt } from "node:crypto";
import { flagsOrUsage } from "./number-flags.ts";
import { runChaos } from "./run-chaos.ts";

const SHOWN_MAX = 10;

const USAGE =
  "npm run chaos -- [--seconds 60] [--seed N] [--rate 600] [--keys 40] [--keep] [--json]";

const { numbers, switches } = flagsOrUsage(
  USAGE,
  {
    seconds: { min: 1, max: 86_400, default: 60 },
    seed: { min: 0, max: 2 ** 32 - 1, default: randomInt(1_000_000) },
    rate: { min: 1, max: 10_000, default: 600 },
    keys: { min: 1, max: 10_000, default: 40 },
  },
  ["keep", "json"] as const,
);

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupt.abort());

const { seed } = numbers;
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const outcome = await runChaos({
  seconds: numbers.seconds,
  seed,
  perSecond: numbers.rate,
  keys: numbers.keys,
  keep: switches.keep,
  signal: interrupt.signal,
  say: switches.json ? () => {} : say,
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
