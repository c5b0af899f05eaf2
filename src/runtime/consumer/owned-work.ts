/**
 * What a consumer has of each shard, and what becomes of it when a shard moves or is lost.
 *
 * Problem: a token leaves only when nothing of its shard is left, and per message that must cost next to
 * nothing. Approach: a count per shard of what arrived and has not ended; the lanes hold messages of shards
 * that are this node's only, because those of a shard that moves are taken out when it begins to.
 *
 * Invariants: a job is counted once, from `admit` to `ended`, and what runs without one from `began` to `left`, or to the
 * `ended` of the job that it becomes; while the lease has run out, or the shard is not
 * this node's, none of it starts.
 */
import { SHARD_COUNT, shardOf } from "../../core/shard-map.ts";
import type { Environment } from "../environment.ts";
import type { MemberShards, ShardWork } from "../ownership/member-shards.ts";
import type { Job } from "./job.ts";
import type { StartGate } from "./start-gate.ts";

export interface WorkOwner {
  readonly env: Pick<Environment, "clock">;
  /** Gives back what waits here of these jobs, tries that wait in place included. */
  yieldJobs(belongs: (job: Job) => boolean): void;
  /** As `yieldJobs`, and what runs goes back too: it has no effect from now on. */
  loseJobs(belongs: (job: Job) => boolean): void;
  dispatch(): void;
}

export class OwnedWork implements ShardWork, StartGate {
  readonly #owner: WorkOwner;
  readonly #counts = new Uint32Array(SHARD_COUNT);
  #shards: MemberShards | undefined;
  /** When `mayRun` was asked. */
  #nowMs = 0;

  constructor(owner: WorkOwner) {
    this.#owner = owner;
  }

  /** The subscription has become a member; before that nothing is its own. */
  entered(shards: MemberShards): void {
    this.#shards = shards;
  }

  // --- per message ---------------------------------------------------------------------------

  /** Counts the job. Otherwise it goes back, after so many milliseconds, at least one: its key stops. */
  admit(job: Job): "admitted" | number {
    if (job.keyHash < 0 || job.volatile) return "admitted";
    const shard = shardOf(job.keyHash);
    if (this.#shards?.mayStart(shard) !== true) {
      return this.#shards?.refuse(job.opening.link, shard) ?? 1;
    }
    this.#counts[shard] = (this.#counts[shard] as number) + 1;
    job.isCounted = true;
    return "admitted";
  }

  ended(job: Job): void {
    if (!job.isCounted) return;
    job.isCounted = false;
    this.left(job.keyHash);
  }

  /** Whether a message of this key may run as it arrives, as far as its shard is concerned. */
  mayRun(keyHash: number): boolean {
    const shards = this.#shards;
    if (shards?.mayStart(shardOf(keyHash)) !== true) return false;
    this.#nowMs = this.#owner.env.clock.monotonicMs();
    return shards.leaseValid(this.#nowMs);
  }

  /** After `mayRun` said so, in the same turn: its handler is called. Returns its fence. */
  began(keyHash: number): number {
    const shard = shardOf(keyHash);
    this.#counts[shard] = (this.#counts[shard] as number) + 1;
    this.#shards?.used(shard, this.#nowMs);
    return this.#shards?.fenceOf(shard) ?? 0;
  }

  /** It has ended. */
  left(keyHash: number): void {
    const shard = shardOf(keyHash);
    const count = (this.#counts[shard] as number) - 1;
    this.#counts[shard] = count;
    if (count === 0) this.#shards?.idle(shard);
  }

  /** Whether another try of the job may wait here. */
  mayStay(job: Job): boolean {
    return !job.isCounted || this.#shards?.mayStart(shardOf(job.keyHash)) === true;
  }

  /** Its handler was given up and may still run. */
  abandoned(job: Job): void {
    if (job.isCounted) this.#shards?.abandoned(shardOf(job.keyHash));
  }

  // --- StartGate -----------------------------------------------------------------------------

  waitMs(nowMs: number): number {
    return this.#shards?.leaseValid(nowMs) === false ? Number.POSITIVE_INFINITY : 0;
  }

  started(job: Job, nowMs: number): void {
    if (job.keyHash < 0 || this.#shards === undefined) return;
    const shard = shardOf(job.keyHash);
    job.fence = this.#shards.fenceOf(shard);
    if (!job.volatile) this.#shards.used(shard, nowMs);
  }

  // --- ShardWork -----------------------------------------------------------------------------

  yield(shards: readonly number[]): void {
    this.#owner.yieldJobs(belongsTo(shards));
  }

  lose(shards: readonly number[]): void {
    this.#owner.loseJobs(belongsTo(shards));
  }

  isIdle(shard: number): boolean {
    return this.#counts[shard] === 0;
  }

  dispatch(): void {
    this.#owner.dispatch();
  }
}

const belongsTo = (shards: readonly number[]): ((job: Job) => boolean) => {
  const named = new Uint8Array(SHARD_COUNT);
  for (const shard of shards) named[shard] = 1;
  return (job) => job.isCounted && named[shardOf(job.keyHash)] === 1;
};
