/** Runs the benchmarks that the module registered with mitata: a table, or JSON with --json. */
import { run } from "mitata";

type Stats = { readonly avg: number; readonly p50: number; readonly p99: number };
type Trial = { readonly alias: string; readonly runs: readonly { readonly stats?: Stats }[] };

export const runMicro = async (): Promise<void> => {
  if (!process.argv.includes("--json")) {
    await run();
    return;
  }
  const { benchmarks } = (await run({ format: "quiet" })) as { benchmarks: readonly Trial[] };
  const results = benchmarks.flatMap(({ alias, runs }) =>
    runs.flatMap(({ stats }) =>
      stats === undefined
        ? []
        : [{ name: alias, avgNs: stats.avg, p50Ns: stats.p50, p99Ns: stats.p99 }],
    ),
  );
  console.log(JSON.stringify({ node: process.version, results }));
};
