/**
 * Counts of what happened, by name: drops by reason, malformed frames, redeliveries.
 *
 * Bounded: names come from code, never from input; past `NAMES_MAX` names new ones go to "other".
 */
const NAMES_MAX = 512;

export class Counters {
  readonly #counts = new Map<string, number>();

  count(name: string, n = 1): void {
    const known = this.#counts.get(name);
    if (known === undefined && this.#counts.size >= NAMES_MAX) this.count("other", n);
    else this.#counts.set(name, (known ?? 0) + n);
  }

  get(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** A copy, by name. */
  all(): Record<string, number> {
    return Object.fromEntries([...this.#counts].sort(([a], [b]) => (a < b ? -1 : 1)));
  }
}
