/** The command line of the bench. */
export const SCENARIOS = [
  "rtt",
  "throughput-emit",
  "throughput-durable",
  "first-reply",
  "backlog",
  "idle",
  "fail-over",
  "planned-leave",
  "sharded",
] as const;

export type ScenarioName = (typeof SCENARIOS)[number];

export type BenchFlags = {
  /** Fewer and shorter rounds: under three minutes in all. */
  readonly quick: boolean;
  /** The last line of stdout is one JSON object, and the table goes to stderr. */
  readonly json: boolean;
  readonly only: readonly ScenarioName[];
  /** Where each child writes its CPU profile; undefined: nowhere. */
  readonly profileDir: string | undefined;
  /** Lists the micro benchmarks and ends. */
  readonly micro: boolean;
};

export const USAGE = `npm run bench -- [--quick] [--json] [--only ${SCENARIOS.join(",")}]
                 [--profile <folder for .cpuprofile files>] [--micro]`;

/** @throws Error naming what is wrong */
export const readFlags = (given: readonly string[]): BenchFlags => {
  let quick = false;
  let json = false;
  let micro = false;
  let only: readonly ScenarioName[] = SCENARIOS;
  let profileDir: string | undefined;
  const rest = [...given];
  const valueAfter = (flag: string): string => {
    const value = rest.shift();
    if (value === undefined) throw new Error(`${flag} needs a value`);
    return value;
  };
  for (let flag = rest.shift(); flag !== undefined; flag = rest.shift()) {
    if (flag === "--quick") quick = true;
    else if (flag === "--json") json = true;
    else if (flag === "--micro") micro = true;
    else if (flag === "--only") only = valueAfter(flag).split(",").map(asScenario);
    else if (flag === "--profile") profileDir = valueAfter(flag);
    else throw new Error(`unknown flag ${flag}`);
  }
  return { quick, json, only, profileDir, micro };
};

const asScenario = (name: string): ScenarioName => {
  const found = SCENARIOS.find((scenario) => scenario === name);
  if (found === undefined) throw new Error(`--only: no scenario "${name}"`);
  return found;
};
