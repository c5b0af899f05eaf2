/**
 * The simulation's time: whole milliseconds, and what happens in each, in the order it was scheduled.
 *
 * Approach: a ring of lists, one a millisecond; what lies further ahead than the ring goes round with it. Nothing
 * here is a promise, so an event costs a push and a shift. An event is a number that its owner understands.
 * Invariant: events run in order of (time, order of scheduling).
 */
const SLOTS = 16_384;

export class EventWheel<Event> {
  readonly #slots: { atMs: number; event: Event }[][] = Array.from({ length: SLOTS }, () => []);
  #nowMs = 0;

  get nowMs(): number {
    return this.#nowMs;
  }

  /** In the present millisecond at the earliest. */
  at(timeMs: number, event: Event): void {
    const atMs = Math.max(this.#nowMs, Math.ceil(timeMs));
    this.#slots[atMs % SLOTS]?.push({ atMs, event });
  }

  run(untilMs: number, happen: (event: Event) => void): void {
    for (; this.#nowMs < untilMs; this.#nowMs++) {
      const index = this.#nowMs % SLOTS;
      const slot = this.#slots[index] as { atMs: number; event: Event }[];
      let later: { atMs: number; event: Event }[] | undefined;
      for (let at = 0; at < slot.length; at++) {
        const due = slot[at] as { atMs: number; event: Event };
        if (due.atMs > this.#nowMs) {
          later ??= [];
          later.push(due);
        } else happen(due.event);
      }
      if (slot.length > 0) this.#slots[index] = later ?? [];
    }
  }
}
