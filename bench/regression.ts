/**
 * Whether meshbus has become slower: its ratios to raw sockets in this run beside stored ones.
 *
 * Problem: a gate that fails by noise is worse than none, and the machine of a gate is busy. Approach: mostly processor
 * time, which moves less than the clock; ratios inside one run; medians; tolerances of two to three, which tell a lost
 * optimisation from a busy neighbour; and whoever complains measures again: only what is said twice counts.
 */
import { readFileSync } from "node:fs";
import type { ScenarioName } from "./bench-flags.ts";
import { PAYLOAD_BYTES } from "./children/payload.ts";
import type { Row } from "./row.ts";
import type { SystemName } from "./systems.ts";

export type StoredRatio = {
  readonly scenario: ScenarioName;
  /** A figure of which less is better. */
  readonly figure: string;
  readonly to: SystemName;
  readonly ratio: number;
  /** How many times the stored ratio may be exceeded. */
  readonly tolerance: number;
};

export const CHECKED: readonly ScenarioName[] = ["rtt", "throughput-emit", "throughput-durable"];
export const CHECKED_SYSTEMS: readonly SystemName[] = ["meshbus", "raw-zeromq", "raw-tcp"];

/** From the working folder, which is that of the package. */
export const storedRatios = (): readonly StoredRatio[] =>
  JSON.parse(readFileSync("bench/ratios.json", "utf8"));

export type Verdict = { readonly text: string; readonly holds: boolean };

/** One for each stored ratio. What could not be measured does not hold. */
export const verdictsOf = (
  rows: readonly Row[],
  stored: readonly StoredRatio[],
): readonly Verdict[] =>
  stored.map(({ scenario, figure, to, ratio, tolerance }) => {
    const of = (system: string): Row | undefined =>
      rows.find(
        (row) =>
          row.scenario === scenario &&
          row.system === system &&
          row.payloadBytes === PAYLOAD_BYTES &&
          row.noResult === undefined &&
          row.failed === undefined,
      );
    const [ours, theirs] = [of("meshbus")?.[figure], of(to)?.[figure]];
    const name = `${scenario} ${figure} to ${to}`;
    if (typeof ours !== "number" || typeof theirs !== "number" || !(theirs > 0)) {
      return { text: `${name}: no result`, holds: false };
    }
    const found = ours / theirs;
    const most = ratio * tolerance;
    const holds = found <= most;
    const text = `${name}: ${found.toFixed(2)}, stored ${ratio}, at most ${most.toFixed(2)}`;
    return { text, holds };
  });
