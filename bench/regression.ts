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

/**
 * unmeasured: a deadline was missed, as on a machine that starves the bench. Tests find what does not work at all; this
 * is about speed.
 */
export type Verdict = {
  readonly text: string;
  readonly found: "holds" | "regressed" | "unmeasured";
};

/** One for each stored ratio. A row with a loss is a regression. */
export const verdictsOf = (
  rows: readonly Row[],
  stored: readonly StoredRatio[],
): readonly Verdict[] =>
  stored.map(({ scenario, figure, to, ratio, tolerance }) => {
    const of = (name: string): Row | undefined =>
      rows.find(
        ({ scenario: of, system, payloadBytes }) =>
          of === scenario && system === name && payloadBytes === PAYLOAD_BYTES,
      );
    const [ours, theirs] = [of("meshbus"), of(to)];
    const name = `${scenario} ${figure} to ${to}`;
    const loss = ours?.noResult;
    if (loss !== undefined) return { text: `${name}: ${loss}`, found: "regressed" };
    const [mine, other] = [ours?.[figure], theirs?.[figure]];
    const isMeasured = ours?.failed === undefined && theirs?.failed === undefined;
    if (!isMeasured || typeof mine !== "number" || typeof other !== "number" || !(other > 0)) {
      return {
        text: `${name}: ${ours?.failed ?? theirs?.failed ?? "no figure"}`,
        found: "unmeasured",
      };
    }
    const found = mine / other;
    const most = ratio * tolerance;
    const text = `${name}: ${found.toFixed(2)}, stored ${ratio}, at most ${most.toFixed(2)}`;
    return { text, found: found <= most ? "holds" : "regressed" };
  });
