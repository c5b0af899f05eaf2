/** The report of a run: its rows as JSON, charts as SVG, and a page that shows both. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Bar, chartOf } from "./chart.ts";
import { PAYLOAD_BYTES } from "./children/payload.ts";
import type { Machine } from "./machine.ts";
import type { Row } from "./row.ts";
import { isMeshbus } from "./systems.ts";
import { nameOf, plain, rate, type Table, tablesOf, us } from "./table.ts";

const RESULTS = "bench/results";
const PAGE = "docs/benchmark-results.md";

export type Result = {
  readonly results: readonly Row[];
  readonly missing: readonly string[];
  readonly quick: boolean;
  readonly machine: Machine;
};

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

/** Below the working folder, which is that of the package. */
export const writeReport = (result: Result): void => {
  mkdirSync(RESULTS, { recursive: true });
  for (const name of readdirSync(RESULTS)) {
    if (name.endsWith(".svg")) rmSync(join(RESULTS, name));
  }
  writeFileSync(join(RESULTS, "results.json"), `${JSON.stringify(result, undefined, 1)}\n`);
  const tables = tablesOf(result.results);
  for (const { title } of tables) {
    const svg = svgOf(title, result);
    if (svg !== undefined) writeFileSync(join(RESULTS, `${title}.svg`), svg);
  }
  const cpu = cpuChart(result);
  if (cpu !== undefined) writeFileSync(join(RESULTS, "cpu.svg"), cpu);
  writeFileSync(PAGE, pageOf(result, tables, cpu !== undefined));
};

const measured = ({ results }: Result, scenario: string, level?: string): readonly Row[] =>
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

const svgOf = (scenario: string, result: Result): string | undefined => {
  const charted = CHARTS[scenario];
  if (charted === undefined) return undefined;
  const bars = barsOf(measured(result, scenario, charted.level), charted);
  return bars.length < 2 ? undefined : chartOf(charted.title, noteOf(charted, result), bars);
};

const cpuChart = (result: Result): string | undefined => {
  const charted: Charted = {
    figure: "cpuSecPerMillion",
    title: "Processor time of a million durable messages, all processes",
    better: "lower",
    show: (value) => `${plain(value)} s`,
  };
  const rows = measured(result, "throughput-durable").filter(({ ack }) => ack !== "none");
  const bars = barsOf(rows, charted);
  return bars.length < 2 ? undefined : chartOf(charted.title, noteOf(charted, result), bars);
};

const noteOf = ({ better }: Charted, { machine, quick }: Result): string =>
  `${PAYLOAD_BYTES} B, ${better} is better; ${machine.cores} cores, Node ${machine.node}, ${machine.date.slice(0, 10)}${quick ? ", quick" : ""}`;

const pageOf = (result: Result, tables: readonly Table[], hasCpu: boolean): string => {
  const { machine, quick } = result;
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return [
    "# Benchmark results",
    "",
    "Written by `npm run bench -- --report`; edits are lost. [How it is measured](benchmarks.md), [what is unfair to whom](fairness.md).",
    "",
    `- **When**: ${machine.date} UTC, ${quick ? "a quick run" : "a full run"}.`,
    `- **Machine**: ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGb} GB, Linux ${machine.kernel}, Node ${machine.node}; load before the run ${machine.load.join(", ")}.`,
    `- **Versions**: ${versions.join(", ")}. The brokers are those of the distribution, and years old.`,
    "",
    ...tables.flatMap((table) =>
      sectionOf(table, svgOf(table.title, result) !== undefined, hasCpu),
    ),
  ].join("\n");
};

const sectionOf = (
  { title, columns, rows, notes }: Table,
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
    ...images,
    cells(columns.map((column) => column.title)),
    cells(columns.map(() => "---")),
    ...rows.map((row) => cells(columns.map(({ text }) => text(row)))),
    "",
    ...notes.map((note) => `- ${note}`),
    ...(notes.length > 0 ? [""] : []),
  ];
};
