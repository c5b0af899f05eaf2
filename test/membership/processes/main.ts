/**
 * npm run chaos:members -- [--nodes 50] [--seconds 600] [--block 800] [--json]
 *
 * Real members, one of them blocked for 80 % of the time, `--block` milliseconds at a time; then one is killed and one
 * is stopped. The last line is the report as JSON. Exit code 1 after a false death.
 */
import { flagsOrUsage } from "../../chaos/number-flags.ts";
import { runMembers } from "./run-members.ts";

const USAGE = "npm run chaos:members -- [--nodes 50] [--seconds 600] [--block 800] [--json]";

const { numbers, switches } = flagsOrUsage(
  USAGE,
  {
    nodes: { min: 4, max: 150, default: 50 },
    seconds: { min: 1, max: 86_400, default: 600 },
    block: { min: 0, max: 60_000, default: 800 },
  },
  ["json"] as const,
);

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => interrupt.abort());

const report = await runMembers({
  nodes: numbers.nodes,
  seconds: numbers.seconds,
  blockMs: numbers.block,
  say: switches.json ? () => {} : (line) => void process.stderr.write(`${line}\n`),
  signal: interrupt.signal,
});
process.stdout.write(`${JSON.stringify(report)}\n`);
process.exitCode = report.falseDeaths === 0 ? 0 : 1;
