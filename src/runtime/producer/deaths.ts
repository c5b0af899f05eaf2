/**
 * What a member had when its process ended goes to others: when its lease has run out, or, of what has no owners, as
 * soon as its process is known to be gone.
 */
import type { ProducerHost } from "./producer-host.ts";
import type { SubscriptionState } from "./subscription-state.ts";

export class Deaths {
  readonly #producer: ProducerHost;

  constructor(producer: ProducerHost) {
    this.#producer = producer;
  }

  /** The node is dead in this producer's view, or has left, or has begun a new life. */
  dead(nodeId: string, how: "dead" | "left" | "restarted"): void {
    for (const state of [...this.#producer.table.all()]) {
      state.tokens?.over(nodeId, how);
      this.#over(state, nodeId, how !== "left");
    }
  }

  /** The process is gone for sure, its lease is not: what has no owners need not wait for that. */
  gone(nodeId: string): void {
    for (const state of [...this.#producer.table.all()]) {
      if (!state.isKeyed) this.#over(state, nodeId, true);
    }
  }

  #over(state: SubscriptionState, nodeId: string, died: boolean): void {
    const member = state.cursor.members.get(nodeId);
    if (member === undefined || state.outlets.has(nodeId)) return;
    if (!state.definition.failoverMove) return; // its messages wait for it
    const killers = state.cursor.leave(member, died);
    this.#producer.settling.killed(state, killers);
    this.#producer.pump(state);
  }
}
