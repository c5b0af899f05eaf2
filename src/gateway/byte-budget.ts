/**
 * Bytes that one client may make the gateway hold, of one kind, over all its calls.
 *
 * Invariants: `held` is the sum of what was added and not removed; who was told that there is no room is
 * called once when there may be; what must be held (an answer that has come) is added beyond the limit, and
 * shuts out the rest until it is gone.
 */
export class ByteBudget {
  readonly #bytesMax: number;
  readonly #waiting = new Set<() => void>();
  #held = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get held(): number {
    return this.#held;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }

  /** With `whenRoom`, which is called later if not. */
  hasRoom(bytes: number, whenRoom: () => void): boolean {
    if (this.#held + bytes <= this.#bytesMax) return true;
    this.#waiting.add(whenRoom);
    return false;
  }

  add(bytes: number): void {
    this.#held += bytes;
  }

  remove(bytes: number): void {
    this.#held -= bytes;
    if (this.#waiting.size === 0 || this.#held >= this.#bytesMax) return;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const tell of waiting) tell();
  }

  /** It waits no longer. */
  forget(whenRoom: () => void): void {
    this.#waiting.delete(whenRoom);
  }
}
