/**
 * A member's own shards of one subscription: carries out what `Ownership` decides.
 *
 * Problem: a token may leave only after everything of its shard has ended here and every settle of that has
 * left; one that was lost must stop what runs. Approach: what starts and ends is the consumer's to say
 * (`ShardWork`); a moving shard without work waits for one more sync and one more turn, which the settles of
 * its last messages took too, and counts as drained then.
 *
 * Invariant: of a shard no handler starts unless its token is this node's, is not moving, and the lease is good.
 */
import { Ownership } from "../../core/ownership.ts";
import { SHARD_COUNT, type ShardMember } from "../../core/shard-map.ts";
import { isUsable } from "../../core/token-table.ts";
import type { Link } from "../link/link.ts";
import type { OwnPart, TokensHost } from "./own-part.ts";
import type { SubscriptionTokens } from "./subscription-tokens.ts";

/** The consumer's side. */
export interface ShardWork {
  /** Shards that move: what waits goes back, nothing new is taken. */
  yield(shards: readonly number[]): void;
  /** Shards that are another's now: what runs is told to stop, and goes back as well. */
  lose(shards: readonly number[]): void;
  /** Nothing of the shard waits or runs. */
  isIdle(shard: number): boolean;
  /** What waits may start. */
  dispatch(): void;
}

export type MemberOptions = {
  readonly self: ShardMember;
  /** Held shards stay with their holder. */
  readonly sticky: boolean;
};

/** Before a message comes again whose producer has not heard yet what this node knows no better. */
const REFUSED_MS_MIN = 20;
const REFUSED_MS_SPREAD = 40;
/** The least that stops a key: what was sent behind the refused may come when the shard is this node's. */
const AT_ONCE_MS = 1;
/** Settles that a failing journal holds back are waited for again after so long. */
const AGAIN_MS = 100;

const MOVING = 1;
/** The sync that covers its last settles is under way. */
const SETTLING = 2;
/** Moving, and nothing of it is left here. */
const DRAINED = 4;

export class MemberShards implements OwnPart {
  readonly #tokens: SubscriptionTokens;
  readonly #host: TokensHost;
  readonly #work: ShardWork;
  readonly #ownership: Ownership;
  /** Of each shard the flags that hold: MOVING, SETTLING, DRAINED. */
  readonly #flags = new Uint8Array(SHARD_COUNT);
  /** What producers are to hear before the messages they sent in vain come back. */
  readonly #news = new Map<Link, Set<number>>();
  readonly #leftWaiters: (() => void)[] = [];
  #lapsed = false;

  constructor(
    tokens: SubscriptionTokens,
    host: TokensHost,
    work: ShardWork,
    options: MemberOptions,
  ) {
    this.#tokens = tokens;
    this.#host = host;
    this.#work = work;
    const { rebalanceMs: debounceMs, leaseMs } = host.env.times;
    this.#ownership = new Ownership({ ...options, debounceMs, leaseMs }, tokens.table, tokens.view);
  }

  // --- asked by the consumer -----------------------------------------------------------------

  mayStart(shard: number): boolean {
    return this.#ownership.mayStart(shard);
  }

  /** The term under which the shard is this node's; 0: it is not. */
  fenceOf(shard: number): number {
    return this.#ownership.fenceOf(shard);
  }

  /** Whether others still count on this node: a process that stood still must hear from one of them first. */
  leaseValid(nowMs: number): boolean {
    const { env, selfId } = this.#host;
    if (this.#host.leaseValid(nowMs)) return true;
    const valid = !this.#tokens.view.hasOthers(selfId, nowMs);
    if (!valid && !this.#lapsed) {
      this.#lapsed = true;
      env.counters.count("ownership.lapsed");
    }
    return valid;
  }

  /** A message of a shard that is not this node's came: when it may come again, in milliseconds. */
  refuse(link: Link, shard: number): number {
    const { counters, random } = this.#host.env;
    counters.count("ownership.refused");
    const token = this.#tokens.table.at(shard);
    if (token === undefined || (token.holder === this.#host.selfId && isUsable(token))) {
      return REFUSED_MS_MIN + Math.floor(random.fraction() * REFUSED_MS_SPREAD);
    }
    const shards = this.#news.get(link);
    if (shards === undefined) this.#news.set(link, new Set([shard]));
    else shards.add(shard);
    return AT_ONCE_MS;
  }

  /** Nothing of the shard waits or runs any more. */
  idle(shard: number): void {
    if (this.#is(shard, MOVING)) this.#tokens.schedule();
  }

  /** A message of the shard is about to start here. */
  used(shard: number, nowMs: number): void {
    if (this.#ownership.used(shard, nowMs)) this.#tokens.confirmed([shard]);
  }

  /** A handler of the shard was given up and may still run: the next one gets a higher fence. */
  abandoned(shard: number): void {
    const { clock } = this.#host.env;
    if (this.#ownership.renew(shard, this.#tokens.nowMs, clock.wallMs())) {
      this.#tokens.changed([shard]);
    }
  }

  /** Before the settles of this turn leave. */
  turn(link: Link): void {
    const shards = this.#news.get(link);
    if (shards === undefined) return;
    this.#news.delete(link);
    this.#tokens.tell(link, [...shards]);
  }

  linkDown(link: Link): void {
    this.#news.delete(link);
  }

  /** Everything that may move does. `done` once nothing is left that moves. */
  leave(done: () => void): void {
    this.#leftWaiters.push(done);
    this.#ownership.leave();
    this.#tokens.drains(this.#host.selfId);
  }

  // --- asked by the tokens -------------------------------------------------------------------

  /** Does what is to be done now; returns when to ask again. */
  decide(): number {
    const { env, metSinceMs } = this.#host;
    const { counters } = env;
    const { nowMs } = this.#tokens;
    const step = this.#ownership.step({
      nowMs,
      wallMs: env.clock.wallMs(),
      leaseValid: this.leaseValid(nowMs),
      metSinceMs,
      isDrained: (shard) => this.#is(shard, DRAINED),
    });
    for (const shard of step.moving) this.#set(shard, MOVING);
    for (const shard of step.released) this.#clear(shard, MOVING | DRAINED);
    for (const shard of step.taken) this.#clear(shard, MOVING | DRAINED);
    if (step.changed.length > 0) this.#tokens.changed(step.changed);
    if (step.confirmed.length > 0) this.#tokens.confirmed(step.confirmed);
    if (step.taken.length > 0) counters.count("ownership.taken", step.taken.length);
    if (step.released.length > 0) counters.count("ownership.released", step.released.length);
    if (step.moving.length > 0) this.#work.yield(step.moving);
    this.#drain();
    this.leaseHeard();
    if (this.#ownership.hasLeft) this.stopped();
    return step.nextMs;
  }

  /** Registers were overridden by a peer's word. Returns the shards that this node takes again. */
  overridden(shards: readonly number[]): number[] {
    const { clock, counters } = this.#host.env;
    const now = this.#tokens.nowMs;
    const { lost, retaken } = this.#ownership.overridden(shards, now, clock.wallMs());
    if (lost.length > 0) {
      counters.count("ownership.lost", lost.length);
      for (const shard of lost) this.#clear(shard, MOVING | DRAINED);
      this.#work.lose(lost);
    }
    return retaken;
  }

  /** Nothing more is decided: who waits for the end of `leave` goes on. */
  stopped(): void {
    for (const done of this.#leftWaiters.splice(0)) done();
  }

  /** Somebody answered, or nobody else lives: what waited for that goes on. */
  leaseHeard(): void {
    if (!this.#lapsed || !this.leaseValid(this.#tokens.nowMs)) return;
    this.#lapsed = false;
    this.#work.dispatch();
    this.#tokens.schedule();
  }

  // --- inside --------------------------------------------------------------------------------

  #is(shard: number, flag: number): boolean {
    return ((this.#flags[shard] as number) & flag) !== 0;
  }

  #set(shard: number, flag: number): void {
    this.#flags[shard] = (this.#flags[shard] as number) | flag;
  }

  #clear(shard: number, flags: number): void {
    this.#flags[shard] = (this.#flags[shard] as number) & ~flags;
  }

  /** Moving shards without work are drained once their last settles have left. */
  #drain(): void {
    const idle: number[] = [];
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      if (this.#flags[shard] === MOVING && this.#work.isIdle(shard)) idle.push(shard);
    }
    if (idle.length === 0) return;
    const { committer, env } = this.#host;
    for (const shard of idle) this.#set(shard, SETTLING);
    committer.onDurable((error) => {
      env.clock.setTimer(error === undefined ? 0 : AGAIN_MS, () => {
        for (const shard of idle) {
          this.#clear(shard, SETTLING);
          const isDone = error === undefined && this.#work.isIdle(shard);
          if (isDone && this.#is(shard, MOVING)) this.#set(shard, DRAINED);
        }
        this.#tokens.schedule();
      });
    });
  }
}
