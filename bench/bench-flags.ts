/** The command line of the bench. */
import { CHECKED, CHECKED_SYSTEMS } from "./regression.ts";
import { SYSTEM_NAMES, type SystemName } from "./systems.ts";

export const SCENARIOS = [
  "rtt",
  "rtt-load",
  "throughput-emit",
  "throughput-durable",
  "fan-out",
  "work-queue",
  "sharded",
  "backlog",
  "fail-over",
  "server-fail-over",
  "planned-leave",
  "first-reply",
  "idle",
] as const;

export type ScenarioName = (typeof SCENARIOS)[number];

export type BenchFlags = {
  /** Fewer and shorter rounds, one payload: under three minutes in all. */
  readonly quick: boolean;
  /** The last line of stdout is one JSON object, and the table goes to stderr. */
  readonly json: boolean;
  readonly only: readonly ScenarioName[];
  /** Others are left out, and named. */
  readonly systems: readonly SystemName[];
  /** False: systems that need a broker are named as missing. */
  readonly brokers: boolean;
  /** Writes bench/results and docs/benchmark-results.md. */
  readonly report: boolean;
  /** Compares with the stored ratios, of which it measures no more than it needs; a regression fails the run. */
  readonly check: boolean;
  /** After so many no further scenario begins; those left out are named. */
  readonly minutesMax: number;
  /** Where each child writes its CPU profile; undefined: nowhere. */
  readonly profileDir: string | undefined;
  /** Lists the micro benchmarks and ends. */
  readonly micro: boolean;
};

export const USAGE = `npm run bench -- [--quick] [--json] [--report] [--check] [--no-brokers] [--minutes <at most>]
                 [--only ${SCENARIOS.join(",")}]
                 [--systems ${SYSTEM_NAMES.join(",")}]
                 [--profile <folder for .cpuprofile files>] [--micro]`;

const SWITCHES = {
  "--quick": "quick",
  "--json": "json",
  "--report": "report",
  "--check": "check",
  "--micro": "micro",
} as const;

const isSwitch = (flag: string): flag is keyof typeof SWITCHES => Object.hasOwn(SWITCHES, flag);

/** @throws Error naming what is wrong */
export const readFlags = (given: readonly string[]): BenchFlags => {
  const on = { quick: false, json: false, report: false, check: false, micro: false };
  let brokers = true;
  let only: readonly ScenarioName[] | undefined;
  let systems: readonly SystemName[] | undefined;
  let minutesMax = Number.POSITIVE_INFINITY;
  let profileDir: string | undefined;
  const rest = [...given];
  const valueAfter = (flag: string): string => {
    const value = rest.shift();
    if (value === undefined) throw new Error(`${flag} needs a value`);
    return value;
  };
  for (let flag = rest.shift(); flag !== undefined; flag = rest.shift()) {
    if (isSwitch(flag)) on[SWITCHES[flag]] = true;
    else if (flag === "--no-brokers") brokers = false;
    else if (flag === "--only") only = valueAfter(flag).split(",").map(asScenario);
    else if (flag === "--systems") systems = valueAfter(flag).split(",").map(asSystem);
    else if (flag === "--minutes") minutesMax = asMinutes(valueAfter(flag));
    else if (flag === "--profile") profileDir = valueAfter(flag);
    else throw new Error(`unknown flag ${flag}`);
  }
  return {
    ...on,
    brokers,
    only: only ?? (on.check ? CHECKED : SCENARIOS),
    systems: systems ?? (on.check ? CHECKED_SYSTEMS : SYSTEM_NAMES),
    minutesMax,
    profileDir,
  };
};

const asMinutes = (text: string): number => {
  const minutes = Number(text);
  if (!(minutes > 0)) throw new Error(`--minutes: "${text}" is not a number above 0`);
  return minutes;
};

const asScenario = (name: string): ScenarioName => oneOf(SCENARIOS, name, "--only: no scenario");
const asSystem = (name: string): SystemName => oneOf(SYSTEM_NAMES, name, "--systems: no system");

const oneOf = <Name extends string>(
  names: readonly Name[],
  name: string,
  complaint: string,
): Name => {
  const found = names.find((known) => known === name);
  if (found === undefined) throw new Error(`${complaint} "${name}"`);
  return found;
};
