/**
 * Idempotency keys of callers: a second call with a key gives the first receipt.
 *
 * A key's row commits with the message. Rows are found by key and, in a second row, by time, so that the
 * oldest go first. Bounds: `idempotencyMs` in age, `keysMax` in number (the oldest is forgotten).
 */
import type { Position } from "../../core/position.ts";
import type { Committer } from "../journal/committer.ts";
import { compositeKey } from "../journal/keys.ts";
import { PendingRows, type RowReader } from "../journal/pending-rows.ts";

type Row = { readonly position: Position; readonly id: string | undefined; readonly atMs: number };

const SWEEP_MAX = 64;
const COUNT_STEP = 4_096;

export class Idempotency {
  readonly #reader: RowReader;
  readonly #rows: PendingRows;
  readonly #ageMs: number;
  readonly #keysMax: number;
  #count: number | undefined;

  constructor(reader: RowReader, committer: Committer, ageMs: number, keysMax: number) {
    this.#reader = reader;
    this.#rows = new PendingRows("idempotency", committer, reader);
    this.#ageMs = ageMs;
    this.#keysMax = keysMax;
  }

  /** What the first call with this key was given, if it is remembered. */
  find(key: string, nowMs: number): Row | undefined {
    const bytes = this.#rows.get(compositeKey("key", key));
    if (bytes === undefined) return undefined;
    const row = JSON.parse(Buffer.from(bytes).toString()) as Row;
    return nowMs - row.atMs <= this.#ageMs ? row : undefined;
  }

  /** Remembers it with the batch that gathers; the result undoes that when the batch fails. */
  add(key: string, position: Position, id: string | undefined, nowMs: number): () => void {
    this.#sweep(nowMs);
    const row: Row = { position, id, atMs: nowMs };
    const byKey = compositeKey("key", key);
    const byTime = compositeKey("time", Math.round(nowMs), position);
    this.#rows.set(byKey, Buffer.from(JSON.stringify(row)));
    this.#rows.set(byTime, Buffer.from(key));
    this.#count = this.#counted() + 1;
    return () => {
      this.#rows.set(byKey, undefined);
      this.#rows.set(byTime, undefined);
      this.#count = this.#counted() - 1;
    };
  }

  /** A few of the oldest go with every new one, when they are too old or too many. */
  #sweep(nowMs: number): void {
    const from = compositeKey("time");
    for (const { key, value } of this.#reader.scan("idempotency", { from, limit: SWEEP_MAX })) {
      const atMs = Buffer.from(key.subarray(from.length)).readUIntBE(2, 6);
      if (nowMs - atMs <= this.#ageMs && this.#counted() < this.#keysMax) return;
      if (this.#rows.get(key) === undefined) continue;
      this.#rows.set(key, undefined);
      const byKey = compositeKey("key", Buffer.from(value).toString());
      const row = this.#rows.get(byKey);
      // The key may have been used again since.
      if (row !== undefined && JSON.parse(Buffer.from(row).toString()).atMs <= atMs + 1) {
        this.#rows.set(byKey, undefined);
      }
      this.#count = this.#counted() - 1;
    }
  }

  #counted(): number {
    if (this.#count !== undefined) return this.#count;
    let count = 0;
    let from = compositeKey("time");
    for (;;) {
      const rows = this.#reader.scan("idempotency", { from, limit: COUNT_STEP });
      count += rows.length;
      const last = rows.at(-1);
      if (last === undefined || rows.length < COUNT_STEP) break;
      from = Buffer.concat([last.key, Uint8Array.of(0)]);
    }
    this.#count = count;
    return count;
  }
}
