/** The show on a terminal: one picture of the shop, redrawn in place. */
import type { WriteStream } from "node:tty";
import type { InstanceState } from "./cluster.ts";
import { backlogOf, eventsSeen, type Progress, retriesOf, type Show, seenOf } from "./progress.ts";

const ESC = "\x1b[";
const paint =
  (code: number) =>
  (text: string): string =>
    `${ESC}${code}m${text}${ESC}39;22m`;
const bold = paint(1);
const dim = paint(2);
const red = paint(31);
const green = paint(32);
const yellow = paint(33);
const cyan = paint(36);

const STATES: Readonly<Record<InstanceState, readonly [string, (text: string) => string]>> = {
  starting: ["○ starting", dim],
  up: ["● up", green],
  killed: ["✖ killed (SIGKILL)", red],
  restarting: ["↻ restarting", yellow],
  stopped: ["○ stopped", dim],
};
const STAGES: readonly (readonly [string, string, (text: string) => string])[] = [
  ["placed", "order.placed", cyan],
  ["reserved", "stock.reserved", cyan],
  ["paid", "payment.succeeded", green],
  ["shipped", "shipment.created", green],
  ["declined", "payment.failed", yellow],
  ["released", "stock.released", yellow],
  ["cancelled", "order.cancelled", yellow],
  ["notified", "customer.notified", cyan],
];
const BAR_WIDTH = 28;
const STATE_WIDTH = 22;
const LINES_KEPT = 6;
/** Over so long the rate is taken. */
const RATE_MS = 1_000;

export const terminalShow = (out: WriteStream): Show => {
  const said: string[] = [];
  const samples: { atMs: number; events: number }[] = [];
  let drawn = 0;
  let last: Progress | undefined;
  const draw = (progress: Progress): void => {
    const lines = pictureOf(progress, rateOf(samples), said);
    const up = drawn > 0 ? `${ESC}${drawn}A` : "";
    out.write(`${up}${ESC}?25l${lines.map((line) => `${ESC}2K${line}\n`).join("")}`);
    drawn = lines.length;
  };
  return {
    update: (progress) => {
      last = progress;
      samples.push({ atMs: progress.elapsedMs, events: eventsSeen(progress) });
      while ((samples[0]?.atMs ?? 0) < progress.elapsedMs - RATE_MS) samples.shift();
      draw(progress);
    },
    say: (line) => {
      said.push(line.slice(0, Math.max(20, (out.columns ?? 100) - 4)));
      if (said.length > LINES_KEPT) said.shift();
      if (last !== undefined) draw(last);
    },
    end: () => out.write(`${ESC}?25h`),
  };
};

const pictureOf = (progress: Progress, rate: number, said: readonly string[]): string[] => {
  const { orders, seed, elapsedMs, instances } = progress;
  const processes = instances.map(({ spec, state, status }) => {
    const [label, color] = STATES[state];
    const pending = status?.ledger.pending ?? 0;
    const owes = state === "up" && pending > 0 ? `owes ${pending}` : "";
    return `${spec.name.padEnd(14)}${color(label.padEnd(6))}${dim(owes.padEnd(STATE_WIDTH - label.padEnd(6).length))}`;
  });
  const stages = STAGES.map(([label, subject, color]) => {
    const count = seenOf(progress, subject);
    return `${label.padEnd(10)}${color(bar(count / orders))} ${String(count).padStart(6)}`;
  });
  const body = processes.map((process, at) => {
    return `  ${process}${stages[at] ?? ""}`;
  });
  const seconds = (elapsedMs / 1_000).toFixed(1);
  const numbers = [
    `${bold(String(Math.round(rate)))} events/s`,
    `${eventsSeen(progress)} events`,
    `${retriesOf(progress)} retries`,
    `backlog ${backlogOf(progress)}`,
  ];
  const lines = Array.from({ length: LINES_KEPT }, (_, at) => dim(`  ${said[at] ?? ""}`));
  return [
    `${bold("  meshbus: an order business")}   ${orders} orders, seed ${seed}, ${seconds} s`,
    dim("  every process its own journal; no broker; found by mDNS, linked by ZeroMQ"),
    "",
    ...body,
    "",
    `  ${numbers.join("   ")}`,
    "",
    ...lines,
  ];
};

const bar = (share: number): string => {
  const full = Math.round(Math.min(1, share) * BAR_WIDTH);
  return `${"█".repeat(full)}${"░".repeat(BAR_WIDTH - full)}`;
};

const rateOf = (samples: readonly { atMs: number; events: number }[]): number => {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined || last.atMs === first.atMs) return 0;
  return ((last.events - first.events) * 1_000) / (last.atMs - first.atMs);
};
