/**
 * Durable subscriptions that were ended for good, so that a node that was away does not bring them back.
 *
 * Invariants: of one name the latest end is kept; they stand in the order in which they ended. Bounds: TOMBSTONES_MAX, the oldest goes; KEPT_MS, after which a node
 * that was away for longer may bring one back. Rows: "ended", id -> JSON.
 */
import type { EndedSubscription, SubscriptionRecord } from "../../wire/declare.ts";
import type { Journal } from "../journal/journal.ts";
import { compositeKey, prefixEnd } from "../journal/keys.ts";
import { PendingRows } from "../journal/pending-rows.ts";
import { subscriptionId } from "../subscription-id.ts";
import { isLater } from "./definitions.ts";

const TOMBSTONES_MAX = 4_096;
const KEPT_MS = 30 * 24 * 3_600_000;

/** With keys: whose word it is, a signed entry in base64. */
export type KeptEnd = EndedSubscription & { readonly signed?: string };

export class Tombstones {
  readonly #rows: PendingRows;
  readonly #ended = new Map<string, KeptEnd>();

  constructor(journal: Journal, wallMs: number) {
    this.#rows = new PendingRows("directory", journal.committer, journal);
    const from = compositeKey("ended");
    const to = prefixEnd(from);
    const bounds = to === undefined ? { from } : { from, to };
    const rows = journal.scan("directory", { ...bounds, limit: TOMBSTONES_MAX });
    const known = rows.map(({ value }) => JSON.parse(Buffer.from(value).toString()) as KeptEnd);
    for (const ended of known.sort((a, b) => (isLater(a.time, b.time) ? 1 : -1))) {
      if (wallMs - ended.time.ms > KEPT_MS) this.#forget(idOf(ended));
      else this.#ended.set(idOf(ended), ended);
    }
  }

  all(): IterableIterator<KeptEnd> {
    return this.#ended.values();
  }

  add(ended: KeptEnd): void {
    const id = idOf(ended);
    const known = this.#ended.get(id);
    // The same end again may come with somebody's word for it.
    const isVouched = ended.signed !== undefined && known?.signed === undefined;
    const isSame = isVouched && known !== undefined && !isLater(known.time, ended.time);
    if (known !== undefined && !isLater(ended.time, known.time) && !isSame) return;
    this.#ended.delete(id);
    this.#ended.set(id, ended);
    this.#rows.set(compositeKey("ended", id), Buffer.from(JSON.stringify(ended)));
    if (this.#ended.size <= TOMBSTONES_MAX) return;
    const [oldest] = this.#ended.keys();
    if (oldest !== undefined) this.#forget(oldest);
  }

  /** The end after its birth, if it has one. */
  over(
    record: Pick<SubscriptionRecord, "role" | "group" | "pattern" | "birthTime">,
  ): KeptEnd | undefined {
    const ended = this.#ended.get(idOf(record));
    return ended !== undefined && !isLater(record.birthTime, ended.time) ? ended : undefined;
  }

  /** Somebody subscribes anew under a name that was ended: born after that, whatever its disk says. */
  reborn(record: SubscriptionRecord): SubscriptionRecord {
    const ended = this.#ended.get(idOf(record));
    if (ended === undefined || isLater(record.birthTime, ended.time)) return record;
    const { ms, counter } = ended.time;
    return { ...record, birthTime: { ms, counter: counter + 1 } };
  }

  #forget(id: string): void {
    this.#ended.delete(id);
    this.#rows.set(compositeKey("ended", id), undefined);
  }
}

/** A claim of a command is one group's. */
const idOf = (one: Pick<EndedSubscription, "role" | "group" | "pattern">): string =>
  one.role === "commands" ? `${subscriptionId(one)} ${one.group}` : subscriptionId(one);
