/**
 * How messages end: settles of consumers, verdicts about held output, dead letters, expiry.
 *
 * A settle counts for a delivery number in flight in the present opening of its session, once. A message
 * whose output is held at its consumer is answered only when the cursor that passes it is on disk, together
 * with the row that says whose settle it was; that row stays until the consumer says the output is out.
 */
import type { Entry } from "../../core/entry.ts";
import type { AcceptedEntry, AskFrame, Nack, SettleSection } from "../../wire/settle.ts";
import type { Link } from "../link/link.ts";
import type { Outlet } from "./outlet.ts";
import type { ProducerHost } from "./producer-host.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import { Verdicts } from "./verdicts.ts";

export class Settling {
  readonly #producer: ProducerHost;
  readonly verdicts: Verdicts;

  constructor(producer: ProducerHost) {
    this.#producer = producer;
    this.verdicts = new Verdicts(producer);
  }

  settle(link: Link, sections: readonly SettleSection[]): void {
    for (const section of sections) {
      const outlet = this.#producer.outletsOf(link)?.byIndex.get(section.subscription);
      if (outlet === undefined) continue;
      const state = outlet.subscription;
      const settled = this.#acked(outlet, section.acked) + this.#held(outlet, section.held);
      this.#nacked(outlet, section.nacks);
      const { nodeId } = link.peer;
      for (const at of section.released) this.verdicts.released(state.id, at, nodeId);
      if (settled > 0) state.touched(settled, section.held.length > 0);
      this.#producer.pump(state);
    }
  }

  /**
   * What became of messages whose output is held at the member that asks, under the index it declared or, where
   * it declares the subscription no more, under its name.
   */
  ask(link: Link, { subscription: index, name, positions, released }: AskFrame): void {
    const { nodeId } = link.peer;
    const outlet = this.#producer.outletsOf(link)?.byIndex.get(index);
    const id = name === "" ? outlet?.subscription.id : name;
    if (id === undefined) return;
    for (const position of released) this.verdicts.released(id, position, nodeId);
    if (positions.length === 0) return;
    // Verdicts of this moment; the sync that covers all they rest on returns before they are said.
    const entries = positions.map((position) => ({
      subscription: index,
      name,
      ...position,
      verdict: this.verdicts.of(id, position, nodeId),
    }));
    const state = this.#producer.table.get(id);
    if (state !== undefined) this.#producer.journal.committer.dirty(state);
    this.#tell(link, entries);
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
    const { journal } = this.#producer;
    const entries: AcceptedEntry[] = [];
    for (const number of numbers) {
      const entry = opening.take(number);
      if (entry === undefined || !state.cursor.settle(entry)) continue;
      state.errors.delete(entry);
      const { epoch, seq } = entry;
      this.verdicts.add(state.id, { epoch, seq }, link.peer.nodeId);
      entries.push({ subscription: index, name: "", epoch, seq, verdict: "yours" });
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
}
