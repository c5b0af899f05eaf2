/**
 * `npm run bench`: meshbus beside raw sockets, brokers and other peers on loopback, everything in one run.
 *
 * Only ratios inside one run mean something; absolute figures move with the machine. Progress goes to
 * stderr. docs/benchmarks.md says what each scenario measures.
 */
import { readdirSync } from "node:fs";
import { Bench } from "./bench.ts";
import { type BenchFlags, readFlags, type ScenarioName, USAGE } from "./bench-flags.ts";
import { PAYLOAD_BYTES } from "./children/payload.ts";
import { judged } from "./goals.ts";
import { machineNow } from "./machine.ts";
import { storedRatios, verdictsOf } from "./regression.ts";
import { writeReport } from "./report.ts";
import type { Row } from "./row.ts";
import { backlog } from "./scenarios/backlog.ts";
import { failOver } from "./scenarios/fail-over.ts";
import { fanOut } from "./scenarios/fan-out.ts";
import { firstReply } from "./scenarios/first-reply.ts";
import { idle } from "./scenarios/idle.ts";
import { plannedLeave } from "./scenarios/planned-leave.ts";
import { rtt, rttLoad } from "./scenarios/rtt.ts";
import { serverFailOver } from "./scenarios/server-fail-over.ts";
import { sharded } from "./scenarios/sharded.ts";
import { throughputDurable, throughputEmit } from "./scenarios/throughput.ts";
import { workQueue } from "./scenarios/work-queue.ts";
import { upstreamVersion } from "./servers/server-kinds.ts";
import { aboutSystem, SYSTEM_NAMES } from "./systems.ts";
import { textOf } from "./table.ts";

const RUN: Readonly<Record<ScenarioName, (bench: Bench) => Promise<Row[]>>> = {
  rtt,
  "rtt-load": rttLoad,
  "throughput-emit": throughputEmit,
  "throughput-durable": throughputDurable,
  "fan-out": fanOut,
  "work-queue": workQueue,
  sharded,
  "first-reply": firstReply,
  backlog,
  idle,
  "fail-over": failOver,
  "server-fail-over": serverFailOver,
  "planned-leave": plannedLeave,
};

const measured = async (bench: Bench, flags: BenchFlags): Promise<Row[]> => {
  const { check, only } = flags;
  const measure = async (): Promise<Row[]> => {
    const rows: Row[] = [];
    for (const name of only) {
      if (bench.minutes() < flags.minutesMax) rows.push(...(await RUN[name](bench)));
      else rows.push(leftOut(name, flags.minutesMax));
    }
    return judged(rows);
  };
  const servers = flags.systems.flatMap((name) => aboutSystem(name).server ?? []);
  try {
    await bench.servers.start(new Set(servers));
    let results = await measure();
    if (check && verdictsOf(results, storedRatios()).some(({ found }) => found !== "holds")) {
      bench.progress("a ratio is beyond its tolerance: measuring again");
      results = await measure();
    }
    await bench.close();
    return results;
  } finally {
    bench.end();
  }
};

const run = async (flags: BenchFlags): Promise<boolean> => {
  const bench = new Bench(flags);
  const interrupted = (): void => {
    bench.end();
    process.exit(130);
  };
  process.once("SIGINT", interrupted);
  process.once("SIGTERM", interrupted);
  const machine = machineNow();
  const results = withVersions(await measured(bench, flags));
  const result = { results, missing: missingOf(results), quick: flags.quick, machine };
  const table = textOf(results);
  if (flags.json) process.stderr.write(table);
  else process.stdout.write(table);
  if (flags.report) writeReport(result);
  if (flags.json) console.log(JSON.stringify(result));
  if (!flags.check) return results.every(({ failed }) => failed === undefined);
  const verdicts = verdictsOf(results, storedRatios());
  for (const { text, found } of verdicts) console.error(`${found.padEnd(10)}  ${text}`);
  return verdicts.every(({ found }) => found !== "regressed");
};

const leftOut = (scenario: ScenarioName, minutes: number): Row => ({
  scenario,
  system: "all",
  payloadBytes: PAYLOAD_BYTES,
  missing: `${minutes} minutes were over`,
});

const withVersions = (rows: readonly Row[]): readonly Row[] => {
  const versions = new Map(
    SYSTEM_NAMES.map((name) => {
      const { server } = aboutSystem(name);
      return [name as string, server === undefined ? undefined : upstreamVersion(server)];
    }),
  );
  return rows.map((row) => {
    const version = versions.get(row.system);
    return version === undefined ? row : { ...row, version };
  });
};

/** What was not measured, and why: "scenario: system: reason". */
const missingOf = (rows: readonly Row[]): readonly string[] =>
  rows.flatMap(({ scenario, system, missing }) =>
    missing === undefined ? [] : [`${scenario}: ${system}: ${missing}`],
  );

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
