/**
 * C7: how long a message whose handler a kill cut waits until a handler starts for it again.
 *
 * Only kills during which nobody else was away count: what is promised is promised while the producer lives
 * and reaches another member. Pauses do not count: a paused process is not yet known to be gone.
 */
import type { Run } from "../../src/testing/history.ts";
import type { Absence } from "./absences.ts";
import type { ChaosRecord } from "./chaos-record.ts";

export type Kill = { readonly process: string; readonly life: number; readonly atMs: number };

/** Kills of running processes, by the plan. */
export const killsIn = (records: readonly ChaosRecord[]): Kill[] => {
  const paused = new Set<string>();
  const kills: Kill[] = [];
  for (const { e, process, life, atMs } of records) {
    if (e === "pause") paused.add(process);
    if (e === "kill" && !paused.has(process)) kills.push({ process, life, atMs });
    if (e === "resume" || e === "kill") paused.delete(process);
  }
  return kills;
};

export const failoversMs = (
  kills: readonly Kill[],
  runs: readonly Run[],
  absences: readonly Absence[],
  names: readonly string[],
): number[] => {
  const starts = new Map<string, number[]>();
  for (const run of runs) {
    const place = placeOf(run);
    const there = starts.get(place);
    if (there === undefined) starts.set(place, [run.startMs]);
    else there.push(run.startMs);
  }
  const times: number[] = [];
  for (const { process, life, atMs } of kills) {
    for (const run of runs) {
      if (names[run.member] !== process || run.life !== life || run.endMs !== undefined) continue;
      const again = starts.get(placeOf(run))?.filter((ms) => ms > atMs) ?? [];
      if (again.length === 0) continue; // its end is the loss checker's matter
      const nextMs = Math.min(...again);
      const others = absences.some(
        (one) => one.process !== process && one.fromMs < nextMs && one.toMs > atMs,
      );
      if (!others) times.push(nextMs - atMs);
    }
  }
  return times.sort((a, b) => a - b);
};

const placeOf = ({ subscription, producer, epoch, seq }: Run): string =>
  `${subscription} ${producer} ${epoch}:${seq}`;
