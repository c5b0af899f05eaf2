/**
 * Output of handlers that waits until the producer has accepted the settle of the message it answers.
 *
 * Problem: a message may be handled by two members (one was thought dead); what both sent must leave once.
 * Approach: mark and output commit together; the output is held and leaves when the producer answered that
 * this member's settle was the one it accepted; "another's" discards it. A member that restarts asks again.
 *
 * Bounds: `heldMax` messages and the journal's reserve; at either the handler's commit is refused and the
 * message goes back to its producer, with no attempt counted. Beyond `heldMax` what stands before a held one
 * is taken: its producer may send that one again only after it, so that refusing it would keep both for ever.
 * Those are in flight here, so that credit bounds them.
 * Source: DESIGN section 7, "Held output".
 */
import { comparePositions, type Position } from "../../core/position.ts";
import type { Committer } from "../journal/committer.ts";
import { compositeKey } from "../journal/keys.ts";
import { PendingRows, type RowReader } from "../journal/pending-rows.ts";
import { decodeStaged, encodeStaged, type StagedMessage } from "./staged-message.ts";

export type HeldId = {
  readonly producer: string;
  readonly subscription: string;
  readonly epoch: number;
  readonly seq: number;
};

type Held = HeldId & {
  readonly key: Uint8Array;
  /** The output is on its way into the journal. */
  releasing: boolean;
  /** Monotonic milliseconds before which the producer is not asked. */
  askAtMs: number;
  /** Nobody else's settle can be accepted: it leaves without the producer's word. */
  readonly own: boolean;
  /** This member's term at the producer when the message was handled. */
  readonly term: number;
};

const SCAN_MAX = 4_096;
/** The producer's own answer comes first; asking is for what got lost. */
export const ASK_AFTER_MS = 5_000;

export class HeldOutput {
  readonly #rows: PendingRows;
  readonly #held = new Map<string, Held>();
  readonly #heldMax: number;
  /** Rows found at start that cannot be read; they stay where they are. */
  damaged = 0;

  constructor(store: RowReader, committer: Committer, heldMax: number) {
    this.#rows = new PendingRows("held", committer, store);
    this.#heldMax = heldMax;
    this.#restore(store);
  }

  get size(): number {
    return this.#held.size;
  }

  /** Whether output of this message may be kept. */
  hasRoom(id: HeldId): boolean {
    if (this.#held.size < this.#heldMax || this.has(id)) return true;
    for (const held of this.#held.values()) {
      if (held.producer !== id.producer || held.subscription !== id.subscription) continue;
      if (comparePositions(id, held) < 0) return true;
    }
    return false;
  }

  has(id: HeldId): boolean {
    return this.#held.size > 0 && this.#held.has(nameOf(id));
  }

  /**
   * Whether it was handled under another term than this: since then the key may have been with another
   * member, who handled an earlier message of it.
   */
  isStale(id: HeldId, term: number): boolean {
    const held = this.#held.size > 0 ? this.#held.get(nameOf(id)) : undefined;
    return held !== undefined && !held.own && !held.releasing && held.term !== term;
  }

  /** Keeps the output of a handled message, in place of what is there; durable with the batch that gathers. */
  add(
    id: HeldId,
    messages: readonly StagedMessage[],
    nowMs: number,
    how: { readonly own: boolean; readonly term: number },
  ): void {
    const { producer, subscription, epoch, seq } = id;
    const key = compositeKey(producer, subscription, { epoch, seq });
    const { own, term } = how;
    const held = { producer, subscription, epoch, seq, key, releasing: false, own, term };
    this.#held.set(nameOf(id), { ...held, askAtMs: nowMs + ASK_AFTER_MS });
    const body = encodeStaged(messages);
    const head = JSON.stringify({ producer, subscription, epoch, seq, own, term });
    this.#rows.set(key, Buffer.concat([Buffer.from(`${head}\n`), body]));
  }

  /** The output to release, once: undefined when there is none or it is on its way. */
  take(id: HeldId): StagedMessage[] | undefined {
    const held = this.#held.get(nameOf(id));
    if (held === undefined || held.releasing) return undefined;
    const row = this.#rows.get(held.key);
    if (row === undefined) return undefined;
    held.releasing = true;
    return decodeStaged(row.subarray(row.indexOf(0x0a) + 1));
  }

  /** The output left (or is discarded): its row goes with the batch that gathers. Returns what undoes that. */
  drop(id: HeldId): () => void {
    const name = nameOf(id);
    const held = this.#held.get(name);
    if (held === undefined) return () => {};
    const row = this.#rows.get(held.key);
    this.#held.delete(name);
    this.#rows.set(held.key, undefined);
    return () => {
      held.releasing = false;
      this.#held.set(name, held);
      this.#rows.set(held.key, row);
    };
  }

  /** It could not leave now. */
  putBack(id: HeldId): void {
    const held = this.#held.get(nameOf(id));
    if (held !== undefined) held.releasing = false;
  }

  /** What leaves without anybody's word. */
  own(): HeldId[] {
    return [...this.#held.values()].filter((held) => held.own && !held.releasing);
  }

  /** Subscriptions of which output for messages of this producer is held. */
  subscriptionsOf(producer: string): Set<string> {
    const names = new Set<string>();
    for (const held of this.#held.values()) {
      if (held.producer === producer) names.add(held.subscription);
    }
    return names;
  }

  /** Positions to ask a producer about, and when to ask again. */
  toAsk(producer: string, subscription: string, nowMs: number, all: boolean): Position[] {
    const positions: Position[] = [];
    for (const held of this.#held.values()) {
      if (held.producer !== producer || held.subscription !== subscription) continue;
      if (held.own || held.releasing || (!all && held.askAtMs > nowMs)) continue;
      held.askAtMs = nowMs + ASK_AFTER_MS;
      positions.push({ epoch: held.epoch, seq: held.seq });
      if (positions.length >= SCAN_MAX) break;
    }
    return positions;
  }

  #restore(store: RowReader): void {
    let from: Uint8Array | undefined;
    for (;;) {
      const options = from === undefined ? { limit: SCAN_MAX } : { limit: SCAN_MAX, from };
      const rows = store.scan("held", options);
      for (const { key, value } of rows) {
        const id = headOf(value);
        if (id === undefined) this.damaged++;
        else this.#held.set(nameOf(id), { ...id, key, releasing: false, askAtMs: 0 });
      }
      const last = rows.at(-1);
      if (last === undefined || rows.length < SCAN_MAX) return;
      from = Buffer.concat([last.key, Uint8Array.of(0)]);
    }
  }
}

const headOf = (
  row: Uint8Array,
): (HeldId & { readonly own: boolean; readonly term: number }) | undefined => {
  try {
    const head = JSON.parse(Buffer.from(row.subarray(0, row.indexOf(0x0a))).toString());
    const { producer, subscription, epoch, seq, own, term } = head;
    if (typeof producer !== "string" || typeof subscription !== "string") return undefined;
    if (!Number.isSafeInteger(epoch) || !Number.isSafeInteger(seq)) return undefined;
    const known = Number.isSafeInteger(term) ? term : 0;
    return { producer, subscription, epoch, seq, own: own === true, term: known };
  } catch {
    return undefined;
  }
};

const nameOf = ({ producer, subscription, epoch, seq }: HeldId): string =>
  `${producer} ${epoch}:${seq} ${subscription}`;
