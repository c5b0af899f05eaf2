/**
 * How messages end: settles of consumers, verdicts about held output, dead letters, expiry.
 *
 * A settle counts for a delivery number in flight in the present opening of its session, once. A message
 * whose output is held at its consumer is answered only when the cursor that passes it is on disk, together
 * with the row that says whose settle it was; that row stays until the consumer says the output is out.
 */
import type { Entry } from "../../core/entry.ts";
import { comparePositions, type Position, ZERO } from "../../core/position.ts";
import type { AcceptedEntry, Nack, SettleSection, Verdict } from "../../wire/settle.ts";
import { compositeKey, positionOfKey, prefixEnd } from "../journal/keys.ts";
import { PendingRows } from "../journal/pending-rows.ts";
import type { Link } from "../link/link.ts";
import type { Outlet } from "./outlet.ts";
import type { ProducerHost } from "./producer-host.ts";
import type { SubscriptionState } from "./subscription-state.ts";

/** Verdicts of one subscription told again at once. */
const REMIND_MAX = 4_096;
/** A verdict that its member did not confirm for so long is told again. */
const REMIND_MS = 5_000;

/** Whose settle was accepted, and when by the wall clock. */
type AcceptedRow = { readonly by: string; readonly atMs: number };

export class Settling {
  readonly #producer: ProducerHost;
  readonly #accepted: PendingRows;
  #remindedMs = 0;

  constructor(producer: ProducerHost) {
    this.#producer = producer;
    const { journal } = producer;
    this.#accepted = new PendingRows("accepted", journal.committer, journal);
  }

  settle(link: Link, sections: readonly SettleSection[]): void {
    for (const section of sections) {
      const outlet = this.#producer.outletsOf(link)?.byIndex.get(section.subscription);
      if (outlet === undefined) continue;
      const state = outlet.subscription;
      const settled = this.#acked(outlet, section.acked) + this.#held(outlet, section.held);
      this.#nacked(outlet, section.nacks);
      const { nodeId } = link.peer;
      for (const position of section.released) this.#released(state, position, nodeId);
      if (settled > 0) state.touched(settled, section.held.length > 0);
      this.#producer.pump(state);
    }
  }

  /** What became of messages whose output is held at the member that asks. */
  ask(link: Link, index: number, positions: readonly Position[]): void {
    const outlet = this.#producer.outletsOf(link)?.byIndex.get(index);
    if (outlet === undefined) return;
    const state = outlet.subscription;
    const { committer } = this.#producer.journal;
    // Verdicts of this moment; the sync that covers all they rest on returns before they are said.
    const entries = positions.map((position) => ({
      subscription: index,
      ...position,
      verdict: this.#verdict(state, position, link.peer.nodeId),
    }));
    committer.dirty(state);
    committer.onDurable((error) => {
      if (error !== undefined || !link.isUp) return;
      link.send({ type: "accepted", session: link.session, entries });
    });
  }

  /**
   * Verdicts of earlier sessions that the member never said it had acted on: what it let out before is
   * confirmed again, so that no row stays for ever.
   */
  remind(outlet: Outlet<SubscriptionState>): void {
    this.#remind(outlet.subscription, [outlet], () => true);
  }

  /** The same in a running session, from time to time: a verdict or what it was answered with was lost. */
  remindAgain(): void {
    const { env, journal, table } = this.#producer;
    const nowMs = env.clock.monotonicMs();
    if (nowMs - this.#remindedMs < REMIND_MS) return;
    this.#remindedMs = nowMs;
    if (journal.scan("accepted", { limit: 1 }).length === 0) return;
    const wallMs = env.clock.wallMs();
    for (const state of table.all()) {
      // A clock that was set back must not make a verdict young for ever.
      const isOld = (row: AcceptedRow): boolean => Math.abs(wallMs - row.atMs) >= REMIND_MS;
      this.#remind(state, [...state.outlets.values()], isOld);
    }
  }

  #remind(
    state: SubscriptionState,
    outlets: readonly Outlet<SubscriptionState>[],
    wanted: (row: AcceptedRow) => boolean,
  ): void {
    if (outlets.length === 0) return;
    const from = compositeKey(state.id);
    const to = prefixEnd(from);
    const range = to === undefined ? { from } : { from, to };
    const told = new Map<string, AcceptedEntry[]>();
    for (const { key } of this.#producer.journal.scan("accepted", {
      ...range,
      limit: REMIND_MAX,
    })) {
      const position = positionOfKey(key, from.length);
      const row = this.#acceptedRow(state, position);
      if (row === undefined || !wanted(row)) continue;
      const outlet = outlets.find(({ member }) => member.id === row.by);
      if (outlet === undefined) continue;
      const entries = told.get(row.by) ?? [];
      entries.push({ subscription: outlet.index, ...position, verdict: "yours" });
      told.set(row.by, entries);
    }
    for (const { link, member } of outlets) {
      const entries = told.get(member.id);
      if (entries !== undefined) {
        link.send({ type: "accepted", session: link.session, entries });
      }
    }
  }

  /** A member's process died with only these in flight, for the third time: each is an attempt. */
  killed(state: SubscriptionState, entries: readonly Entry[]): void {
    for (const entry of entries) {
      entry.attempts++;
      this.#note(state, entry, "ProcessDied", "the process died while it handled this message");
    }
  }

  // --- settles -------------------------------------------------------------------------------

  #acked(outlet: Outlet<SubscriptionState>, ranges: readonly number[]): number {
    const { opening, subscription } = outlet;
    const { cursor } = subscription;
    let acked = 0;
    // Ranges ascend, so that all of them together cost no more than the window, whatever a peer says.
    let from = opening.first;
    for (let at = 0; at + 1 < ranges.length; at += 2) {
      const first = ranges[at] as number;
      const end = Math.min(first + (ranges[at + 1] as number), opening.next);
      let number = Math.max(from, first);
      from = Math.max(from, end);
      for (; number < end; number++) {
        const entry = opening.take(number);
        if (entry === undefined || !cursor.settle(entry)) continue;
        acked++;
        if (entry.attempts > 0) subscription.errors.delete(entry);
      }
    }
    if (acked > 0) subscription.ledger.add("acked", acked);
    return acked;
  }

  #held(outlet: Outlet<SubscriptionState>, numbers: readonly number[]): number {
    if (numbers.length === 0) return 0;
    const { opening, subscription: state, link, index } = outlet;
    const { journal, env } = this.#producer;
    const entries: AcceptedEntry[] = [];
    for (const number of numbers) {
      const entry = opening.take(number);
      if (entry === undefined || !state.cursor.settle(entry)) continue;
      state.errors.delete(entry);
      const { epoch, seq } = entry;
      const row: AcceptedRow = { by: link.peer.nodeId, atMs: env.clock.wallMs() };
      this.#accepted.set(compositeKey(state.id, { epoch, seq }), Buffer.from(JSON.stringify(row)));
      entries.push({ subscription: index, epoch, seq, verdict: "yours" });
    }
    if (entries.length === 0) return 0;
    state.ledger.add("acked", entries.length);
    journal.committer.dirty(state);
    this.#tell(link, entries);
    return entries.length;
  }

  /** The verdicts leave after the sync of rows and cursor. When that fails the member asks for them. */
  #tell(link: Link, entries: readonly AcceptedEntry[]): void {
    this.#producer.journal.committer.onDurable((error) => {
      if (error !== undefined || !link.isUp) return;
      link.send({ type: "accepted", session: link.session, entries });
    });
  }

  #nacked(outlet: Outlet<SubscriptionState>, nacks: readonly Nack[]): void {
    const { opening, subscription: state } = outlet;
    const back: Entry[] = [];
    for (const nack of nacks) {
      const entry = opening.take(nack.number);
      if (entry === undefined) continue;
      if (nack.outcome === "dead") {
        entry.attempts = Math.max(entry.attempts, nack.attempts);
        this.#noteAll(state, entry, nack);
        this.#producer.deadLetterDesk.bury(outlet, entry, nack);
      } else if (nack.outcome === "retry" || nack.delayMs > 0) {
        if (nack.outcome === "retry") {
          entry.attempts = Math.max(entry.attempts + 1, nack.attempts);
          this.#noteAll(state, entry, nack);
        }
        const dueMs = this.#producer.env.clock.monotonicMs() + nack.delayMs;
        state.cursor.retry(outlet.member, entry, dueMs);
        state.touched(1, false);
      } else {
        back.push(entry);
      }
    }
    if (back.length > 0) state.cursor.giveBack(back);
    if (nacks.length > 0) this.#producer.armDue(state);
  }

  #noteAll(state: SubscriptionState, entry: Entry, nack: Nack): void {
    const { earlier, errorName, errorMessage } = nack;
    const kept = earlier.slice(-this.#producer.env.limits.deadLetterErrorsMax);
    for (const { name, message, agoMs } of kept) this.#note(state, entry, name, message, agoMs);
    if (errorMessage !== "" || errorName !== "") this.#note(state, entry, errorName, errorMessage);
  }

  #note(state: SubscriptionState, entry: Entry, name: string, message: string, agoMs = 0): void {
    const errors = state.errors.get(entry) ?? [];
    errors.push({ name, message, atMs: this.#producer.env.clock.wallMs() - agoMs });
    if (errors.length > this.#producer.env.limits.deadLetterErrorsMax) errors.shift();
    state.errors.set(entry, errors);
  }

  /** The member's output is out; what others say changes nothing. */
  #released(state: SubscriptionState, position: Position, nodeId: string): void {
    if (this.#acceptedBy(state, position) !== nodeId) return;
    this.#accepted.set(compositeKey(state.id, position), undefined);
  }

  #isSettled(state: SubscriptionState, { epoch, seq }: Position): boolean {
    const { head = ZERO, epoch: present } = this.#producer.journal;
    // Given by a life that this folder knows nothing of, and by no later one.
    if (epoch < present && comparePositions({ epoch, seq }, head) > 0) return true;
    const scanned = state.cursor.scanned;
    const read = epoch < scanned.epoch || (epoch === scanned.epoch && seq <= scanned.seq);
    return read && state.cursor.find(epoch, seq) === undefined;
  }

  #verdict(state: SubscriptionState, position: Position, nodeId: string): Verdict {
    const by = this.#acceptedBy(state, position);
    if (by !== undefined) return by === nodeId ? "yours" : "other";
    return this.#isSettled(state, position) ? "other" : "pending";
  }

  /** The member whose settle was accepted, while that is still to be told. */
  #acceptedBy(state: SubscriptionState, position: Position): string | undefined {
    return this.#acceptedRow(state, position)?.by;
  }

  #acceptedRow(state: SubscriptionState, position: Position): AcceptedRow | undefined {
    const row = this.#accepted.get(compositeKey(state.id, position));
    return row === undefined ? undefined : (JSON.parse(Buffer.from(row).toString()) as AcceptedRow);
  }
}
