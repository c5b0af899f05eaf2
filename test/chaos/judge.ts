/** From the lines of a run to its figures and violations. */
import { checkDeadLetters } from "../../src/testing/checkers/dead-letters.ts";
import { checkEffects } from "../../src/testing/checkers/effects.ts";
import { checkInvention } from "../../src/testing/checkers/invention.ts";
import { checkLoss } from "../../src/testing/checkers/loss.ts";
import { checkOrder } from "../../src/testing/checkers/order.ts";
import { risingFences } from "../../src/testing/checkers/ownership.ts";
import type { Run, Violation } from "../../src/testing/history.ts";
import { absencesIn, Stability } from "./absences.ts";
import { chaosHistoryOf } from "./chaos-history.ts";
import type { ChaosRecord, DeadRecord } from "./chaos-record.ts";
import { failoversMs, killsIn } from "./failovers.ts";
import { ownerOverlaps, sharedFences } from "./owner-overlaps.ts";

export type Verdict = {
  readonly figures: {
    /** Messages whose `publish` or `send` resolved. */
    readonly accepted: number;
    /** Accepted handlings: of each message one per subscription that is owed it. */
    readonly handled: number;
    readonly lost: number;
    readonly duplicateEffects: number;
    readonly outOfOrder: number;
    readonly ownerOverlaps: number;
    readonly unstableOverlapMs: number;
    /** Starts of handlers beyond the first of each message and subscription. */
    readonly handlerRepeats: number;
    readonly kills: number;
    readonly pauses: number;
    readonly leaves: number;
    /** Handlers that kills cut, from the kill until their messages' next start. */
    readonly failovers: number;
    readonly failoverMsP50: number;
    readonly failoverMsP99: number;
    readonly effects: number;
    /** Writes that the fenced store refused. */
    readonly storeRefused: number;
    readonly deadLetters: number;
  };
  readonly violations: readonly Violation[];
};

export const judge = (
  lines: readonly ChaosRecord[],
  letters: readonly DeadRecord[],
  isQuiet: boolean,
): Verdict => {
  // Pipes are read one after the other: what happened later may have been read earlier.
  const records = [...lines].sort((a, b) => a.atMs - b.atMs);
  const { history, names } = chaosHistoryOf(records, letters, isQuiet);
  const { runs } = history;
  const absences = absencesIn(records);
  const kills = killsIn(records);
  const ends = endsOfLives(records);
  const endOfLife = ({ member, life }: Run): number =>
    ends.get(`${names[member]} ${life}`) ?? Number.POSITIVE_INFINITY;
  const overlaps = ownerOverlaps(runs, new Stability(absences), endOfLife);
  const owners = [...overlaps.violations, ...risingFences(history), ...sharedFences(runs)];
  const loss = checkLoss(history);
  const order = checkOrder(history);
  const effects = checkEffects(history);
  const failovers = failoversMs(kills, runs, absences, names);
  const places = new Set(runs.map(placeOf));
  const count = (e: ChaosRecord["e"]): number => records.filter((record) => record.e === e).length;
  const figures = {
    accepted: history.said.filter(({ outcome }) => outcome === "ok").length,
    handled: new Set(runs.filter(({ outcome }) => outcome === "ok").map(placeOf)).size,
    lost: loss.length,
    duplicateEffects: effects.length,
    outOfOrder: order.length,
    ownerOverlaps: owners.length,
    unstableOverlapMs: Math.round(overlaps.unstableMs),
    handlerRepeats: runs.length - places.size,
    kills: count("kill"),
    pauses: count("pause"),
    leaves: count("leave"),
    failovers: failovers.length,
    failoverMsP50: quantile(failovers, 0.5),
    failoverMsP99: quantile(failovers, 0.99),
    effects: count("effect"),
    storeRefused: records.filter((record) => record.e === "write" && !record.accepted).length,
    deadLetters: letters.length,
  };
  const others = [...checkInvention(history), ...checkDeadLetters(history)];
  const violations = [...loss, ...effects, ...order, ...owners, ...others];
  return { figures, violations };
};

const endsOfLives = (records: readonly ChaosRecord[]): Map<string, number> => {
  const ends = new Map<string, number>();
  for (const { e, process, life, atMs } of records) {
    const name = `${process} ${life}`;
    if ((e === "kill" || e === "cut" || e === "exit") && !ends.has(name)) ends.set(name, atMs);
  }
  return ends;
};

const placeOf = ({ subscription, producer, epoch, seq }: Run): string =>
  `${subscription} ${producer} ${epoch}:${seq}`;

const quantile = (sorted: readonly number[], share: number): number => {
  const at = Math.min(sorted.length - 1, Math.floor(sorted.length * share));
  return Math.round(sorted[at] ?? 0);
};
