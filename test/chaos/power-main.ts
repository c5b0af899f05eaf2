/**
 * npm run chaos:power -- [--cuts 50] [--seed N] [--rate 600] [--keys 40] [--json]
 *
 * Needs Linux, root, loop devices and a few programs; without them it says what is missing and skips. Starts
 * itself again in a mount namespace of its own. Exit code 1 when a promise was broken, or when a control
 * shows that the method does not work here.
 */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { NEEDED } from "./loop-disk.ts";
import { runPower } from "./run-power.ts";

const SHOWN_MAX = 10;
/** Where Debian keeps programs for root, which a plain PATH may lack. */
const MORE_FOLDERS = ["/usr/sbin", "/sbin"];

const { values } = parseArgs({
  options: {
    cuts: { type: "string", default: "50" },
    seed: { type: "string", default: String(randomInt(1_000_000)) },
    rate: { type: "string", default: "600" },
    keys: { type: "string", default: "40" },
    json: { type: "boolean", default: false },
    "in-namespace": { type: "boolean", default: false },
  },
});

const say = (line: string): void => void process.stderr.write(`${line}\n`);
const folders = [...(process.env.PATH ?? "").split(delimiter), ...MORE_FOLDERS];

const isThere = (path: string, mode: number): boolean => {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
};

const missing = (): string[] => {
  if (process.platform !== "linux") return ["Linux"];
  const found: string[] = [];
  if (process.getuid?.() !== 0) found.push("root");
  if (!isThere("/dev/loop-control", constants.R_OK)) found.push("loop devices");
  for (const [program, debianPackage] of Object.entries(NEEDED)) {
    if (folders.some((folder) => isThere(join(folder, program), constants.X_OK))) continue;
    found.push(`${program} (Debian: ${debianPackage})`);
  }
  return found;
};

/** Mounts made in a namespace of their own go with the last process in it. */
const startInNamespace = (): void => {
  const self = fileURLToPath(import.meta.url);
  const args = ["--mount", "--propagation", "private", process.execPath, self, "--in-namespace"];
  const env = { ...process.env, PATH: folders.join(delimiter) };
  const stdio = ["pipe", "inherit", "inherit"] as const;
  const child = spawn("unshare", [...args, ...process.argv.slice(2)], { env, stdio: [...stdio] });
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
  const seed = Number(values.seed);
  const outcome = await runPower({
    cuts: Number(values.cuts),
    seed,
    perSecond: Number(values.rate),
    keys: Number(values.keys),
    signal: interrupt.signal,
    say: values.json ? () => {} : say,
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

if (values["in-namespace"]) {
  await run();
} else {
  const lacks = missing();
  if (lacks.length === 0) startInNamespace();
  else {
    say(`skipped: this needs ${lacks.join(", ")}`);
    process.stdout.write(`${JSON.stringify({ cuts: 0, skipped: `needs ${lacks.join(", ")}` })}\n`);
  }
}
