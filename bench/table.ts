/** Rows as text for people: one table per scenario, with what matters there. The JSON has all figures. */
import type { Row } from "./row.ts";

export type Column = {
  readonly title: string;
  /** Empty: the row has no such figure. */
  text(row: Row): string;
};

/** With the version of its broker: these are years old, and a figure should say so. */
export const nameOf = ({ system, version }: Row): string =>
  version === undefined ? system : `${system} ${version}`;

export type Table = {
  readonly title: string;
  readonly columns: readonly Column[];
  readonly rows: readonly Row[];
  /** Reasons why a row has no figures. */
  readonly notes: readonly string[];
};

const figure = (title: string, name: string, show: (value: number) => string): Column => ({
  title,
  text: (row) => {
    const value = row[name];
    return typeof value === "number" && Number.isFinite(value) ? show(value) : "";
  },
});

/** "1.2 M", "356 k", "8,317" a second. */
export const rate = (value: number): string => {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`;
  if (value >= 1e4) return `${Math.round(value / 1e3)} k`;
  return Math.round(value).toLocaleString("en-US");
};
const micro = (value: number): string =>
  value >= 1e5 ? `${Math.round(value / 1e3)} ms` : value.toPrecision(3).replace(/\.?0+e\+.*/, "");
export const plain = (value: number): string => {
  if (value >= 100) return Math.round(value).toLocaleString("en-US");
  return String(Number(value.toPrecision(3)));
};
const times = (value: number): string => `${plain(value)} x`;

const between = (title: string, name: string, show: (value: number) => string): Column => ({
  title,
  text: (row) => {
    const [value, least, most] = [row[name], row[`${name}Min`], row[`${name}Max`]];
    if (typeof value !== "number") return "";
    if (typeof least !== "number" || typeof most !== "number") return show(value);
    return `${show(value)} (${show(least)} to ${show(most)})`;
  },
});

export const us = (value: number): string =>
  value >= 1_000 ? plain(Math.round(value)) : micro(value);
const PAYLOAD = figure("bytes", "payloadBytes", plain);
const ACK: Column = { title: "ack", text: ({ ack }) => ack ?? "" };
const LOST = figure("lost", "lost", plain);
const REORDERED = figure("reordered", "reordered", plain);
const REPEATS = figure("repeats", "repeats", plain);
const VERSUS = figure("meshbus / this", "meshbusRatio", times);
const STREAM: readonly Column[] = [
  PAYLOAD,
  ACK,
  between("messages/s, median (min to max)", "msgPerSec", rate),
  LOST,
  REORDERED,
  figure("CPU s per M", "cpuSecPerMillion", plain),
  figure("of it server, us each", "serverCpuNs", (value) => plain(value / 1_000)),
  figure("RSS MB", "rssMb", plain),
  VERSUS,
];

const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  rtt: [
    PAYLOAD,
    ACK,
    between("p50 us, median (min to max)", "p50Us", us),
    figure("p99 us", "p99Us", us),
    figure("p99.9 us", "p999Us", us),
    figure("asker CPU us", "askerCpuUs", us),
    VERSUS,
  ],
  "rtt-load": [
    { title: "load", text: ({ level }) => String(level ?? "") },
    figure("asked/s", "perSecond", rate),
    figure("p50 us", "p50Us", us),
    figure("p99 us", "p99Us", us),
    between("p99.9 us, median (min to max)", "p999Us", us),
    figure("asked late, p99.9 us", "lateP999Us", us),
    LOST,
    VERSUS,
  ],
  "throughput-emit": STREAM,
  "throughput-durable": STREAM,
  "fan-out": STREAM,
  "work-queue": STREAM,
  sharded: STREAM,
  backlog: [
    ACK,
    figure("messages", "messages", rate),
    figure("memory MB", "rssAnonMb", plain),
    figure("peak MB", "rssAnonPeakMb", plain),
    figure("filled/s", "fillMsgPerSec", rate),
    figure("drained/s", "drainMsgPerSec", rate),
    LOST,
    REORDERED,
  ],
  "fail-over": [
    ACK,
    { title: "order", text: ({ order }) => String(order ?? "") },
    figure("kills", "kills", plain),
    figure("p50 ms", "p50Ms", plain),
    figure("longest ms", "maxMs", plain),
    figure("waits ms", "takenOverAfterMs", plain),
    LOST,
    REPEATS,
  ],
  "server-fail-over": [
    ACK,
    figure("kills", "kills", plain),
    figure("down ms", "downMs", plain),
    figure("longest ms", "downMaxMs", plain),
    figure("of it start ms", "serverReadyMs", plain),
    LOST,
    REPEATS,
  ],
  "first-reply": [
    ACK,
    figure("ms", "ms", plain),
    figure("longest ms", "msMax", plain),
    figure("start of its server ms", "serverReadyMs", plain),
  ],
};

const HIDDEN = new Set([
  "scenario",
  "system",
  "version",
  "payloadBytes",
  "codec",
  "failed",
  "missing",
  "ack",
]);
const GOAL: readonly Column[] = [
  { title: "goal", text: ({ goal }) => goal ?? "" },
  { title: "met", text: (row) => verdictOf(row) },
];

const verdictOf = ({ noResult, measured, met, missing, failed }: Row): string => {
  if (failed !== undefined) return "failed";
  if (missing !== undefined) return "missing";
  if (noResult !== undefined) return `no result: ${noResult}`;
  return met === undefined ? "" : `${met ? "yes" : "no"} (${measured})`;
};

export const tablesOf = (rows: readonly Row[]): readonly Table[] =>
  [...new Set(rows.map(({ scenario }) => scenario))].map((title) => {
    const own = rows.filter(({ scenario }) => scenario === title);
    const columns = [...(COLUMNS[title] ?? othersOf(own)), ...GOAL];
    const system: Column = { title: "system", text: nameOf };
    return {
      title,
      columns: [system, ...columns.filter(({ text }) => own.some((row) => text(row) !== ""))],
      rows: own,
      notes: notesOf(own),
    };
  });

const othersOf = (rows: readonly Row[]): readonly Column[] =>
  [...new Set(rows.flatMap((row) => Object.keys(row)))]
    .filter((name) => !HIDDEN.has(name))
    .map((name) => figure(name, name, plain));

/** The systems without figures, by the reason. */
const notesOf = (rows: readonly Row[]): readonly string[] => {
  const reasons = new Map<string, Set<string>>();
  for (const { system, payloadBytes, missing, failed } of rows) {
    const reason =
      failed === undefined ? missing && `missing: ${missing}` : `failed: ${firstLine(failed)}`;
    if (reason === undefined) continue;
    const name = reason.startsWith("missing: no JSON") ? `${system} (${payloadBytes} B)` : system;
    reasons.set(reason, (reasons.get(reason) ?? new Set()).add(name));
  }
  return [...reasons].map(([reason, names]) => `${[...names].join(", ")} ${reason}`);
};

const firstLine = (text: string): string => text.split("\n")[0] ?? "";

export const textOf = (rows: readonly Row[]): string =>
  tablesOf(rows)
    .map(({ title, columns, rows: own, notes }) => {
      const lines = [
        columns.map((column) => column.title),
        ...own.map((row) => columns.map(({ text }) => text(row))),
      ];
      const widths = columns.map((_, column) =>
        Math.max(...lines.map((line) => (line[column] as string).length)),
      );
      const isText = columns.map(({ title: name }) =>
        ["system", "ack", "load", "order", "goal", "met"].includes(name),
      );
      const aligned = lines.map((line) =>
        line
          .map((cell, column) => {
            const width = widths[column] as number;
            return isText[column] ? cell.padEnd(width) : cell.padStart(width);
          })
          .join("  ")
          .trimEnd(),
      );
      const rule = widths.map((width) => "-".repeat(width)).join("  ");
      const [head = "", ...body] = aligned;
      return [`${title}`, "", head, rule, ...body, ...notes.map((note) => `  ${note}`), ""].join(
        "\n",
      );
    })
    .join("\n");
