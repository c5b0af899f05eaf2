/**
 * Whose settle of a message with held output was accepted: written with the cursor that passes the message, kept
 * until that member says that the output is out.
 *
 * Problem: the word "yours" may be lost, or what it is answered with, and the member may come back with a program
 * that does not declare the subscription any more. Approach: it is repeated when the member declares the
 * subscription, and every `REMIND_MS` to every member that is linked: under the index it declared, else under the
 * subscription's name.
 */
import { comparePositions, type Position, ZERO } from "../../core/position.ts";
import type { AcceptedEntry, Verdict } from "../../wire/settle.ts";
import { compositeKey, positionOfKey, prefixEnd } from "../journal/keys.ts";
import { PendingRows } from "../journal/pending-rows.ts";
import type { Link } from "../link/link.ts";
import type { Outlet } from "./outlet.ts";
import type { ProducerHost } from "./producer-host.ts";
import type { SubscriptionState } from "./subscription-state.ts";

/** Verdicts told again at once. */
const REMIND_MAX = 4_096;
/** A verdict that its member did not confirm for so long is told again. */
const REMIND_MS = 5_000;

/** Who, when by the wall clock, and of which subscription. */
type Row = { readonly by: string; readonly atMs: number; readonly of: string };

export class Verdicts {
  readonly #host: ProducerHost;
  readonly #rows: PendingRows;
  #remindedMs = 0;
  /** Where the next reminder goes on; undefined: from the first. */
  #from: Uint8Array | undefined;

  constructor(host: ProducerHost) {
    this.#host = host;
    const { journal } = host;
    this.#rows = new PendingRows("accepted", journal.committer, journal);
  }

  /** The member's settle is the accepted one. */
  add(subscription: string, position: Position, nodeId: string): void {
    const atMs = this.#host.env.clock.wallMs();
    const row: Row = { by: nodeId, atMs, of: subscription };
    this.#rows.set(compositeKey(subscription, position), Buffer.from(JSON.stringify(row)));
  }

  /** The member's output is out; what others say changes nothing. */
  released(subscription: string, position: Position, nodeId: string): void {
    const key = compositeKey(subscription, position);
    if (this.#read(key)?.by === nodeId) this.#rows.set(key, undefined);
  }

  /** What became of a message whose output is held at this member. */
  of(subscription: string, position: Position, nodeId: string): Verdict {
    const by = this.#read(compositeKey(subscription, position))?.by;
    if (by !== undefined) return by === nodeId ? "yours" : "other";
    const state = this.#host.table.get(subscription);
    // Nothing of a subscription that has ended is accepted any more.
    return state === undefined || this.#isSettled(state, position) ? "other" : "pending";
  }

  /** Says again to a member that declares the subscription what it never said it had acted on. */
  remind({ subscription: state, link, index }: Outlet<SubscriptionState>): void {
    const from = compositeKey(state.id);
    const to = prefixEnd(from);
    const range = to === undefined ? { from } : { from, to };
    const entries: AcceptedEntry[] = [];
    for (const { key } of this.#host.journal.scan("accepted", { ...range, limit: REMIND_MAX })) {
      if (this.#read(key)?.by !== link.peer.nodeId) continue;
      const position = positionOfKey(key, from.length);
      entries.push({ subscription: index, name: "", ...position, verdict: "yours" });
    }
    tell(link, entries);
  }

  /** The same in a running session, from time to time. */
  remindAgain(): void {
    const { clock } = this.#host.env;
    const nowMs = clock.monotonicMs();
    if (nowMs - this.#remindedMs < REMIND_MS) return;
    this.#remindedMs = nowMs;
    const told = new Map<Link, AcceptedEntry[]>();
    for (const { key, row } of this.#next()) {
      // A clock that was set back must not make a verdict young for ever.
      if (Math.abs(clock.wallMs() - row.atMs) < REMIND_MS) continue;
      const link = this.#host.linkTo(row.by);
      if (link === undefined) continue;
      const outlet = this.#host.table.get(row.of)?.outlets.get(row.by);
      const how = outlet === undefined ? { subscription: 0, name: row.of } : named(outlet);
      const position = positionOfKey(key, compositeKey(row.of).length);
      const entries = told.get(link) ?? [];
      entries.push({ ...how, ...position, verdict: "yours" });
      told.set(link, entries);
    }
    for (const [link, entries] of told) tell(link, entries);
  }

  /** A stretch of the rows, in turn. */
  #next(): { key: Uint8Array; row: Row }[] {
    const from = this.#from === undefined ? {} : { from: this.#from };
    const entries = this.#host.journal.scan("accepted", { ...from, limit: REMIND_MAX });
    const last = entries.at(-1);
    const isWhole = last === undefined || entries.length < REMIND_MAX;
    this.#from = isWhole ? undefined : Buffer.concat([last.key, Uint8Array.of(0)]);
    return entries.flatMap(({ key }) => {
      const row = this.#read(key);
      return row === undefined ? [] : [{ key, row }];
    });
  }

  #isSettled(state: SubscriptionState, { epoch, seq }: Position): boolean {
    const { head = ZERO, epoch: present } = this.#host.journal;
    // Given by a life that this folder knows nothing of, and by no later one.
    if (epoch < present && comparePositions({ epoch, seq }, head) > 0) return true;
    const { scanned } = state.cursor;
    const read = epoch < scanned.epoch || (epoch === scanned.epoch && seq <= scanned.seq);
    return read && state.cursor.find(epoch, seq) === undefined;
  }

  #read(key: Uint8Array): Row | undefined {
    const row = this.#rows.get(key);
    return row === undefined ? undefined : (JSON.parse(Buffer.from(row).toString()) as Row);
  }
}

const named = (outlet: Outlet<SubscriptionState>): { subscription: number; name: string } => ({
  subscription: outlet.index,
  name: "",
});

const tell = (link: Link, entries: readonly AcceptedEntry[]): void => {
  if (entries.length > 0) link.send({ type: "accepted", session: link.session, entries });
};
