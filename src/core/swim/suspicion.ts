/**
 * For how long a member is suspected before it counts as dead.
 *
 * Problem: a long time-out finds the dead late, a short one kills those whose accuser was the slow one.
 * Approach (Lifeguard): begin with the long one and shorten it with each independent accuser, down to the
 * short one; an accuser that is alone, perhaps because it is at fault itself, has to wait.
 *
 *   min = suspicionMult * max(1, log10(n)) * probeMs, or suspicionFloorMs;  max = suspicionMaxMult * min
 *   timeout = max - (max - min) * log(confirmed + 1) / log(wanted + 1)
 *
 * Invariants: min <= timeout <= max; the timeout never grows with confirmations; who accused counts once.
 * Bound: `wanted` + 1 accusers are remembered.
 * Source: Dadgar, Phillips, Currey, "Lifeguard: Local Health Awareness for More Accurate Failure Detection",
 * 2017, section IV-B; the same arithmetic as memberlist's.
 */
import type { SwimTimes } from "./swim-times.ts";

export type SuspicionSpan = {
  readonly minMs: number;
  readonly maxMs: number;
  /** Accusers beyond the first that bring the time down to `minMs`. */
  readonly wanted: number;
};

/** In a mesh with so many live members. */
export const suspicionSpan = (times: SwimTimes, live: number): SuspicionSpan => {
  const spanMs = times.suspicionMult * Math.max(1, Math.log10(Math.max(1, live))) * times.probeMs;
  const minMs = Math.max(spanMs, times.suspicionFloorMs);
  // Neither the member itself nor the first accuser can confirm.
  const wanted = Math.max(0, Math.min(times.confirmations, live - 2));
  return { minMs, maxMs: times.suspicionMaxMult * minMs, wanted };
};

export const suspicionMs = ({ minMs, maxMs, wanted }: SuspicionSpan, confirmed: number): number => {
  if (confirmed >= wanted) return minMs;
  return maxMs - ((maxMs - minMs) * Math.log(confirmed + 1)) / Math.log(wanted + 1);
};

export class Suspicion {
  readonly #span: SuspicionSpan;
  readonly #accusers: Set<string>;
  readonly #startMs: number;
  readonly #lastCallMs: number;
  #graceMs = 0;
  #isCalled = false;

  /** `lastCallMs`: so long before the end the suspect is told once more. */
  constructor(span: SuspicionSpan, lastCallMs: number, accuser: string, nowMs: number) {
    this.#span = span;
    this.#lastCallMs = lastCallMs;
    this.#accusers = new Set([accuser]);
    this.#startMs = nowMs;
  }

  /** When the member counts as dead if nobody stands up for it. */
  get endMs(): number {
    const endMs = this.#startMs + suspicionMs(this.#span, this.#accusers.size - 1);
    return Math.max(endMs, this.#graceMs);
  }

  /** When there is something to do. */
  get nextMs(): number {
    return this.#isCalled ? this.endMs : this.endMs - this.#lastCallMs;
  }

  /** Whether it is time to tell the suspect; true once. */
  isLastCall(nowMs: number): boolean {
    if (this.#isCalled || nowMs < this.nextMs) return false;
    this.#isCalled = true;
    return true;
  }

  /** Another accusation. True when it is news that others need. */
  confirm(accuser: string): boolean {
    if (this.#accusers.size > this.#span.wanted || this.#accusers.has(accuser)) return false;
    this.#accusers.add(accuser);
    return true;
  }

  /** It does not end before this. */
  notBefore(atMs: number): void {
    this.#graceMs = Math.max(this.#graceMs, atMs);
  }
}
