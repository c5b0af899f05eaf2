/**
 * Which faults hit whom, and when: drawn from the seed before anything runs.
 *
 * Storms and calms take turns. In a storm faults come about every second, two at a time where it falls so;
 * all of them have ended when the calm begins, so that there are times without any change of members, in
 * which the promise of one owner holds without exception.
 */
import { SeededRandom } from "../../src/testing/seeded-random.ts";

export type FaultKind = "kill" | "pause" | "killPaused" | "leave" | "join";

export type Fault = {
  readonly kind: FaultKind;
  readonly target: string;
  /** Since the run began. */
  readonly atMs: number;
  /** How long it is down, paused, or (join) there. */
  readonly forMs: number;
};

export type ChaosPlan = {
  readonly sources: readonly string[];
  readonly workers: readonly string[];
  /** Not there from the beginning: joins and leaves. */
  readonly guest: string;
  readonly faults: readonly Fault[];
};

/** Longer than the time after which a silent member counts as dead. */
const PAUSE_MS = { min: 1_500, max: 4_000 };
/** Shorter than that. */
const BLINK_MS = { min: 100, max: 700 };
const DOWN_MS = { min: 50, max: 2_500 };
const AWAY_MS = { min: 300, max: 2_500 };
const VISIT_MS = { min: 2_000, max: 5_000 };
const EVERY_MS = 1_200;
/** Between two faults of one process: it is to have come up. */
const BREATH_MS = 1_500;
const ROUND_SECONDS = 20;
const CALM = 0.35;
const CALM_MS_MAX = 7_000;

export const chaosPlanOf = (seed: number, seconds: number): ChaosPlan => {
  const random = new SeededRandom(seed, "chaos");
  const sources = ["source-1", "source-2"];
  const workers = ["worker-1", "worker-2", "worker-3"];
  const guest = "worker-4";
  const rounds = Math.max(1, Math.round(seconds / ROUND_SECONDS));
  const roundMs = (seconds * 1_000) / rounds;
  const calmMs = Math.min(CALM_MS_MAX, roundMs * CALM);
  const faults: Fault[] = [];
  for (let round = 0; round < rounds; round++) {
    const startMs = round * roundMs;
    const storm = { startMs: startMs + 500, endMs: startMs + roundMs - calmMs };
    faults.push(...stormOf(random, storm, [...sources, ...workers], workers, guest));
  }
  return { sources, workers, guest, faults };
};

const stormOf = (
  random: SeededRandom,
  { startMs, endMs }: { readonly startMs: number; readonly endMs: number },
  all: readonly string[],
  workers: readonly string[],
  guest: string,
): Fault[] => {
  const faults: Fault[] = [];
  const freeFromMs = new Map<string, number>();
  for (let atMs = startMs; atMs < endMs; atMs += random.exponential(EVERY_MS)) {
    const { kind, forMs } = faultOf(random);
    const target =
      kind === "join" ? guest : random.pick(kind === "leave" || random.chance(0.7) ? workers : all);
    if ((freeFromMs.get(target) ?? 0) > atMs || atMs + forMs > endMs) continue;
    freeFromMs.set(target, atMs + forMs + BREATH_MS);
    faults.push({ kind, target, atMs, forMs });
  }
  return faults;
};

const faultOf = (random: SeededRandom): { readonly kind: FaultKind; readonly forMs: number } => {
  const within = ({ min, max }: { readonly min: number; readonly max: number }): number =>
    random.integer(min, max);
  const draw = random.fraction();
  if (draw < 0.45) return { kind: "kill", forMs: within(DOWN_MS) };
  if (draw < 0.65) return { kind: "pause", forMs: within(PAUSE_MS) };
  if (draw < 0.75) return { kind: "pause", forMs: within(BLINK_MS) };
  if (draw < 0.8) return { kind: "killPaused", forMs: within(PAUSE_MS) };
  if (draw < 0.92) return { kind: "leave", forMs: within(AWAY_MS) };
  return { kind: "join", forMs: within(VISIT_MS) };
};
