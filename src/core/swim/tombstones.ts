/**
 * Members that are dead or left, kept for a while.
 *
 * Problem: a member forgotten at once comes back with the next old claim, and after a partition nobody would
 * know whom to call. Approach: the dead stay for `tombstoneMs`, then they are forgotten.
 *
 * Invariant: in the order in which they go.
 * Bound: `tombstonesMax`; past it the oldest are forgotten first.
 */
export class Tombstones {
  readonly #keepMs: number;
  readonly #max: number;
  readonly #untilMs = new Map<number, number>();

  constructor(keepMs: number, max: number) {
    this.#keepMs = keepMs;
    this.#max = max;
  }

  get size(): number {
    return this.#untilMs.size;
  }

  /** When the oldest goes; Infinity without one. */
  get nextMs(): number {
    for (const untilMs of this.#untilMs.values()) return untilMs;
    return Number.POSITIVE_INFINITY;
  }

  add(member: number, nowMs: number): void {
    this.#untilMs.delete(member);
    this.#untilMs.set(member, nowMs + this.#keepMs);
  }

  remove(member: number): void {
    this.#untilMs.delete(member);
  }

  members(): IterableIterator<number> {
    return this.#untilMs.keys();
  }

  /** Members to forget, out of time or past the limit. */
  takeOver(nowMs: number): number[] {
    const over: number[] = [];
    let left = this.#untilMs.size;
    for (const [member, untilMs] of this.#untilMs) {
      if (untilMs > nowMs && left <= this.#max) break;
      over.push(member);
      left--;
    }
    for (const member of over) this.#untilMs.delete(member);
    return over;
  }
}
