/**
 * `npm run bench`: meshbus beside raw sockets, two processes on loopback, everything in one run.
 *
 * Only ratios inside one run mean something; absolute figures move with the machine. Progress goes to
 * stderr. docs/benchmarks.md says what each scenario measures.
 */
import { readdirSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { Bench } from "./bench.ts";
import { type BenchFlags, readFlags, type ScenarioName, USAGE } from "./bench-flags.ts";
import type { Row } from "./row.ts";
import { backlog } from "./scenarios/backlog.ts";
import { failOver } from "./scenarios/fail-over.ts";
import { firstReply } from "./scenarios/first-reply.ts";
import { idle } from "./scenarios/idle.ts";
import { plannedLeave } from "./scenarios/planned-leave.ts";
import { rtt } from "./scenarios/rtt.ts";
import { sharded } from "./scenarios/sharded.ts";
import { throughputDurable, throughputEmit } from "./scenarios/throughput.ts";
import { tableOf } from "./table.ts";

const RUN: Readonly<Record<ScenarioName, (bench: Bench) => Promise<Row[]>>> = {
  rtt,
  "throughput-emit": throughputEmit,
  "throughput-durable": throughputDurable,
  "first-reply": firstReply,
  backlog,
  idle,
  "fail-over": failOver,
  "planned-leave": plannedLeave,
  sharded,
};

const run = async (flags: BenchFlags): Promise<boolean> => {
  const bench = new Bench(flags);
  const interrupted = (): void => {
    bench.end();
    process.exit(130);
  };
  process.once("SIGINT", interrupted);
  process.once("SIGTERM", interrupted);
  const results: Row[] = [];
  const load = loadavg().map((value) => Number(value.toFixed(2)));
  try {
    for (const name of flags.only) results.push(...(await RUN[name](bench)));
  } finally {
    bench.end();
  }
  const table = tableOf(results);
  if (flags.json) process.stderr.write(table);
  else process.stdout.write(table);
  const cpu = cpus()[0]?.model ?? "unknown";
  const machine = { node: process.version, cpu, cores: availableParallelism(), load };
  if (flags.json) console.log(JSON.stringify({ results, quick: flags.quick, machine }));
  return results.every(({ failed }) => failed === undefined);
};

const listMicro = (): void => {
  const files = readdirSync(new URL("./micro/", import.meta.url));
  const names = files.filter((file) => file.endsWith(".js"));
  for (const name of names) console.log(`node .build/bench/micro/${name} [--quick] [--json]`);
};

const start = async (): Promise<void> => {
  let flags: BenchFlags;
  try {
    flags = readFlags(process.argv.slice(2));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  if (flags.micro) listMicro();
  else if (!(await run(flags))) process.exitCode = 1;
};

await start();
