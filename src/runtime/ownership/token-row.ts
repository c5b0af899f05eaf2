/**
 * The row in which a node keeps what it has heard of a subscription's tokens, and which registers are safe.
 *
 * Problem: a producer that restarts must not go back to a holder that another one had overtaken before, or a
 * later message would be accepted under a smaller fence. Approach: the whole table is one row, written with
 * the next commit after a change; a register is *safe* once it is on the disk, and a producer sends under
 * safe registers only. So a word of others that lets nobody send is in no hurry.
 *
 * Invariant: `isSafe(s)` implies that the register of s as it stands is durable, or differs from what is by a
 * phase in which the same token may be used alike.
 */
import { SHARD_COUNT } from "../../core/shard-map.ts";
import { isUsable, type TokenEntry, type TokenTable } from "../../core/token-table.ts";
import type { MeshError } from "../../errors.ts";
import type { CommitOwner } from "../journal/commit-owner.ts";
import type { Committer } from "../journal/committer.ts";
import { compositeKey } from "../journal/keys.ts";
import type { RowReader } from "../journal/pending-rows.ts";

const SAFE = 0;
const CHANGED = 1;
const WRITING = 2;

type Row = { readonly v: 1; readonly entries: readonly TokenEntry[] };

export class TokenRow implements CommitOwner {
  readonly #key: Uint8Array;
  readonly #table: TokenTable;
  readonly #committer: Committer;
  readonly #onSafe: (shards: readonly number[]) => void;
  readonly #states = new Uint8Array(SHARD_COUNT);
  #ended = false;

  /** `onSafe`: registers of these shards, which had changed, are on the disk. */
  constructor(
    id: string,
    table: TokenTable,
    committer: Committer,
    onSafe: (shards: readonly number[]) => void,
  ) {
    this.#key = compositeKey("t", id);
    this.#table = table;
    this.#committer = committer;
    this.#onSafe = onSafe;
  }

  isSafe(shard: number): boolean {
    return this.#states[shard] === SAFE;
  }

  /** What an earlier life kept. @throws RangeError, SyntaxError for a row that cannot be read */
  restore(store: RowReader, nowMs: number): void {
    const bytes = store.get("cursor", this.#key);
    if (bytes === undefined) return;
    const row = JSON.parse(Buffer.from(bytes).toString()) as Row;
    if (row.v !== 1) throw new RangeError(`token row of unknown version ${row.v}`);
    this.#table.merge(row.entries, nowMs);
  }

  /**
   * These registers are others now, by this node's own word or another's. Those of others under which nothing is
   * sent bring no commit about: the next holder's word, which comes soon, would have to wait for its end.
   */
  changed(shards: readonly number[], isOwn: boolean): void {
    let isUrgent = isOwn;
    for (const shard of shards) {
      this.#states[shard] = CHANGED;
      const token = this.#table.at(shard);
      isUrgent ||= token !== undefined && isUsable(token);
    }
    if (isUrgent) this.#committer.dirty(this);
    else this.#committer.dirtyLater(this);
  }

  /** Only a phase changed that makes no difference to who may get messages. */
  touched(): void {
    this.#committer.dirty(this);
  }

  /** The row goes with the next commit. */
  end(): void {
    this.#ended = true;
    this.#committer.dirty(this);
  }

  flush(): void {
    if (this.#ended) {
      this.#committer.write("cursor", this.#key, undefined);
      return;
    }
    this.#replace(CHANGED, WRITING);
    const row: Row = { v: 1, entries: this.#table.entries() };
    this.#committer.write("cursor", this.#key, Buffer.from(JSON.stringify(row)));
  }

  committed(error: MeshError | undefined): void {
    if (this.#ended) return;
    const written = this.#replace(WRITING, error === undefined ? SAFE : CHANGED);
    if (error === undefined && written.length > 0) this.#onSafe(written);
  }

  /** Shards of the one state are of the other from now on; which they were. */
  #replace(from: number, to: number): number[] {
    const states = this.#states;
    const found: number[] = [];
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      if (states[shard] !== from) continue;
      states[shard] = to;
      found.push(shard);
    }
    return found;
  }
}
