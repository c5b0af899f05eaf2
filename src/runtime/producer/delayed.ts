/**
 * Messages that were accepted for later: kept in order of their due time, appended when it has come.
 *
 * A delayed message takes its position (and so its id) when it is accepted; the record at that position is
 * empty and concerns nobody. When due, it is appended anew with its id, in the commit that removes its row.
 * One timer waits for the earliest. Bound: the journal's bytes, of which delayed messages count theirs.
 */
import type { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { Environment } from "../environment.ts";
import type { Committer } from "../journal/committer.ts";
import { compositeKey } from "../journal/keys.ts";
import { PendingRows, type RowReader } from "../journal/pending-rows.ts";

export type DelayedMessage = {
  readonly kind: 0 | 1;
  readonly subject: string;
  readonly keyHash: number;
  /** Wall milliseconds, or -1. */
  readonly expireAtMs: number;
  readonly messageId: string;
  readonly envelope: Uint8Array;
};

export interface DelayedHost {
  readonly env: Environment;
  /** Appends it in the batch that gathers; false when there is no room or the journal fails. */
  appendDue(message: DelayedMessage, done: (error: MeshError | undefined) => void): boolean;
}

/** Nothing is tried more often than this when there is no room. */
const AGAIN_MS = 250;
const DUE_MAX = 256;
/** About how long a commit takes. */
const COMMIT_MS = 5;
/** Timers are not set further than this, so that a jump of the wall clock is noticed. */
const TIMER_MS_MAX = 30_000;

export class Delayed {
  readonly #host: DelayedHost;
  readonly #store: RowReader;
  readonly #rows: PendingRows;
  readonly #committer: Committer;
  readonly #moving = new Set<string>();
  #timer: Timer | undefined;
  /** Monotonic milliseconds for which the timer is set. */
  #wakeAtMs = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(host: DelayedHost, store: RowReader, committer: Committer) {
    this.#host = host;
    this.#store = store;
    this.#committer = committer;
    this.#rows = new PendingRows("delayed", committer, store);
  }

  /** Looks for what fell due while the node was away. */
  start(): void {
    this.#arm(0);
  }

  stop(): void {
    this.#stopped = true;
    if (this.#timer !== undefined) this.#host.env.clock.clearTimer(this.#timer);
  }

  add(
    dueMs: number,
    position: { readonly epoch: number; readonly seq: number },
    message: DelayedMessage,
  ): void {
    const { envelope, ...head } = message;
    const json = Buffer.from(`${JSON.stringify(head)}\n`);
    const row = Buffer.concat([json, envelope]);
    const key = compositeKey(Math.round(dueMs), position);
    this.#rows.set(key, row);
    // What was not accepted must not come up later, when the row would be written again.
    this.#committer.onDurable((error) => {
      if (error !== undefined) this.#rows.set(key, undefined);
    });
    this.#arm(dueMs - this.#host.env.clock.wallMs());
  }

  #arm(delayMs: number): void {
    const { clock } = this.#host.env;
    const waitMs = Math.min(TIMER_MS_MAX, Math.max(0, delayMs));
    const wakeAtMs = clock.monotonicMs() + waitMs;
    if (this.#timer !== undefined) {
      if (this.#wakeAtMs <= wakeAtMs) return;
      clock.clearTimer(this.#timer);
    }
    this.#wakeAtMs = wakeAtMs;
    this.#timer = clock.setTimer(waitMs, () => {
      this.#timer = undefined;
      if (!this.#stopped) this.#wake();
    });
  }

  #wake(): void {
    const now = this.#host.env.clock.wallMs();
    const notYet = compositeKey(now + 1);
    const due = this.#store.scan("delayed", { to: notYet, limit: DUE_MAX });
    const next = due.length < DUE_MAX ? { from: notYet, limit: 1 } : { limit: 0 };
    const rows = [...due, ...this.#store.scan("delayed", next)];
    let nextMs = TIMER_MS_MAX;
    for (const { key, value } of rows) {
      const dueMs = readUint53(key);
      if (dueMs > now) {
        nextMs = dueMs - now;
        break;
      }
      const name = Buffer.from(key).toString("latin1");
      if (this.#moving.has(name) || this.#rows.get(key) === undefined) continue;
      if (!this.#move(name, key, value)) {
        nextMs = AGAIN_MS;
        break;
      }
      nextMs = 0; // there may be more than one scan brings
    }
    // Rows that are not committed yet do not show in the scan.
    if (this.#rows.size > 0) nextMs = Math.min(nextMs, COMMIT_MS);
    else if (rows.length === 0) return;
    this.#arm(Math.max(nextMs, this.#moving.size > 0 ? COMMIT_MS : 0));
  }

  #move(name: string, key: Uint8Array, row: Uint8Array): boolean {
    const split = row.indexOf(0x0a);
    const head = JSON.parse(Buffer.from(row.subarray(0, split)).toString());
    this.#moving.add(name);
    const moved = this.#host.appendDue({ ...head, envelope: row.subarray(split + 1) }, (error) => {
      this.#moving.delete(name);
      if (error !== undefined) this.#rows.set(key, row);
    });
    if (moved) this.#rows.set(key, undefined);
    else this.#moving.delete(name);
    return moved;
  }
}

const readUint53 = (key: Uint8Array): number => {
  const buffer = Buffer.from(key.buffer, key.byteOffset, key.length);
  return buffer.readUInt32BE(0) * 0x1_0000_0000 + buffer.readUInt32BE(4);
};
