/**
 * How long a node may go on as if nobody had taken over what it holds.
 *
 * Problem: a process that stood still, or is cut off, cannot see that others count it as dead. Approach: it
 * counts from when it *sent* the heartbeat that was answered last, others from when they *received* its last
 * word, and wait a tenth longer: whatever the delays, and clocks whose rates differ by less than that, its
 * lease has run out before theirs.
 *
 * Invariant: an answer heard late or twice never shortens it.
 * Source: DESIGN section 8; Gray & Cheriton, "Leases", SOSP 1989.
 */

/** Others wait so many leases. */
export const LEASE_MARGIN = 1.1;

export class Lease {
  readonly #leaseMs: number;
  #answeredMs = Number.NEGATIVE_INFINITY;

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs;
  }

  /** Somebody answered a heartbeat that was sent at `sentMs`. */
  answered(sentMs: number): void {
    if (sentMs > this.#answeredMs) this.#answeredMs = sentMs;
  }

  isValid(nowMs: number): boolean {
    return nowMs - this.#answeredMs <= this.#leaseMs;
  }
}
