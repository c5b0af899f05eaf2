/** One way to attack a node, tried so often, with how many tries got further than they may. */
export type HostileOptions = {
  /** Mutated inputs of the cases that fuzz. */
  readonly runs: number;
  readonly seed: number;
  readonly log: (line: string) => void;
};

export type Outcome = { readonly tried: number; readonly broken: number };

export type HostileCase = {
  readonly name: string;
  run(options: HostileOptions): Promise<Outcome>;
};

/** Counts tries, and says what broke, the first few times. */
export class Tally {
  tried = 0;
  broken = 0;
  readonly #log: (line: string) => void;

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  check(holds: boolean, what: () => string): void {
    this.tried++;
    if (holds) return;
    this.broken++;
    if (this.broken <= 10) this.#log(`broken: ${what()}`);
  }

  get outcome(): Outcome {
    return { tried: this.tried, broken: this.broken };
  }
}
