/**
 * How many calls succeeded and failed lately.
 *
 * Problem: a sliding window of time without a list of calls. Approach: the window is cut into ten slices; a
 * slice is forgotten whole. What is counted is therefore between nine and ten tenths of the window old at
 * most.
 *
 * Invariants: `total` and `failures` are the sums over the slices; memory does not grow with calls.
 */
const SLICES = 10;

export class OutcomeWindow {
  readonly #sliceMs: number;
  readonly #succeeded = new Array<number>(SLICES).fill(0);
  readonly #failed = new Array<number>(SLICES).fill(0);
  /** Number of the newest slice since time 0. */
  #newest = 0;
  #failures = 0;
  #total = 0;

  constructor(windowMs: number) {
    this.#sliceMs = windowMs / SLICES;
  }

  /** As of the last `add`. */
  get failures(): number {
    return this.#failures;
  }

  get total(): number {
    return this.#total;
  }

  add(failed: boolean, nowMs: number): void {
    this.#passTo(Math.floor(nowMs / this.#sliceMs));
    const at = this.#newest % SLICES;
    const slices = failed ? this.#failed : this.#succeeded;
    slices[at] = (slices[at] as number) + 1;
    if (failed) this.#failures++;
    this.#total++;
  }

  clear(): void {
    this.#succeeded.fill(0);
    this.#failed.fill(0);
    this.#failures = 0;
    this.#total = 0;
  }

  #passTo(slice: number): void {
    if (slice - this.#newest >= SLICES) this.clear();
    else {
      for (let passed = this.#newest + 1; passed <= slice; passed++) {
        const at = passed % SLICES;
        this.#failures -= this.#failed[at] as number;
        this.#total -= (this.#failed[at] as number) + (this.#succeeded[at] as number);
        this.#failed[at] = 0;
        this.#succeeded[at] = 0;
      }
    }
    this.#newest = Math.max(this.#newest, slice);
  }
}
