/**
 * Group commit: everything that changes in the store within a turn becomes one atomic, synced commit.
 *
 * Problem: a sync costs 0.1 ms or more and callers come by the hundred thousand; what belongs together
 * (a message and its idempotency row, a mark and the output it allows) must reach the disk together.
 * Approach: rows gather in one batch; at the end of the turn, when no commit is in flight, the owners of
 * lazily written rows are flushed into it and it goes to the store. The next batch gathers meanwhile. No
 * timer: a lone caller pays one sync, a crowd shares it.
 *
 * Invariants
 * - at most one commit is in flight; batches reach the store in the order they gathered;
 * - rows of one turn are in one batch; of one table and key the last write in a batch holds;
 * - a callback of `onDurable` runs exactly once, in order of registration, after every `committed` hook
 *   of its batch; with no error only after the sync of its batch returned;
 * - a failure fails the batch in flight *and* the one that gathered behind it (details.written is false
 *   for the latter: nothing of it reached the store), so that what was written together fails together;
 *   their rows are dropped and every owner that took part, or was to, is flushed again by the next batch;
 * - after a failure nothing is tried before the next `write`, `dirty` or `onDurable` (`retryAfterFailure`
 *   tries at once), so a broken disk is not hammered from inside.
 *
 * After a failure with OUTCOME_UNKNOWN rows of the batch may be on the disk: an owner's flush states each
 * row it had written again, or removes it. Rows written outside an owner are for what may be lost.
 *
 * Source: DESIGN section 5; the fsync-failure study of Rebello et al., USENIX ATC 2020.
 */
import { MeshError } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { JournalStore, Table } from "../../ports/journal-store.ts";
import type { Logger } from "../../ports/logger.ts";
import { Batch, FlushFault, failureOf } from "./commit-batch.ts";
import type { CommitOwner, DurableCallback } from "./commit-owner.ts";

export type CommitterOptions = {
  readonly store: JournalStore;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The committer began or ceased to fail. */
  readonly onHealth?: (failing: boolean, error: MeshError | undefined) => void;
};

/** Written when there is nothing else, to learn whether the disk works again. */
const PROBE_KEY = new TextEncoder().encode("probe");
const PROBE_VALUE = new Uint8Array(1);

export class Committer {
  readonly #store: JournalStore;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #onHealth: (failing: boolean, error: MeshError | undefined) => void;
  #gathering = new Batch();
  #inFlight: Batch | undefined;
  readonly #lazy = new Set<CommitOwner>();
  #scheduled = false;
  #failing = false;
  #closed = false;
  #commits = 0;
  readonly #idle: (() => void)[] = [];
  /** What waits for the commit that begins at the end of this turn. */
  #meanwhile: (() => void)[] = [];

  constructor(options: CommitterOptions) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#onHealth = options.onHealth ?? (() => {});
  }

  /** The last commit failed; true until one succeeds. */
  get failing(): boolean {
    return this.#failing;
  }

  /** Bytes of rows gathered for the next commit. */
  get pendingBytes(): number {
    return this.#gathering.bytes;
  }

  /** Bytes of rows in the commit under way. */
  get inFlightBytes(): number {
    return this.#inFlight?.bytes ?? 0;
  }

  /** Commits that succeeded. */
  get commits(): number {
    return this.#commits;
  }

  /** Adds a row to the gathering batch; `undefined` removes the key. Both arrays are kept, not copied. */
  write(table: Table, key: Uint8Array, value: Uint8Array | undefined): void {
    this.#gathering.write(table, key, value);
    this.#schedule();
  }

  /** Has the owner flushed into the gathering batch, once. */
  dirty(owner: CommitOwner): void {
    this.#gathering.dirty.add(owner);
    this.#schedule();
  }

  /** Like `dirty`, but does not bring a commit about: the owner waits for the next one. */
  dirtyLater(owner: CommitOwner): void {
    this.#lazy.add(owner);
  }

  /** Runs `fn` once for the gathering batch, right before it leaves. Not repeated after a failure. */
  beforeCommit(fn: () => void): void {
    this.#gathering.before.push(fn);
    this.#schedule();
  }

  /** Calls `fn` after the sync that covers everything gathered so far, also when that is nothing. */
  onDurable(fn: DurableCallback): void {
    this.#gathering.waiters.push(fn);
    this.#schedule();
  }

  /** `onDurable` as a promise, one for all who ask while a batch gathers: what hangs on it costs less than one each. */
  durable(): Promise<void> {
    const batch = this.#gathering;
    batch.durable ??= new Promise((resolve, reject) => {
      this.onDurable((error) => {
        if (error === undefined) resolve();
        else reject(error);
      });
    });
    return batch.durable;
  }

  /** Tries again what failed; the runtime calls this from its timer while `failing`. */
  retryAfterFailure(): void {
    if (this.#failing) this.#schedule();
  }

  /**
   * Calls `fn` after this turn: where the turn brings about a commit, once the store has begun with it, so that
   * what `fn` does is done while the disk works.
   */
  meanwhile(fn: () => void): void {
    this.#clock.endOfTurn(() => {
      if (this.#scheduled) this.#meanwhile.push(fn);
      else this.#guard(fn);
    });
  }

  /** Calls `fn` once nothing gathers and nothing is in flight, or the last commit failed. */
  whenIdle(fn: () => void): void {
    this.#idle.push(fn);
    this.#settleIdle();
  }

  /** From now on everything fails with STOPPED. What is in flight still completes. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const error = new MeshError("STOPPED", "the journal is closed");
    const batch = this.#gathering;
    this.#gathering = new Batch();
    this.#tell(batch, error);
    this.#settleIdle();
  }

  #schedule(): void {
    if (this.#scheduled || this.#inFlight !== undefined) return;
    this.#scheduled = true;
    this.#clock.endOfTurn(() => this.#start());
  }

  #start(): void {
    if (this.#meanwhile.length > 0) this.#goOn();
    const batch = this.#gathering;
    if (this.#closed) {
      this.#scheduled = false;
      this.#gathering = new Batch();
      this.#tell(batch, new MeshError("STOPPED", "the journal is closed"));
      this.#settleIdle();
      return;
    }
    for (const owner of this.#lazy) batch.dirty.add(owner);
    this.#lazy.clear();
    const fault = this.#flushOwners(batch);
    if (this.#failing && batch.rowCount === 0) batch.write("meta", PROBE_KEY, PROBE_VALUE);
    this.#gathering = new Batch();
    for (const owner of batch.late) this.#gathering.dirty.add(owner);
    this.#scheduled = false;
    this.#inFlight = batch;
    if (fault !== undefined) this.#failed(batch, fault);
    else if (batch.rowCount === 0) this.#succeeded(batch);
    else this.#commit(batch);
  }

  /** A store may hand a commit to its thread in a turn of its own that begins behind this one. */
  #goOn(): void {
    const waiting = this.#meanwhile;
    this.#meanwhile = [];
    const go = (): void => {
      for (const fn of waiting) this.#guard(fn);
    };
    this.#clock.endOfTurn(() => void this.#clock.setTimer(0, go));
  }

  #commit(batch: Batch): void {
    let commit: Promise<void>;
    try {
      commit = this.#store.commit(batch.rows());
    } catch (error) {
      commit = Promise.reject(error);
    }
    commit.then(
      () => {
        this.#commits++;
        if (this.#failing) {
          this.#failing = false;
          this.#guard(() => this.#onHealth(false, undefined));
        }
        this.#succeeded(batch);
      },
      (error: unknown) => this.#failed(batch, error),
    );
  }

  /**
   * Each dirty owner once; one that becomes dirty again meanwhile goes to the next batch. An owner that
   * throws fails the batch before it is written: a commit without its rows would tear things apart.
   */
  #flushOwners(batch: Batch): FlushFault | undefined {
    try {
      for (const fn of batch.before.splice(0)) fn();
      while (batch.dirty.size > 0) {
        for (const owner of batch.dirty) {
          batch.dirty.delete(owner);
          if (batch.flushed.has(owner)) {
            batch.late.add(owner);
          } else {
            batch.flushed.add(owner);
            owner.flush();
          }
        }
      }
      return undefined;
    } catch (error) {
      return new FlushFault(error);
    }
  }

  #succeeded(batch: Batch): void {
    this.#inFlight = undefined;
    this.#tell(batch, undefined);
    if (!this.#gathering.isEmpty) this.#schedule();
    this.#settleIdle();
  }

  #failed(batch: Batch, cause: unknown): void {
    this.#inFlight = undefined;
    const { error, behind } = failureOf(cause);
    const gathered = this.#gathering;
    this.#gathering = new Batch();
    for (const failed of [batch, gathered]) {
      for (const owner of failed.flushed) this.#gathering.dirty.add(owner);
      for (const owner of failed.dirty) this.#gathering.dirty.add(owner);
    }
    const first = !this.#failing;
    this.#failing = true;
    if (first) this.#logger.error("journal commit failed", { code: error.code, cause });
    if (first) this.#guard(() => this.#onHealth(true, error));
    // What callbacks write now is new, and a trigger like any other.
    this.#tell(batch, error);
    this.#tell(gathered, behind);
    this.#settleIdle();
  }

  #tell(batch: Batch, error: MeshError | undefined): void {
    for (const owner of batch.flushed) {
      if (owner.committed !== undefined) this.#guard(() => owner.committed?.(error));
    }
    if (error !== undefined) {
      for (const owner of batch.dirty) {
        if (!batch.flushed.has(owner)) this.#guard(() => owner.committed?.(error));
      }
    }
    for (const fn of batch.waiters) {
      try {
        fn(error);
      } catch (thrown) {
        this.#logger.error("journal callback threw", { error: thrown });
      }
    }
  }

  #settleIdle(): void {
    if (this.#idle.length === 0 || this.#inFlight !== undefined) return;
    if (!this.#gathering.isEmpty && !this.#failing) return;
    for (const fn of this.#idle.splice(0)) this.#guard(fn);
  }

  /** A callback that throws is a fault of its owner and must not stop the others. */
  #guard(fn: () => void): void {
    try {
      fn();
    } catch (error) {
      this.#logger.error("journal callback threw", { error });
    }
  }
}
