/**
 * One subscription at this instance: decides how each message ends.
 *
 * Problem: each message must have one accepted effect, through retries, redeliveries, lost sessions and a
 * full disk. Approach: the runner says how an attempt ended; the inbox says what was handled; a failed
 * attempt is tried again here after a short wait, or goes back to its producer with all behind it of its key
 * when the wait is long. What runs when its session is lost goes on, and its redelivery joins it.
 *
 * Invariants: a message whose handler succeeded is marked before its ack can leave; nothing of a key runs after
 * a message that failed here before the producer says so; of one message at most one attempt runs here;
 * every delivery is consumed (its credit freed) exactly once.
 * Source: DESIGN sections 6 and 7.
 */
import { isExhausted } from "../../core/retry-schedule.ts";
import type { Section } from "../../wire/batch.ts";
import type { CreditEntry } from "../../wire/credit.ts";
import type { Environment } from "../environment.ts";
import { type BreakerMode, type FlowLimits, flowLimitsOf } from "../flow-limits.ts";
import { isOwned } from "../subscription-id.ts";
import { afterFailure, surrender } from "./after-failure.ts";
import { AtOnce } from "./at-once.ts";
import type { ConsumerHost, ConsumerSpec } from "./consumer-host.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import { Intake, type IntakeOwner } from "./intake.ts";
import type { Job } from "./job.ts";
import { type JobHandler, JobRunner } from "./job-runner.ts";
import { type NackReason, nackOf, remember } from "./nack-of.ts";
import { describeError } from "./outcome.ts";
import { OwnedWork, type WorkOwner } from "./owned-work.ts";

/** Waits up to this long are spent here, holding the key; longer ones at the producer. */
const IN_PLACE_MS_MAX = 1_000;
/** What an open breaker gives back is not offered again before its producer knows of that. */
const OPEN_AGAIN_MS = 100;

export class ConsumerSubscription implements IntakeOwner, WorkOwner {
  readonly id: string;
  readonly spec: ConsumerSpec;
  readonly #host: ConsumerHost;
  readonly #runner: JobRunner;
  readonly #atOnce: AtOnce;
  readonly #intake: Intake;
  readonly #flow: FlowLimits | undefined;
  readonly owned: OwnedWork | undefined;
  readonly #openings = new Set<ConsumerOpening>();

  constructor(id: string, spec: ConsumerSpec, handler: JobHandler, host: ConsumerHost) {
    this.id = id;
    this.spec = spec;
    this.#host = host;
    this.#flow = flowLimitsOf(host.env, id, spec, (mode) => this.#breakerIs(mode));
    this.owned = isOwned(spec.record) ? new OwnedWork(this) : undefined;
    const owner = {
      id,
      succeeded: (job: Job) => this.#succeeded(job),
      failed: (job: Job, error: unknown) => this.#failed(job, error),
      timedOut: (job: Job) => this.#flow?.timedOut(job),
      abandoned: (job: Job) => this.owned?.abandoned(job),
    };
    const gates = [this.#flow, this.owned].filter((gate) => gate !== undefined);
    this.#runner = new JobRunner(host.env, spec, handler, owner, gates);
    this.#atOnce = new AtOnce(this.#runner, handler, this.#flow !== undefined, this.owned);
    this.#intake = new Intake(this, this.#atOnce);
  }

  get index(): number {
    return this.spec.record.index;
  }

  /** Nothing is to come: told to pause, or the breaker is open. */
  get paused(): boolean {
    return this.#runner.paused || this.breaker === "open";
  }

  get running(): number {
    return this.#runner.running;
  }

  get waiting(): number {
    return this.#runner.waiting;
  }

  get breaker(): BreakerMode {
    return this.#flow?.mode ?? "closed";
  }

  open(opening: ConsumerOpening): void {
    this.#openings.add(opening);
    this.#intake.open(opening);
  }

  /** The session is over: what waits is dropped (the producer sends it again), what runs goes on. */
  close(opening: ConsumerOpening): void {
    opening.closed = true;
    this.#openings.delete(opening);
    this.#intake.close(opening);
    for (const job of this.#runner.takeAll((other) => other.opening === opening)) {
      job.state = "ended";
      if (job.volatile) this.#host.env.counters.count("emit.dropped.linkLost");
      this.#consumed(job);
    }
    for (const job of this.#runner.takeWaits((other) => other.opening === opening)) this.#end(job);
    for (const job of this.#runner.runningOf(opening)) if (!job.volatile) this.#intake.orphan(job);
    this.#runner.dispatch();
  }

  forget(producer: string): void {
    this.#intake.giveUp(producer);
  }

  pause(): void {
    this.#runner.pause();
    this.#wakeAll();
  }

  resume(): void {
    this.#runner.resume();
    this.#wakeAll();
  }

  /** Takes no more; gives back what does not run. Resolves when nothing runs. */
  drain(): Promise<void> {
    this.#atOnce.stopped = true;
    this.#flow?.stop();
    this.yieldJobs(() => true);
    return new Promise((resolve) => this.#runner.whenIdle(resolve));
  }

  /** Handlers still running are told to stop; what they do has no effect. */
  revokeAll(reason: Error): void {
    this.#runner.revokeAll(reason);
  }

  /**
   * A heartbeat has passed: the credit to repeat. Half-open, what was granted before has to do for probes;
   * where nothing came of it until now, there is more.
   */
  beat(opening: ConsumerOpening): CreditEntry {
    this.#intake.beat(opening);
    const paused = this.paused || opening.link.paced;
    const rises = this.breaker === "closed" || (this.#flow?.wantsProbe === true && !this.waiting);
    return this.#intake.creditOf(opening, paused, !paused && rises);
  }

  /** Credit that is worth a frame of its own, or undefined. */
  newCredit(opening: ConsumerOpening): CreditEntry | undefined {
    const paused = this.paused || opening.link.paced;
    const raised = !paused && this.breaker === "closed" && this.#intake.needsUpdate(opening);
    if (!raised && opening.pausedTold === paused) return undefined;
    return this.#intake.creditOf(opening, paused, raised);
  }

  receive(opening: ConsumerOpening, section: Section): void {
    this.#intake.receive(opening, section);
    this.#runner.dispatch();
  }

  /** A heartbeat says what was sent last: a lost last frame shows here. */
  tail(opening: ConsumerOpening, last: number): void {
    this.#intake.tail(opening, last);
  }

  // --- IntakeOwner ---------------------------------------------------------------------------

  get env(): Environment {
    return this.#host.env;
  }

  get jobsCount(): number {
    return this.waiting + this.running;
  }

  arrived(job: Job): void {
    const admission = this.#atOnce.stopped ? 0 : (this.owned?.admit(job) ?? "admitted");
    if (admission !== "admitted") this.giveBack(job, admission);
    else if (!job.volatile && isExhausted(this.spec.retry, job.attempts)) this.refuse(job);
    else if (this.breaker === "open" && !job.volatile) this.#returnUntried(job, OPEN_AGAIN_MS);
    else this.#runner.push(job);
  }

  isHeld(job: { producer: string; epoch: number; seq: number }): boolean {
    return this.#host.isHeld(job, this.id);
  }

  isStale(job: { producer: string; epoch: number; seq: number }, term: number): boolean {
    return this.#host.isStale(job, this.id, term);
  }

  supersede(job: Job): void {
    this.#flow?.dropped(job);
    this.#runner.supersede(job);
  }

  wake(opening: ConsumerOpening): void {
    this.#host.wake(opening);
  }

  giveBack(job: Job, delayMs: number): void {
    job.state = "ended";
    if (job.volatile) {
      this.#host.env.counters.count("emit.dropped.stopped");
    } else if (!job.opening.closed) {
      this.#nack(job, { outcome: "return", delayMs, reason: "" });
      if (delayMs > 0 && job.keyHash >= 0) this.#stopKey(job.opening, job.keyHash);
    }
    this.#consumed(job);
  }

  readonly dispatch = (): void => this.#runner.dispatch();

  yieldJobs(belongs: (job: Job) => boolean): void {
    const now = this.env.clock.monotonicMs();
    for (const job of this.#runner.takeAll(belongs)) this.#returnUntried(job, 1);
    for (const job of this.#runner.takeWaits(belongs)) {
      const delayMs = this.#atOnce.stopped ? 0 : Math.max(0, Math.round(job.deadlineMs - now));
      this.#nackBack(job, { outcome: "retry", delayMs, reason: "" });
    }
  }

  loseJobs(belongs: (job: Job) => boolean): void {
    for (const job of this.#runner.underWay(belongs)) {
      const how = surrender(job);
      if (how === undefined) continue;
      this.#stopWith(job, how);
      this.#intake.consumed(job.opening, job.size, false); // its producer counts it no longer
      this.#flow?.dropped(job);
      this.#runner.surrender(job);
    }
    this.yieldJobs(belongs);
  }

  #wakeAll(): void {
    for (const opening of this.#openings) this.#host.wake(opening);
  }

  /**
   * Open, nothing waits here: at its producer a message can expire, and its key or itself can go to another
   * member.
   */
  #breakerIs(mode: BreakerMode): void {
    if (this.#atOnce.stopped) return;
    this.#wakeAll();
    if (mode !== "open") {
      this.#runner.dispatch();
      return;
    }
    for (const job of this.#runner.takeWaits(() => true)) {
      this.#nackBack(job, { outcome: "retry", delayMs: OPEN_AGAIN_MS, reason: "" });
    }
    const untried = this.#runner.takeAll((other) => !other.volatile);
    for (const job of untried) this.#returnUntried(job, OPEN_AGAIN_MS);
  }

  /** The first of a key stops it: what was sent behind it waits at the producer, and comes in order. */
  #returnUntried(job: Job, delayMs: number): void {
    if (this.breaker === "open") this.env.counters.count("breaker.returned");
    const isBehind = job.keyHash >= 0 && job.opening.stoppedKeys.has(job.keyHash);
    this.giveBack(job, isBehind ? 0 : delayMs);
  }

  // --- ending --------------------------------------------------------------------------------

  /** Without a reason: its last attempts killed their processes, so nobody said that they were the last. */
  refuse(job: Job, reason = `${job.attempts} attempts failed`): void {
    job.state = "ended";
    if (job.volatile) this.env.counters.count("emit.dropped.unauthorized");
    else this.#stopWith(job, { outcome: "dead", delayMs: 0, reason });
    this.#consumed(job);
  }

  #succeeded(job: Job): void {
    this.#flow?.succeeded(job);
    if (job.volatile) this.#host.commitVolatile(job);
    else if (!this.#host.commit(job)) {
      // No room for what the handler sent: back to the producer, no attempt counted.
      this.#nackBack(job, { outcome: "return", delayMs: IN_PLACE_MS_MAX, reason: "no room" });
      return;
    }
    this.#end(job);
  }

  #failed(job: Job, error: unknown): void {
    if (!job.surrendered) this.#flow?.failed(job, error);
    if (job.surrendered) this.#end(job);
    else if (job.volatile) this.#dropped(job, error);
    else this.#goOn(job, afterFailure(job, error, this.spec.retry));
  }

  #dropped(job: Job, error: unknown): void {
    this.env.counters.count("emit.dropped.handlerFailed");
    const fields = { subscription: this.id, message: describeError(error).message };
    this.env.logger.warn("an at-most-once message's handler failed", fields);
    this.#end(job);
  }

  #goOn(job: Job, how: NackReason): void {
    const { delayMs, errorName: name = "", errorMessage: message = "" } = how;
    if (how.outcome === "retry") this.env.counters.count("retries");
    const isHere = !this.#atOnce.stopped && !job.opening.closed && this.breaker !== "open";
    const isShort = how.outcome === "retry" && delayMs <= IN_PLACE_MS_MAX;
    if (!isShort || !isHere || this.owned?.mayStay(job) === false) {
      this.#nackBack(job, how);
      return;
    }
    const fields = { subscription: this.id, attempt: job.attempts, delayMs, message };
    this.env.logger.debug("handler failed", fields);
    const failed = { name, message, atMs: this.env.clock.monotonicMs() };
    remember(job, failed, this.env.limits.deadLetterErrorsMax);
    this.#runner.again(job, delayMs);
  }

  #nack(job: Job, how: NackReason): void {
    job.opening.nack(nackOf(job, how, this.env.clock.monotonicMs()));
  }

  /**
   * The message goes back to its producer; what waits behind it of its key goes with it. Also when it is
   * dead: until the producer has that on disk it may come again, here or elsewhere, and succeed.
   */
  #nackBack(job: Job, how: NackReason): void {
    this.#stopWith(job, how);
    this.#end(job);
  }

  #stopWith(job: Job, how: NackReason): void {
    if (job.opening.closed) return;
    // What comes back at once is not held by the producer, which must know that the key stands still.
    const delayMs = how.outcome === "return" ? Math.max(1, how.delayMs) : how.delayMs;
    this.#nack(job, { ...how, delayMs });
    if (job.keyHash >= 0) this.#stopKey(job.opening, job.keyHash);
  }

  /** Until the producer says "resume", what comes of this key goes back. */
  #stopKey(opening: ConsumerOpening, keyHash: number): void {
    opening.stoppedKeys.add(keyHash);
    const behind = this.#runner.takeKey(keyHash, (other) => other.opening === opening);
    for (const job of behind) this.giveBack(job, 0);
  }

  #end(job: Job): void {
    this.#intake.forget(job);
    this.#consumed(job);
    this.#runner.done(job);
  }

  #consumed(job: Job): void {
    if (!job.surrendered) this.#intake.consumed(job.opening, job.size, job.volatile);
    this.owned?.ended(job);
  }
}
