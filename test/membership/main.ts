/**
 * npm run sim:members -- [--nodes N] [--seconds S] [--seed K] [--preset lan|default|wan] [--loss P] [--delay MS]
 *   [--kills N] [--links-break] [--blocked N] [--block MS] [--no-heartbeats] [--partition FROM,TO,SHARE] [--sweep]
 *   [--json]
 *
 * Simulates a mesh of members. The last line is the report as JSON, or with --sweep a list of them, one a loss of
 * 1, 5, 10, 20 and 30 %.
 */
import { parseArgs } from "node:util";
import { SWIM_TIMES, type SwimPreset } from "../../src/core/swim/swim-times.ts";
import { SimMesh } from "./sim-mesh.ts";
import { type Partition, SIM_DEFAULTS, type SimOptions } from "./sim-options.ts";
import type { SimReport } from "./sim-tally.ts";

const SWEPT = [0.01, 0.05, 0.1, 0.2, 0.3];
const KILLED_SHARE = 0.02;

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: String(SIM_DEFAULTS.nodes) },
    seconds: { type: "string", default: String(SIM_DEFAULTS.seconds) },
    seed: { type: "string", default: String(SIM_DEFAULTS.seed) },
    preset: { type: "string", default: SIM_DEFAULTS.preset },
    loss: { type: "string", default: String(SIM_DEFAULTS.loss) },
    delay: { type: "string", default: String(SIM_DEFAULTS.delayMs) },
    kills: { type: "string" },
    "links-break": { type: "boolean", default: SIM_DEFAULTS.linksBreak },
    blocked: { type: "string", default: String(SIM_DEFAULTS.blocked) },
    block: { type: "string", default: String(SIM_DEFAULTS.blockMs) },
    "no-heartbeats": { type: "boolean", default: !SIM_DEFAULTS.heartbeats },
    partition: { type: "string" },
    sweep: { type: "boolean", default: false },
    // The last line is always JSON; the word is for those who expect to say it.
    json: { type: "boolean", default: false },
  },
});

const numberOf = (name: string, text: string, min: number, max: number): number => {
  const value = Number(text);
  if (value >= min && value <= max) return value;
  throw new Error(`--${name} ${text} is not a number from ${min} to ${max}`);
};

const presetOf = (text: string): SwimPreset => {
  if (text in SWIM_TIMES) return text as SwimPreset;
  throw new Error(`no preset "${text}": there are ${Object.keys(SWIM_TIMES).join(", ")}`);
};

const partitionOf = (text: string | undefined): Partition | undefined => {
  if (text === undefined) return undefined;
  const [fromS = 0, toS = 0, share = 0.5] = text.split(",").map(Number);
  return { fromS, toS, share };
};

const nodes = numberOf("nodes", values.nodes, 2, 16_384);
const options: SimOptions = {
  nodes,
  seconds: numberOf("seconds", values.seconds, 1, 86_400),
  seed: numberOf("seed", values.seed, 0, 2 ** 32 - 1),
  preset: presetOf(values.preset),
  loss: numberOf("loss", values.loss, 0, 0.99),
  delayMs: numberOf("delay", values.delay, 1, 10_000),
  kills: numberOf("kills", values.kills ?? String(Math.ceil(nodes * KILLED_SHARE)), 0, nodes - 1),
  linksBreak: values["links-break"],
  blocked: numberOf("blocked", values.blocked, 0, nodes),
  blockMs: numberOf("block", values.block, 1, 600_000),
  heartbeats: !values["no-heartbeats"],
  partition: partitionOf(values.partition),
};

const simulate = (of: SimOptions): SimReport => {
  const startMs = performance.now();
  const report = new SimMesh(of).run();
  const tookS = ((performance.now() - startMs) / 1_000).toFixed(1);
  process.stderr.write(`${of.nodes} nodes, loss ${of.loss}: ${of.seconds} s in ${tookS} s\n`);
  return report;
};

const result = values.sweep
  ? SWEPT.map((loss) => simulate({ ...options, loss }))
  : simulate(options);
process.stdout.write(`${JSON.stringify(result)}\n`);
