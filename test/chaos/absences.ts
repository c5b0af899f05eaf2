/**
 * When processes were away: killed, paused, leaving or not yet up, or standing still because the machine had
 * no time for them. From these follows when the set of members was stable.
 */
import type { ChaosRecord } from "./chaos-record.ts";

export type Absence = {
  readonly process: string;
  readonly fromMs: number;
  readonly toMs: number;
};

/** So long after a process is back, the others may still differ in their view. */
const SETTLING_MS = 3_000;

const BEGINS = new Set(["spawn", "kill", "pause", "leave", "cut", "exit", "apart"]);
const ENDS = new Set(["ready", "resume", "together"]);

export const absencesIn = (records: readonly ChaosRecord[]): Absence[] => {
  const absences: Absence[] = [];
  const away = new Map<string, number>();
  for (const record of records) {
    const { e, process, atMs } = record;
    if (e === "stalled") absences.push({ process, fromMs: record.fromMs, toMs: atMs });
    if (BEGINS.has(e) && !away.has(process)) away.set(process, atMs);
    const fromMs = away.get(process);
    if (!ENDS.has(e) || fromMs === undefined) continue;
    absences.push({ process, fromMs, toMs: atMs });
    away.delete(process);
  }
  for (const [process, fromMs] of away) {
    absences.push({ process, fromMs, toMs: Number.POSITIVE_INFINITY });
  }
  return absences;
};

export class Stability {
  readonly #unstable: readonly Absence[];

  constructor(absences: readonly Absence[]) {
    this.#unstable = absences.map(({ process, fromMs, toMs }) => {
      return { process, fromMs, toMs: toMs + SETTLING_MS };
    });
  }

  /** How much of this stretch was in stable times. */
  stableMs(fromMs: number, toMs: number): number {
    let stable = 0;
    let at = fromMs;
    const within = this.#unstable
      .filter((one) => one.fromMs < toMs && one.toMs > fromMs)
      .sort((a, b) => a.fromMs - b.fromMs);
    for (const one of within) {
      stable += Math.max(0, one.fromMs - at);
      at = Math.max(at, one.toMs);
    }
    return stable + Math.max(0, toMs - at);
  }
}
