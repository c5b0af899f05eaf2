/** The report of a run: its rows as JSON, charts as SVG, and a page that shows both. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bar, chartOf } from "./chart.ts";
import { PAYLOAD_BYTES } from "./children/payload.ts";
import { type Kept, mergedWith, type Result, type Run } from "./kept-results.ts";
import type { Row } from "./row.ts";
import { isMeshbus } from "./systems.ts";
import { nameOf, plain, rate, type Table, tablesOf, us } from "./table.ts";

const RESULTS = "bench/results";
const PAGE = "docs/benchmark-results.md";

type Charted = {
  readonly figure: string;
  readonly title: string;
  readonly better: "higher" | "lower";
  readonly show: (value: number) => string;
  readonly level?: string;
};

const CHARTS: Readonly<Record<string, Charted>> = {
  rtt: {
    figure: "p50Us",
    title: "Round trip alone, p50",
    better: "lower",
    show: (v) => `${us(v)} us`,
  },
  "rtt-load": {
    figure: "p999Us",
    title: "Round trip under the same load, p99.9",
    better: "lower",
    show: (v) => `${us(v)} us`,
    level: "same rate",
  },
  "throughput-emit": perSecond("One to one, at most once", "messages"),
  "throughput-durable": perSecond("One to one, durable", "messages"),
  "fan-out": perSecond("Fan-out to eight", "deliveries"),
  "work-queue": perSecond("Work queue, four consumers, durable", "messages"),
  sharded: perSecond("Keys in order, three consumers, durable", "messages"),
  "first-reply": {
    figure: "ms",
    title: "From nothing to the first reply",
    better: "lower",
    show: (v) => `${plain(v)} ms`,
  },
  "fail-over": {
    figure: "p50Ms",
    title: "Fail-over of a killed consumer, p50",
    better: "lower",
    show: (v) => `${plain(v)} ms`,
  },
};

function perSecond(title: string, what: string): Charted {
  return {
    figure: "msgPerSec",
    title: `${title}: ${what} a second`,
    better: "higher",
    show: (value) => `${rate(value)}/s`,
  };
}

/** Below the working folder, which is that of the package. Scenarios that were not measured keep what is there. */
export const writeReport = (result: Result): void => {
  mkdirSync(RESULTS, { recursive: true });
  const file = join(RESULTS, "results.json");
  const kept = mergedWith(file, result);
  for (const name of readdirSync(RESULTS)) {
    if (name.endsWith(".svg")) rmSync(join(RESULTS, name));
  }
  writeFileSync(file, `${JSON.stringify(kept, undefined, 1)}\n`);
  const tables = tablesOf(kept.results);
  for (const { title } of tables) {
    const svg = svgOf(title, kept);
    if (svg !== undefined) writeFileSync(join(RESULTS, `${title}.svg`), svg);
  }
  const cpu = cpuChart(kept);
  if (cpu !== undefined) writeFileSync(join(RESULTS, "cpu.svg"), cpu);
  writeFileSync(PAGE, pageOf(kept, tables, cpu !== undefined));
};

const measured = ({ results }: Kept, scenario: string, level?: string): readonly Row[] =>
  results.filter(
    (row) =>
      row.scenario === scenario &&
      row.payloadBytes === PAYLOAD_BYTES &&
      row.missing === undefined &&
      row.failed === undefined &&
      row.noResult === undefined &&
      (level === undefined || row.level === level),
  );

const barsOf = (rows: readonly Row[], { figure, better, show }: Charted): readonly Bar[] => {
  const bars = rows.flatMap((row): Bar[] => {
    const value = row[figure];
    if (typeof value !== "number" || !Number.isFinite(value)) return [];
    const [min, max] = [row[`${figure}Min`], row[`${figure}Max`]];
    return [
      {
        label:
          row.ack === undefined || row.ack === "reply"
            ? nameOf(row)
            : `${nameOf(row)} (${row.ack})`,
        value,
        min: typeof min === "number" ? min : undefined,
        max: typeof max === "number" ? max : undefined,
        text: show(value),
        isOurs: isMeshbus(row.system),
      },
    ];
  });
  return bars.sort((a, b) => (better === "higher" ? b.value - a.value : a.value - b.value));
};

const svgOf = (scenario: string, kept: Kept): string | undefined => {
  const charted = CHARTS[scenario];
  if (charted === undefined) return undefined;
  const run = kept.runs[scenario];
  if (run === undefined) return undefined;
  const bars = barsOf(measured(kept, scenario, charted.level), charted);
  return bars.length < 2 ? undefined : chartOf(charted.title, noteOf(charted, run), bars);
};

const cpuChart = (kept: Kept): string | undefined => {
  const run = kept.runs["throughput-durable"];
  if (run === undefined) return undefined;
  const charted: Charted = {
    figure: "cpuSecPerMillion",
    title: "Processor time of a million durable messages, all processes",
    better: "lower",
    show: (value) => `${plain(value)} s`,
  };
  const rows = measured(kept, "throughput-durable").filter(({ ack }) => ack !== "none");
  const bars = barsOf(rows, charted);
  return bars.length < 2 ? undefined : chartOf(charted.title, noteOf(charted, run), bars);
};

const noteOf = ({ better }: Charted, { machine, quick }: Run): string =>
  `${PAYLOAD_BYTES} B, ${better} is better; ${machine.cores} cores, Node ${machine.node}, ${machine.date.slice(0, 10)}${quick ? ", quick" : ""}`;

const pageOf = (kept: Kept, tables: readonly Table[], hasCpu: boolean): string => {
  const newest = Object.values(kept.runs)
    .map(({ machine }) => machine)
    .reduce((one, other) => (one.date >= other.date ? one : other));
  const versions = Object.entries(newest.versions).map(([name, version]) => `${name} ${version}`);
  return [
    "# Benchmark results",
    "",
    "Written by `npm run bench -- --report`; edits are lost. [How it is measured](benchmarks.md), [what is unfair to whom](fairness.md).",
    "",
    `- **Machine**: ${newest.cpu}, ${newest.cores} cores, ${newest.memoryGb} GB, Linux ${newest.kernel}, Node ${newest.node}.`,
    "- **When**: below each heading. A ratio is of one scenario, measured in one run.",
    `- **Versions**: ${versions.join(", ")}. The brokers are those of the distribution, and years old.`,
    "",
    ...tables.flatMap((table) =>
      sectionOf(
        table,
        kept.runs[table.title] as Run,
        svgOf(table.title, kept) !== undefined,
        hasCpu,
      ),
    ),
  ].join("\n");
};

const sectionOf = (
  { title, columns, rows, notes }: Table,
  { machine, quick }: Run,
  hasChart: boolean,
  hasCpu: boolean,
): readonly string[] => {
  const cells = (texts: readonly string[]): string => `| ${texts.join(" | ")} |`;
  const images = [
    ...(hasChart ? [`![${title}](../${RESULTS}/${title}.svg)`, ""] : []),
    ...(hasCpu && title === "throughput-durable"
      ? [`![processor time](../${RESULTS}/cpu.svg)`, ""]
      : []),
  ];
  return [
    `## ${title}`,
    "",
    `${machine.date} UTC, ${quick ? "quick" : "full"}; load before the run ${machine.load.join(", ")}.`,
    "",
    ...images,
    cells(columns.map((column) => column.title)),
    cells(columns.map(() => "---")),
    ...rows.map((row) => cells(columns.map(({ text }) => text(row)))),
    "",
    ...notes.map((note) => `- ${note}`),
    ...(notes.length > 0 ? [""] : []),
  ];
};
