/**
 * Dead letters of the messages this node owns: kept with their bodies until replayed or discarded.
 *
 * A row is written in the same commit as the cursor that passes the message. A replay is a new journal
 * entry addressed to the one subscription, in the same commit that removes the row; where dead letters
 * stop their key ("hold") the message itself is tried again, before what waits behind it.
 *
 * Bound: a tenth of the journal's bytes; at it the subscription pauses and says so.
 */
import { MeshError } from "../../errors.ts";
import { EnvelopeView } from "../../wire/envelope.ts";
import type { Committer } from "../journal/committer.ts";
import { compositeKey } from "../journal/keys.ts";
import { PendingRows, type RowReader } from "../journal/pending-rows.ts";
import type { AttemptError } from "./subscription-state.ts";

export type DeadLetterHead = {
  /** Names this dead letter: the message's id and the subscription. */
  readonly id: string;
  readonly messageId: string;
  readonly subscription: string;
  readonly group: string;
  readonly subject: string;
  readonly kind: "event" | "command";
  readonly epoch: number;
  readonly seq: number;
  readonly keyHash: number;
  readonly reason: string;
  /** Attempts made, the last included. */
  readonly attempts: number;
  /** The last errors, oldest first. */
  readonly errors: readonly AttemptError[];
  /** Wall milliseconds. */
  readonly deadAtMs: number;
  /** Its key is stopped until this is replayed or discarded. */
  readonly holds: boolean;
};

export type DeadLetter = DeadLetterHead & {
  readonly key: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly contentType: string;
  readonly payload: Uint8Array;
};

export type DeadLetterFilter = {
  /** Subscription id, or group; absent: all. */
  readonly subscription?: string;
  /** At most this many; default 100, at most 1,000. */
  readonly limit?: number;
  /** The id after which to go on. */
  readonly after?: string;
};

const SCAN_MAX = 256;
const LIST_MAX = 1_000;

export class DeadLetters {
  readonly #store: RowReader;
  readonly #rows: PendingRows;
  readonly #bytesMax: number;
  #bytes = 0;
  #count = 0;

  constructor(store: RowReader, committer: Committer, bytesMax: number) {
    this.#store = store;
    this.#rows = new PendingRows("dead", committer, store);
    this.#bytesMax = bytesMax;
    for (const { value } of this.#scan()) {
      this.#bytes += value.length;
      this.#count++;
    }
  }

  get count(): number {
    return this.#count;
  }

  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.#bytesMax;
  }

  add(head: DeadLetterHead, envelope: Uint8Array): void {
    const json = Buffer.from(`${JSON.stringify(head)}\n`);
    const row = Buffer.concat([json, envelope]);
    const key = keyOf(head);
    const before = this.#rows.get(key);
    this.#bytes += row.length - (before?.length ?? 0);
    if (before === undefined) this.#count++;
    this.#rows.set(key, row);
  }

  /** Dead letters in order of subscription and position, without bodies. Reads durable rows. */
  list(filter: DeadLetterFilter): DeadLetterHead[] {
    const limit = Math.min(filter.limit ?? 100, LIST_MAX);
    const found: DeadLetterHead[] = [];
    let skipping = filter.after !== undefined;
    for (const { key, value } of this.#scan()) {
      if (this.#rows.get(key) === undefined) continue;
      const head = headOf(value);
      if (skipping) {
        if (head.id === filter.after) skipping = false;
        continue;
      }
      const wanted = filter.subscription;
      if (wanted !== undefined && head.subscription !== wanted && head.group !== wanted) continue;
      found.push(head);
      if (found.length >= limit) break;
    }
    return found;
  }

  get(id: string): DeadLetter | undefined {
    const found = this.#find(id);
    if (found === undefined) return undefined;
    const view = new EnvelopeView(found.envelope);
    const { key, headers, contentType, payload } = view;
    return { ...found.head, key, headers, contentType, payload: Uint8Array.from(payload) };
  }

  /** Head and body of a dead letter. */
  take(id: string): { head: DeadLetterHead; envelope: Uint8Array } | undefined {
    return this.#find(id);
  }

  /** The row goes with the batch that gathers; the result undoes that when the batch fails. */
  remove(head: DeadLetterHead): () => void {
    const key = keyOf(head);
    const row = this.#rows.get(key);
    if (row === undefined) return () => {};
    this.#bytes -= row.length;
    this.#count--;
    this.#rows.set(key, undefined);
    return () => {
      this.#bytes += row.length;
      this.#count++;
      this.#rows.set(key, row);
    };
  }

  #find(id: string): { head: DeadLetterHead; envelope: Uint8Array } | undefined {
    for (const { key } of this.#scan()) {
      const row = this.#rows.get(key);
      if (row === undefined) continue;
      const head = headOf(row);
      if (head.id !== id) continue;
      return { head, envelope: row.subarray(row.indexOf(0x0a) + 1) };
    }
    return undefined;
  }

  *#scan(): IterableIterator<{ key: Uint8Array; value: Uint8Array }> {
    let from: Uint8Array | undefined;
    for (;;) {
      const options = from === undefined ? { limit: SCAN_MAX } : { from, limit: SCAN_MAX };
      const rows = this.#store.scan("dead", options);
      yield* rows;
      const last = rows.at(-1);
      if (last === undefined || rows.length < SCAN_MAX) return;
      from = Buffer.concat([last.key, Uint8Array.of(0)]);
    }
  }
}

export const deadLetterId = (messageId: string, subscription: string): string =>
  `${messageId}/${subscription}`;

export const unknownDeadLetter = (id: string): MeshError =>
  new MeshError("INVALID_OPTIONS", `there is no dead letter "${id}" here`, { details: { id } });

const keyOf = (head: DeadLetterHead): Uint8Array =>
  compositeKey(head.subscription, { epoch: head.epoch, seq: head.seq });

const headOf = (row: Uint8Array): DeadLetterHead =>
  JSON.parse(Buffer.from(row.subarray(0, row.indexOf(0x0a))).toString());
