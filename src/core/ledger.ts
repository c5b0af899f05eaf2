/**
 * The loss ledger of one subscription in one journal.
 *
 * Problem: "nothing is lost" has to be something that can be checked while the system runs.
 * Approach: each way a message can enter or leave a cursor is counted on its own, the row is
 * committed together with the cursor, and what is pending is known twice: derived from the
 * counters, and counted by walking the cursor.
 *
 * Invariant: `accepted = acked + dead + expired + abandoned + damaged + pending`, with pending >=
 * 0. It holds between calls when every message is added once as accepted and at most once as
 * something else.
 *
 * Bytes: version (1), then the six counters in the order of LEDGER_KINDS as unsigned 64-bit
 * big-endian.
 * Source: DESIGN section 1, "settle".
 */
import { MeshError } from "../errors.ts";

/** In the order of the stored row; a new kind needs a new version. */
export const LEDGER_KINDS = [
  "accepted",
  "acked",
  "dead",
  "expired",
  "abandoned",
  "damaged",
] as const;
export type LedgerKind = (typeof LEDGER_KINDS)[number];

export type LedgerCounts = Readonly<Record<LedgerKind, number>>;

const VERSION = 1;
export const LEDGER_BYTES = 1 + LEDGER_KINDS.length * 8;

export class Ledger {
  #accepted = 0;
  #acked = 0;
  #dead = 0;
  #expired = 0;
  #abandoned = 0;
  #damaged = 0;

  get accepted(): number {
    return this.#accepted;
  }
  get acked(): number {
    return this.#acked;
  }
  get dead(): number {
    return this.#dead;
  }
  get expired(): number {
    return this.#expired;
  }
  get abandoned(): number {
    return this.#abandoned;
  }
  get damaged(): number {
    return this.#damaged;
  }

  /**
   * Accepted and not yet settled. Negative only if something was settled that was never accepted.
   */
  get pending(): number {
    const settled = this.#acked + this.#dead + this.#expired + this.#abandoned + this.#damaged;
    return this.#accepted - settled;
  }

  /** Counts `n` messages. @throws MeshError INVALID_OPTIONS unless n is an integer >= 0 */
  add(kind: LedgerKind, n: number): void {
    if (!Number.isSafeInteger(n) || n < 0) {
      throw new MeshError("INVALID_OPTIONS", `ledger: ${kind} + ${n}; n must be an integer >= 0`);
    }
    switch (kind) {
      case "accepted":
        this.#accepted += n;
        return;
      case "acked":
        this.#acked += n;
        return;
      case "dead":
        this.#dead += n;
        return;
      case "expired":
        this.#expired += n;
        return;
      case "abandoned":
        this.#abandoned += n;
        return;
      case "damaged":
        this.#damaged += n;
        return;
    }
  }

  /** Adds another ledger's counters to these, for totals over subscriptions. */
  merge(other: Ledger): void {
    for (const kind of LEDGER_KINDS) this.add(kind, other[kind]);
  }

  /**
   * Compares the derived pending with the one counted by walking the cursor.
   * @throws MeshError JOURNAL_DAMAGED with every counter in its details when they differ
   */
  assertBalanced(pendingCounted: number): void {
    if (this.pending === pendingCounted && pendingCounted >= 0) return;
    throw new MeshError(
      "JOURNAL_DAMAGED",
      `the loss ledger derives ${this.pending} pending messages but ${pendingCounted} were counted`,
      { details: { ...this.counts(), pending: this.pending, pendingCounted } },
    );
  }

  counts(): LedgerCounts {
    return {
      accepted: this.#accepted,
      acked: this.#acked,
      dead: this.#dead,
      expired: this.#expired,
      abandoned: this.#abandoned,
      damaged: this.#damaged,
    };
  }

  encode(): Uint8Array {
    const bytes = new Uint8Array(LEDGER_BYTES);
    const view = new DataView(bytes.buffer);
    bytes[0] = VERSION;
    LEDGER_KINDS.forEach((kind, index) => {
      view.setBigUint64(1 + index * 8, BigInt(this[kind]));
    });
    return bytes;
  }

  /** The inverse of `encode`. @throws MeshError JOURNAL_DAMAGED */
  static decode(bytes: Uint8Array): Ledger {
    if (bytes.length !== LEDGER_BYTES || bytes[0] !== VERSION) {
      throw new MeshError(
        "JOURNAL_DAMAGED",
        `a ledger row has ${bytes.length} B and version ${bytes[0]}; ` +
          `expected ${LEDGER_BYTES} B and version ${VERSION}`,
      );
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const ledger = new Ledger();
    LEDGER_KINDS.forEach((kind, index) => {
      const value = Number(view.getBigUint64(1 + index * 8));
      if (!Number.isSafeInteger(value)) {
        throw new MeshError("JOURNAL_DAMAGED", `a ledger row counts ${value} ${kind} messages`);
      }
      ledger.add(kind, value);
    });
    return ledger;
  }
}
