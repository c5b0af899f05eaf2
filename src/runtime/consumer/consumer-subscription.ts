/**
 * One subscription at this instance: takes deliveries, runs the handler, decides how each one ends.
 *
 * Problem: run handlers in parallel across keys and in order inside a key, with retries, time-outs and
 * redeliveries, so that each message has one accepted effect. Approach: lanes say what may run; the inbox
 * says what was handled; a failed attempt is tried again here after a short wait, or goes back to its
 * producer with everything behind it of the same key when the wait is long.
 *
 * Invariants: at most `concurrency` handlers run; at most one per key; a message whose handler succeeded
 * is marked before its ack can leave; after a time-out nothing the handler does has an effect.
 *
 * Source: DESIGN sections 6 and 7.
 */
import { CreditGrant } from "../../core/credit-grant.ts";
import { DueHeap } from "../../core/due-heap.ts";
import { Lanes } from "../../core/lanes.ts";
import {
  isExhausted,
  jitterFraction,
  type RetryPolicy,
  retryDelayMs,
} from "../../core/retry-schedule.ts";
import { Ring } from "../../core/ring.ts";
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { Delivery, Section } from "../../wire/batch.ts";
import type { SubscriptionRecord } from "../../wire/declare.ts";
import type { Environment } from "../environment.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import { Job } from "./job.ts";
import { outcomeOf } from "./outcome.ts";

/** Waits up to this long are spent here, holding the key; longer ones at the producer. */
const IN_PLACE_MS_MAX = 1_000;
/** Credit for at-most-once deliveries, apart from durable ones. */
const VOLATILE_MESSAGES = 32_768;
const VOLATILE_BYTES = 16 * 1024 * 1024;
const VOLATILE_SHARE_MIN = 4_096;
const SHARE_MIN = 16;
const ERROR_TEXT_MAX = 1_024;

export type ConsumerSpec = {
  readonly record: SubscriptionRecord;
  readonly concurrency: number;
  readonly prefetch: number;
  readonly prefetchBytes: number;
  readonly timeoutMs: number;
  readonly abandonMs: number;
  readonly retry: RetryPolicy;
  /** Messages cannot move to another member: `ctx.state` exists and output leaves right after the sync. */
  readonly stateful: boolean;
};

/** Called once per attempt. Throwing or rejecting is a failed attempt. */
export type JobHandler = (job: Job) => void | Promise<void>;

/** What the subscription needs of the consumer that owns it. */
export interface ConsumerHost {
  readonly env: Environment;
  /** The handler succeeded: mark, output and state are committed together, then acked. */
  commit(job: Job): boolean;
  /** Whether output of this message waits for its settle to be accepted. */
  isHeld(job: { producer: string; epoch: number; seq: number }, subscription: string): boolean;
  wake(opening: ConsumerOpening): void;
}

export class ConsumerSubscription {
  readonly id: string;
  readonly spec: ConsumerSpec;
  readonly credit: CreditGrant<ConsumerOpening>;
  readonly volatileCredit: CreditGrant<ConsumerOpening>;
  readonly #host: ConsumerHost;
  readonly #handler: JobHandler;
  readonly #lanes: Lanes<Job>;
  readonly #openings = new Set<ConsumerOpening>();
  /** Jobs that run although their session is over, by producer and position. */
  readonly #orphans = new Map<string, Job>();
  readonly #running = new Ring<Job>();
  readonly #waits = new DueHeap<Job>();
  #waitTimer: Timer | undefined;
  #deadlineTimer: Timer | undefined;
  #dispatching = false;
  #paused = false;
  #stopping = false;
  #idle: (() => void)[] = [];

  constructor(id: string, spec: ConsumerSpec, handler: JobHandler, host: ConsumerHost) {
    this.id = id;
    this.spec = spec;
    this.#host = host;
    this.#handler = handler;
    this.#lanes = new Lanes<Job>(spec.concurrency);
    this.credit = new CreditGrant<ConsumerOpening>({
      messages: spec.prefetch,
      bytes: spec.prefetchBytes,
      minShare: Math.min(SHARE_MIN, spec.prefetch),
    });
    this.volatileCredit = new CreditGrant<ConsumerOpening>({
      messages: VOLATILE_MESSAGES,
      bytes: VOLATILE_BYTES,
      minShare: VOLATILE_SHARE_MIN,
    });
  }

  get index(): number {
    return this.spec.record.index;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Handlers that run, tries waiting in place included. */
  get running(): number {
    return this.#lanes.running + this.#waits.size;
  }

  get waiting(): number {
    return this.#lanes.waiting;
  }

  open(opening: ConsumerOpening): void {
    this.#openings.add(opening);
    this.credit.addLink(opening);
    this.volatileCredit.addLink(opening);
  }

  /** The session is over: what waits is dropped (the producer sends it again), what runs goes on. */
  close(opening: ConsumerOpening): void {
    opening.closed = true;
    this.#openings.delete(opening);
    this.credit.removeLink(opening);
    this.volatileCredit.removeLink(opening);
    for (const job of this.#lanes.takeAll((job) => job.opening === opening)) {
      job.state = "ended";
      if (job.volatile) this.#host.env.counters.count("emit.dropped.linkLost");
    }
  }

  /** Remembers a job that runs on without a session, so that its redelivery joins it. */
  orphan(job: Job): void {
    this.#orphans.set(orphanKey(job.producer, job.epoch, job.seq), job);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.dispatch();
    for (const opening of this.#openings) this.#host.wake(opening);
  }

  /** Takes no more; gives back what has not started. Resolves when nothing runs. */
  drain(): Promise<void> {
    this.#stopping = true;
    for (const job of this.#lanes.takeAll(() => true)) this.#giveBack(job);
    return new Promise((resolve) => {
      if (this.running === 0) resolve();
      else this.#idle.push(resolve);
    });
  }

  /** Handlers still running are told to stop; what they do has no effect. */
  revokeAll(reason: Error): void {
    for (let at = 0; at < this.#running.length; at++) this.#running.at(at)?.revoke(reason);
    this.#stopTimers();
  }

  // --- taking --------------------------------------------------------------------------------

  receive(opening: ConsumerOpening, section: Section): void {
    if (section.volatile) this.#receiveVolatile(opening, section);
    else this.#receiveDurable(opening, section);
    this.dispatch();
  }

  #receiveVolatile(opening: ConsumerOpening, section: Section): void {
    const missed = section.first - opening.expectedVolatile;
    if (missed > 0) this.#host.env.counters.count("emit.dropped.lost", missed);
    let number = section.first;
    for (const delivery of section.deliveries) {
      const job = this.#job(opening, section.epoch, number++, true, delivery);
      if (this.volatileCredit.onDelivered(opening, job.size)) this.#lanes.push(job);
      else this.#host.env.counters.count("emit.dropped.overCredit");
    }
    opening.expectedVolatile = number;
  }

  #receiveDurable(opening: ConsumerOpening, section: Section): void {
    opening.inbox.heardFloor({ epoch: section.floorEpoch, seq: section.floorSeq });
    if (section.first > opening.expected) {
      this.#resync(opening);
      return;
    }
    let number = section.first;
    for (const delivery of section.deliveries) {
      if (number === opening.expected) {
        opening.expected++;
        opening.resyncing = false;
        this.#deliver(opening, section.epoch, number, delivery);
      }
      number++;
    }
  }

  /** A gap: everything from the first missing number is asked for again, once. */
  #resync(opening: ConsumerOpening): void {
    this.#host.env.counters.count("link.gap");
    if (opening.resyncing) return;
    opening.resyncing = true;
    opening.link.send({
      type: "resync",
      session: opening.link.session,
      subscription: this.index,
      from: opening.expected,
    });
  }

  /** A heartbeat says what was sent last: a lost last frame shows here. */
  tail(opening: ConsumerOpening, last: number): void {
    if (last < opening.expected) return;
    opening.resyncing = false;
    this.#resync(opening);
  }

  #deliver(opening: ConsumerOpening, epoch: number, number: number, delivery: Delivery): void {
    const { seq, keyHash } = delivery;
    const size = delivery.envelopeEnd - delivery.envelopeStart;
    if (!this.credit.onDelivered(opening, size)) {
      this.#host.env.counters.count("link.overCredit");
      opening.link.close("MALFORMED", `delivery ${number} of ${this.id} exceeds the credit`);
      return;
    }
    if (opening.inbox.inbox.isSettled(epoch, seq)) {
      this.#host.env.counters.count("inbox.duplicates");
      opening.ackAgain(
        number,
        this.#host.isHeld({ producer: opening.producer, epoch, seq }, this.id),
      );
      this.#consumed(opening, size);
      return;
    }
    if (this.#orphans.size > 0 && this.#adopt(opening, epoch, seq, number)) return;
    const job = this.#job(opening, epoch, number, false, delivery);
    if (keyHash >= 0 && opening.stoppedKeys.size > 0) {
      if (delivery.resume) {
        opening.stoppedKeys.delete(keyHash);
      } else if (opening.stoppedKeys.has(keyHash)) {
        this.#giveBack(job);
        return;
      }
    }
    if (this.#stopping) this.#giveBack(job);
    else if (opening.inbox.inbox.hasRoom(epoch, this.waiting + this.running)) this.#lanes.push(job);
    else this.#giveBack(job, IN_PLACE_MS_MAX); // until the producer's floor has moved
  }

  #job(
    opening: ConsumerOpening,
    epoch: number,
    number: number,
    volatile: boolean,
    delivery: Delivery,
  ): Job {
    return new Job(
      this,
      opening,
      number,
      volatile,
      { epoch, seq: delivery.seq, skip: delivery.skip },
      this.spec.record.distribution === "key" ? delivery.keyHash : -1,
      delivery.attempts,
      delivery.bytes,
      delivery.envelopeStart,
      delivery.envelopeEnd,
    );
  }

  /** The redelivery of a message whose handler still runs joins that run. */
  #adopt(opening: ConsumerOpening, epoch: number, seq: number, number: number): boolean {
    const key = orphanKey(opening.producer, epoch, seq);
    const job = this.#orphans.get(key);
    if (job === undefined) return false;
    this.#orphans.delete(key);
    this.#consumed(job.opening, job.size);
    job.opening = opening;
    job.number = number;
    this.#host.env.counters.count("inbox.joined");
    return true;
  }

  // --- running -------------------------------------------------------------------------------

  /** Starts what may start. */
  dispatch(): void {
    if (this.#dispatching || this.#paused) return;
    this.#dispatching = true;
    for (let job = this.#lanes.next(); job !== undefined; job = this.#lanes.next()) this.#run(job);
    this.#dispatching = false;
  }

  #run(job: Job): void {
    job.state = "running";
    let result: void | Promise<void>;
    try {
      result = this.#handler(job);
    } catch (error) {
      this.#failed(job, error);
      return;
    }
    if (result === undefined) {
      this.#succeeded(job);
      return;
    }
    job.deadlineMs = this.#host.env.clock.monotonicMs() + this.spec.timeoutMs;
    this.#track(job);
    if (this.#deadlineTimer === undefined) this.#armDeadline();
    result.then(
      () => this.#returned(job, undefined, false),
      (error: unknown) => this.#returned(job, error, true),
    );
  }

  /** Jobs with a promise under way, in order of deadline; ended ones are dropped before they pile up. */
  #track(job: Job): void {
    const running = this.#running;
    if (running.length >= 4 * this.spec.concurrency + 64) {
      for (let left = running.length; left > 0; left--) {
        const other = running.shift() as Job;
        if (other.state === "running") running.push(other);
      }
    }
    running.push(job);
  }

  #returned(job: Job, error: unknown, threw: boolean): void {
    if (job.state === "ended") return;
    if (job.state === "revoked") this.#failed(job, timeoutError(this.spec.timeoutMs));
    else if (threw) this.#failed(job, error);
    else this.#succeeded(job);
    this.dispatch();
  }

  #succeeded(job: Job): void {
    if (job.volatile) {
      this.#end(job);
      return;
    }
    if (!this.#host.commit(job)) {
      // No room for what the handler sent: back to the producer, no attempt counted.
      this.#nackBack(job, { outcome: "return", delayMs: IN_PLACE_MS_MAX, reason: "no room" });
      return;
    }
    this.#end(job);
  }

  #failed(job: Job, error: unknown): void {
    if (job.volatile) {
      this.#host.env.counters.count("emit.dropped.handlerFailed");
      this.#host.env.logger.warn("handler failed for an at-most-once message", {
        subscription: this.id,
        error: describe(error).message,
      });
      this.#end(job);
      return;
    }
    const outcome = outcomeOf(error);
    if (outcome.type === "defer") {
      this.#nackBack(job, { outcome: "return", delayMs: outcome.delayMs, reason: "deferred" });
      return;
    }
    job.attempts++;
    const { name, message } = describe(error);
    const told = { errorName: name, errorMessage: message };
    if (outcome.type === "dead") {
      this.#nackBack(job, { outcome: "dead", delayMs: 0, reason: outcome.reason, ...told });
      return;
    }
    if (isExhausted(this.spec.retry, job.attempts)) {
      const reason = `${job.attempts} attempts failed`;
      this.#nackBack(job, { outcome: "dead", delayMs: 0, reason, ...told });
      return;
    }
    const fraction = jitterFraction(job.seq ^ job.epoch, job.attempts);
    const delayMs = outcome.delayMs ?? retryDelayMs(this.spec.retry, job.attempts, fraction);
    this.#host.env.counters.count("retries");
    this.#host.env.logger.debug("handler failed", {
      subscription: this.id,
      attempt: job.attempts,
      delayMs,
      error: message,
    });
    if (delayMs <= IN_PLACE_MS_MAX && !this.#stopping && !job.opening.closed) {
      this.#retryHere(job, delayMs);
    } else {
      this.#nackBack(job, { outcome: "retry", delayMs, reason: "", ...told });
    }
  }

  #retryHere(job: Job, delayMs: number): void {
    job.rewind();
    job.state = "waiting";
    this.#lanes.suspend(job);
    this.#waits.push(this.#host.env.clock.monotonicMs() + delayMs, job);
    this.#armWaits();
  }

  /** The message goes back to its producer; what waits behind it of its key goes with it. */
  #nackBack(
    job: Job,
    how: {
      outcome: "retry" | "dead" | "return";
      delayMs: number;
      reason: string;
      errorName?: string;
      errorMessage?: string;
    },
  ): void {
    const { opening } = job;
    if (!opening.closed) {
      opening.nack({
        number: job.number,
        attempts: job.attempts,
        errorName: "",
        errorMessage: "",
        ...how,
      });
      const stops = how.outcome !== "dead" || this.spec.record.holdOnDead;
      if (stops && job.keyHash >= 0) this.#stopKey(opening, job.keyHash);
    }
    this.#end(job);
  }

  /** Until the producer says "resume", what comes of this key goes back. */
  #stopKey(opening: ConsumerOpening, keyHash: number): void {
    opening.stoppedKeys.add(keyHash);
    const behind = this.#lanes.takeKey(keyHash, (other) => other.opening === opening);
    for (const job of behind) this.#giveBack(job);
  }

  /** Not attempted. With a delay its key stops here until it comes again. */
  #giveBack(job: Job, delayMs = 0): void {
    job.state = "ended";
    if (job.volatile) {
      this.#host.env.counters.count("emit.dropped.stopped");
    } else if (!job.opening.closed) {
      job.opening.nack({
        number: job.number,
        outcome: "return",
        delayMs,
        attempts: job.attempts,
        reason: "",
        errorName: "",
        errorMessage: "",
      });
      if (delayMs > 0 && job.keyHash >= 0) this.#stopKey(job.opening, job.keyHash);
    }
    this.#consumed(job.opening, job.size, job.volatile);
  }

  /** The job's place and credit are free. */
  #end(job: Job): void {
    job.state = "ended";
    this.#lanes.done(job);
    if (this.#orphans.size > 0) this.#orphans.delete(orphanKey(job.producer, job.epoch, job.seq));
    this.#consumed(job.opening, job.size, job.volatile);
    if (this.#idle.length > 0 && this.running === 0) {
      const idle = this.#idle;
      this.#idle = [];
      for (const resolve of idle) resolve();
    }
  }

  #consumed(opening: ConsumerOpening, size: number, volatile = false): void {
    const credit = volatile ? this.volatileCredit : this.credit;
    credit.onConsumed(opening, size);
    if (!opening.closed && credit.needsUpdate(opening)) this.#host.wake(opening);
  }

  /** Running jobs of a session that ended become orphans. */
  orphanRunning(opening: ConsumerOpening): void {
    for (let at = 0; at < this.#running.length; at++) {
      const job = this.#running.at(at);
      if (job !== undefined && job.opening === opening && job.state !== "ended" && !job.volatile) {
        this.orphan(job);
      }
    }
  }

  // --- time ----------------------------------------------------------------------------------

  #armWaits(): void {
    const { clock } = this.#host.env;
    if (this.#waitTimer !== undefined) clock.clearTimer(this.#waitTimer);
    this.#waitTimer = undefined;
    const due = this.#waits.nextDueMs;
    if (due === undefined) return;
    this.#waitTimer = clock.setTimer(Math.max(0, due - clock.monotonicMs()), () => {
      this.#waitTimer = undefined;
      const now = clock.monotonicMs();
      for (let job = this.#waits.popDue(now); job !== undefined; job = this.#waits.popDue(now)) {
        if (this.#stopping || job.opening.closed) this.#abandonWait(job);
        else this.#lanes.resume(job);
      }
      this.#armWaits();
      this.dispatch();
    });
  }

  /** A try that waited in place is given back: its session is over, or the subscription stops. */
  #abandonWait(job: Job): void {
    this.#lanes.abandon(job);
    this.#nackBack(job, { outcome: "retry", delayMs: 0, reason: "" });
  }

  /** One timer for the earliest deadline: all jobs have the same time-out, so they stand in order. */
  #armDeadline(): void {
    const { clock } = this.#host.env;
    const first = this.#nextRunning();
    if (first === undefined) {
      this.#deadlineTimer = undefined;
      return;
    }
    const delayMs = Math.max(0, first.deadlineMs - clock.monotonicMs());
    this.#deadlineTimer = clock.setTimer(delayMs, () => {
      const now = clock.monotonicMs();
      for (let job = this.#nextRunning(); job !== undefined; job = this.#nextRunning()) {
        if (job.deadlineMs > now) break;
        this.#running.shift();
        this.#timedOut(job);
      }
      this.#armDeadline();
    });
  }

  #nextRunning(): Job | undefined {
    for (let job = this.#running.peek(); job !== undefined; job = this.#running.peek()) {
      if (job.state === "running") return job;
      this.#running.shift();
    }
    return undefined;
  }

  #timedOut(job: Job): void {
    const { env } = this.#host;
    env.counters.count("handler.timeouts");
    env.logger.warn("handler timed out", { subscription: this.id, timeoutMs: this.spec.timeoutMs });
    job.revoke(timeoutError(this.spec.timeoutMs));
    // Its key waits for the promise, but not for ever.
    env.clock.setTimer(this.spec.abandonMs, () => {
      if (job.state !== "revoked") return;
      env.counters.count("handler.abandoned");
      this.#failed(job, timeoutError(this.spec.timeoutMs));
      this.dispatch();
    });
  }

  #stopTimers(): void {
    const { clock } = this.#host.env;
    if (this.#waitTimer !== undefined) clock.clearTimer(this.#waitTimer);
    if (this.#deadlineTimer !== undefined) clock.clearTimer(this.#deadlineTimer);
    this.#waitTimer = undefined;
    this.#deadlineTimer = undefined;
  }
}

const orphanKey = (producer: string, epoch: number, seq: number): string =>
  `${producer}:${epoch}:${seq}`;

const timeoutError = (timeoutMs: number): MeshError =>
  new MeshError("TIMEOUT", `handler did not finish within timeoutMs ${timeoutMs}`);

const describe = (error: unknown): { name: string; message: string } => {
  if (error instanceof Error) {
    return { name: error.name, message: error.message.slice(0, ERROR_TEXT_MAX) };
  }
  return { name: "Error", message: String(error).slice(0, ERROR_TEXT_MAX) };
};
