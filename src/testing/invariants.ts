/** What a test says must hold at every moment: looked at between any two events, reported once. */
import type { Facts } from "./facts.ts";

type Invariant = { readonly name: string; readonly holds: () => boolean };

export class Invariants {
  readonly #all = new Set<Invariant>();
  readonly #facts: Facts;
  readonly #now: () => number;

  constructor(facts: Facts, now: () => number) {
    this.#facts = facts;
    this.#now = now;
  }

  add(name: string, holds: () => boolean): void {
    this.#all.add({ name, holds });
  }

  look(): void {
    for (const invariant of this.#all) {
      const broken = problemOf(invariant);
      if (broken === undefined) continue;
      this.#all.delete(invariant);
      this.#facts.found("always", `"${invariant.name}" ${broken} at ${this.#now()} ms`);
    }
  }
}

const problemOf = ({ holds }: Invariant): string | undefined => {
  try {
    return holds() ? undefined : "does not hold";
  } catch (error) {
    return `threw ${String(error)}`;
  }
};
