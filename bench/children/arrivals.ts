/** Counts what arrives in a round: how much, what is missing, what came out of order or twice. */

export type ArrivalReport = {
  readonly received: number;
  readonly lost: number;
  readonly reordered: number;
  readonly duplicates: number;
  /** Monotonic nanoseconds of the machine at the first and the last arrival. */
  readonly firstNs: number;
  readonly lastNs: number;
  /** Processor time of this process since the round began, all threads. */
  readonly cpuNs: number;
};

/** How long without an arrival before what is missing counts as lost. */
const QUIET_MS = 4_000;
const LOOK_MS = 250;

export class Arrivals {
  #round = -1;
  #seen = new Uint8Array(0);
  #received = 0;
  #highest = -1;
  #reordered = 0;
  #duplicates = 0;
  #firstNs = 0;
  #lastNs = 0;
  #cpuBefore = 0;
  #whole: () => void = () => {};

  /** From now on `count` messages of this round are expected; those of others are ignored. */
  begin(round: number, count: number): void {
    this.#round = round;
    this.#seen = new Uint8Array(count);
    this.#received = 0;
    this.#highest = -1;
    this.#reordered = 0;
    this.#duplicates = 0;
    this.#firstNs = 0;
    this.#lastNs = 0;
    this.#cpuBefore = cpuNs();
  }

  arrived(round: number, sequence: number): void {
    const seen = this.#seen;
    if (round !== this.#round || sequence >= seen.length) return;
    if (seen[sequence] === 1) {
      this.#duplicates++;
      return;
    }
    seen[sequence] = 1;
    if (sequence > this.#highest) this.#highest = sequence;
    else this.#reordered++;
    if (this.#received === 0) this.#firstNs = nowNs();
    if (++this.#received < seen.length) return;
    this.#lastNs = nowNs();
    this.#whole();
  }

  /** Resolves when the round is whole, or nothing has arrived for a while. */
  async finish(): Promise<ArrivalReport> {
    let looker: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      this.#whole = resolve;
      if (this.#received === this.#seen.length) resolve();
      let before = this.#received;
      let quietMs = 0;
      looker = setInterval(() => {
        quietMs = this.#received === before ? quietMs + LOOK_MS : 0;
        before = this.#received;
        if (quietMs >= QUIET_MS) resolve();
      }, LOOK_MS);
    });
    clearInterval(looker);
    this.#whole = () => {};
    return {
      received: this.#received,
      lost: this.#seen.length - this.#received,
      reordered: this.#reordered,
      duplicates: this.#duplicates,
      firstNs: this.#firstNs,
      lastNs: this.#lastNs === 0 ? nowNs() : this.#lastNs,
      cpuNs: cpuNs() - this.#cpuBefore,
    };
  }
}

/** The machine's monotonic clock, the same in all processes. Exact to less than a microsecond. */
export const nowNs = (): number => Number(process.hrtime.bigint());

/** Processor time of this process so far, all threads: other processes on the machine change it little. */
export const cpuNs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1_000;
};
