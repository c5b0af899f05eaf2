/**
 * npm run chaos:power -- [--cuts 50] [--seed N] [--rate 600] [--keys 40] [--json]
 *
 * Needs Linux, root, loop devices and a few programs; without them it says what is missing and skips. Starts
 * itself again in a mount namespace of its own. Exit code 1 when a promise was broken, or when a control
 * shows that the method does not work here.
 */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { flagsOrUsage } from "./number-flags.ts";
import { IN_NAMESPACE, missingForPower, SEARCH_PATH } from "./power-needs.ts";
import { runPower } from "./run-power.ts";

const SHOWN_MAX = 10;

const USAGE = "npm run chaos:power -- [--cuts 50] [--seed N] [--rate 600] [--keys 40] [--json]";

const { numbers, switches } = flagsOrUsage(
  USAGE,
  {
    cuts: { min: 1, max: 10_000, default: 50 },
    seed: { min: 0, max: 2 ** 32 - 1, default: randomInt(1_000_000) },
    rate: { min: 1, max: 10_000, default: 600 },
    keys: { min: 1, max: 10_000, default: 40 },
  },
  ["json", "in-namespace"] as const,
);

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const startInNamespace = (): void => {
  const [command, ...args] = IN_NAMESPACE;
  const self = [process.execPath, fileURLToPath(import.meta.url), "--in-namespace"];
  const env = { ...process.env, PATH: SEARCH_PATH };
  const child = spawn(command, [...args, ...self, ...process.argv.slice(2)], {
    env,
    stdio: ["pipe", "inherit", "inherit"],
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
  child.on("error", (error) => say(error.message));
  child.on("close", (code) => {
    process.exitCode = code ?? 1;
  });
};

const run = async (): Promise<void> => {
  const interrupt = new AbortController();
  const stop = (): void => interrupt.abort();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, stop);
  process.stdin.on("close", stop).resume(); // the process that started this one has ended
  const { seed } = numbers;
  const outcome = await runPower({
    cuts: numbers.cuts,
    seed,
    perSecond: numbers.rate,
    keys: numbers.keys,
    signal: interrupt.signal,
    say: switches.json ? () => {} : say,
  });
  const { figures, violations, controls, cuts, failure, historyPath } = outcome;
  const { accepted, handled, lost, duplicateEffects, outOfOrder, handlerRepeats } = figures;
  for (const { check, message } of violations.slice(0, SHOWN_MAX)) say(`${check}: ${message}`);
  if (failure !== undefined) say(failure);
  const works =
    controls.syncedLost === 0 && controls.unsyncedLost > 0 && controls.unsyncedLmdbLost > 0;
  if (!works) say(`the controls show that cuts do not work here: ${JSON.stringify(controls)}`);
  const isClean = works && failure === undefined && violations.length === 0;
  if (!isClean) say(`seed ${seed} is not clean`);
  if (historyPath !== undefined) say(`history: ${historyPath}`);
  const shown = { cuts, accepted, handled, lost, duplicateEffects, outOfOrder, handlerRepeats };
  const more = { deadLetters: figures.deadLetters, violations: violations.length, controls, seed };
  process.stdout.write(`${JSON.stringify({ ...shown, ...more })}\n`);
  process.exit(isClean ? 0 : 1);
};

if (switches["in-namespace"]) {
  await run();
} else {
  const lacks = missingForPower();
  if (lacks.length === 0) startInNamespace();
  else {
    say(`skipped: this needs ${lacks.join(", ")}`);
    process.stdout.write(`${JSON.stringify({ cuts: 0, skipped: `needs ${lacks.join(", ")}` })}\n`);
  }
}
