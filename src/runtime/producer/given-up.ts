/**
 * Where a subscription begins, which this producer may have known before and given up.
 *
 * Problem: a subscription that is not durable is forgotten some time after its last member was seen here, and what was
 * pending is abandoned. Its members may live on beyond a cut, and declare it again with the birth they know: begun there
 * it would be owed again what it has handled, what was abandoned, and what failed for good and lies in the dead letters.
 * Approach: the head of the journal at that moment is kept; the same subscription begins no earlier. One that was born
 * later is another one, and begins where it asks to.
 *
 * Bound: GIVEN_UP_MAX, the oldest goes, and what the log does not reach back to goes at a start. Rows: "over", id -> JSON.
 */
import { comparePositions, type Position, ZERO } from "../../core/position.ts";
import type { SubscriptionRecord } from "../../wire/declare.ts";
import type { HybridTime } from "../../wire/hybrid-time.ts";
import type { Journal } from "../journal/journal.ts";
import { compositeKey, prefixEnd } from "../journal/keys.ts";
import { PendingRows } from "../journal/pending-rows.ts";
import { subscriptionId } from "../subscription-id.ts";
import { isLater } from "./definitions.ts";
import { startAt } from "./start-position.ts";

export const GIVEN_UP_MAX = 4_096;

type GivenUpAt = { readonly id: string; readonly head: Position; readonly time: HybridTime };

export class GivenUp {
  readonly #journal: Journal;
  readonly #rows: PendingRows;
  readonly #known = new Map<string, GivenUpAt>();

  constructor(journal: Journal) {
    this.#journal = journal;
    this.#rows = new PendingRows("directory", journal.committer, journal);
    const from = compositeKey("over");
    const to = prefixEnd(from);
    const bounds = to === undefined ? { from } : { from, to };
    const rows = journal.scan("directory", { ...bounds, limit: GIVEN_UP_MAX });
    const known = rows.map(({ value }) => JSON.parse(Buffer.from(value).toString()) as GivenUpAt);
    for (const one of known.sort((a, b) => (isLater(a.time, b.time) ? 1 : -1))) {
      this.#known.set(one.id, one);
      if (!this.#isInLog(one.head)) this.#forget(one.id);
    }
  }

  /** A subscription that is not durable was forgotten: whatever is in the journal now is not owed to it. */
  add(id: string, time: HybridTime): void {
    const one = { id, head: this.#journal.head ?? ZERO, time };
    this.#known.delete(id);
    this.#known.set(id, one);
    this.#rows.set(compositeKey("over", id), Buffer.from(JSON.stringify(one)));
    if (this.#known.size <= GIVEN_UP_MAX) return;
    const [oldest] = this.#known.keys();
    if (oldest !== undefined) this.#forget(oldest);
  }

  /** The position after which it begins. */
  startOf(record: SubscriptionRecord): Position {
    const id = subscriptionId(record);
    const start = this.#asked(record);
    const over = this.#known.get(id);
    if (over === undefined) return start;
    this.#forget(id);
    if (isLater(record.birthTime, over.time)) return start;
    return comparePositions(start, over.head) < 0 ? over.head : start;
  }

  #asked(record: SubscriptionRecord): Position {
    if (record.start === "earliest") return ZERO;
    if (record.start === "time") {
      return startAt(this.#journal, { ms: record.startTimeMs, counter: 0 });
    }
    return startAt(this.#journal, record.birthTime);
  }

  #isInLog(position: Position): boolean {
    const { tail } = this.#journal;
    return tail !== undefined && comparePositions(position, tail) >= 0;
  }

  #forget(id: string): void {
    this.#known.delete(id);
    this.#rows.set(compositeKey("over", id), undefined);
  }
}
