/**
 * npm run chaos:net -- [--only NAME] [--seconds 60] [--seed N] [--rate 240] [--rounds 5] [--no-floors] [--json]
 *
 * Real processes on hosts that are network namespaces, and a network that fails them. Exit code 1 when a promise
 * was broken, or a floor; skipped with exit code 0 where it cannot run.
 */
import { randomInt } from "node:crypto";
import { readFlags } from "../chaos/number-flags.ts";
import { missingForNetworks } from "./network-needs.ts";
import { runScenario, type ScenarioOutcome } from "./run-scenario.ts";
import { SCENARIOS, type Scenario } from "./scenarios.ts";

const SHOWN_MAX = 10;
const USAGE =
  "npm run chaos:net -- [--only NAME] [--seconds 60] [--seed N] [--rate 240] [--rounds 5]" +
  " [--no-floors] [--json]\n" +
  `names: ${SCENARIOS.map(({ name }) => name).join(", ")}`;

const say = (line: string): void => void process.stderr.write(`${line}\n`);

const settingsOf = (args: readonly string[]) => {
  const at = args.indexOf("--only");
  const only = at < 0 ? undefined : args[at + 1];
  const scenarios = SCENARIOS.filter(({ name }) => at < 0 || name === only);
  if (scenarios.length === 0) throw new Error(`--only ${only} names no scenario`);
  const { numbers, switches } = readFlags(
    at < 0 ? args : args.toSpliced(at, 2),
    {
      seconds: { min: 1, max: 86_400, default: 60 },
      seed: { min: 0, max: 2 ** 32 - 1, default: randomInt(1_000_000) },
      rate: { min: 1, max: 10_000, default: 240 },
      rounds: { min: 1, max: 1_000, default: 5 },
    },
    ["no-floors", "json"] as const,
  );
  return { ...numbers, json: switches.json, floors: !switches["no-floors"], scenarios };
};

const read = (): ReturnType<typeof settingsOf> => {
  try {
    return settingsOf(process.argv.slice(2));
  } catch (error) {
    say(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    process.exit(2);
  }
};

const settings = read();
const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => interrupt.abort());

/** What a scenario came to, as it is printed. */
const shown = ({ name }: Scenario, outcome: ScenarioOutcome): Record<string, unknown> => {
  const { violations, failures, historyPath, meetMs, healMs, ...figures } = outcome;
  for (const { check, message } of violations.slice(0, SHOWN_MAX)) {
    say(`${name}: ${check}: ${message}`);
  }
  for (const failure of failures) say(`${name}: ${failure}`);
  if (historyPath !== undefined) say(`${name}: history: ${historyPath}`);
  return {
    name,
    ...figures,
    ...(meetMs.length > 0 && { meetMs }),
    ...(healMs !== undefined && { healMs }),
    violations: violations.length,
    ...(failures.length > 0 && { failures }),
  };
};

const run = async (): Promise<void> => {
  const { seconds, seed, rate: perSecond, rounds, floors, json, scenarios } = settings;
  const { signal } = interrupt;
  const results: Record<string, unknown>[] = [];
  let isClean = true;
  for (const scenario of scenarios) {
    if (signal.aborted) break;
    const { name, what } = scenario;
    const tell = json ? () => {} : (line: string) => say(`${name}: ${line}`);
    tell(what);
    const how = { seconds, seed, perSecond, rounds, floors, signal, say: tell };
    try {
      const outcome = await runScenario(scenario, how);
      if (outcome.violations.length > 0 || outcome.failures.length > 0) isClean = false;
      results.push(shown(scenario, outcome));
    } catch (error) {
      const failure = error instanceof Error ? error.message : String(error);
      isClean = false;
      say(`${name}: ${failure}`);
      results.push({ name, failures: [failure] });
    }
  }
  if (signal.aborted) isClean = false;
  if (!isClean) say(`seed ${seed} is not clean`);
  process.stdout.write(`${JSON.stringify({ scenarios: results, seed, seconds })}\n`);
  process.exitCode = isClean ? 0 : 1;
};

const lacks = missingForNetworks();
if (lacks.length === 0) await run();
else {
  say(`skipped: this needs root and ip netns; missing: ${lacks.join(", ")}`);
  process.stdout.write(
    `${JSON.stringify({ scenarios: [], skipped: "needs root and ip netns" })}\n`,
  );
}
