/** One attempt at a message, at its consumer, from arrival to settle. */
import { EnvelopeView } from "../../wire/envelope.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import type { FailedAttempt } from "./nack-of.ts";
import type { StagedMessage } from "./staged-message.ts";

export type JobState =
  | "waiting" // in a lane
  | "running" // its handler was called
  | "revoked" // timed out or told to stop; what it still does has no effect
  | "ended";

/** A change of `ctx.state`, kept until the handler has succeeded. */
export type StateWrite = { readonly key: string; readonly value: Uint8Array | undefined };

/** The subscription a job belongs to, as far as a job is concerned. */
export type JobSubscription = {
  readonly id: string;
  readonly spec: { readonly stateful: boolean; readonly alone: boolean };
};

export class Job {
  readonly subscription: JobSubscription;
  /** The opening it came by; replaced when it is delivered again while it runs. */
  opening: ConsumerOpening;
  /** Delivery number in that opening. */
  number: number;
  readonly volatile: boolean;
  /** Position at the producer; 0, 0 for volatile messages. */
  readonly epoch: number;
  readonly seq: number;
  readonly skip: number;
  readonly keyHash: number;
  /** Failed attempts before this one. */
  attempts: number;
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
  /** What its envelope says before `start`. */
  readonly head: EnvelopeView | undefined;
  state: JobState = "waiting";
  /** Attempts here before this one, that the producer does not know of. */
  failed: FailedAttempt[] | undefined;
  /** It was handled here before, under another term: what that held is replaced. */
  renews = false;
  /** The term under which its key is this node's; 0: nobody owns it. */
  fence = 0;
  /** It keeps its shard busy. */
  isCounted = false;
  /** It went back while its handler ran: what that still does has no effect, nor does its end. */
  surrendered = false;
  /** Monotonic milliseconds at which it times out, or may be tried again. */
  deadlineMs = 0;
  /** Of the subscription's breaker, while it runs. */
  permit = 0;
  staged: StagedMessage[] | undefined;
  /** Places of `staged` that are still being validated: the attempt has succeeded only when they are filled. */
  staging: Promise<void>[] | undefined;
  stateWrites: StateWrite[] | undefined;
  #view: EnvelopeView | undefined;
  #controller: AbortController | undefined;
  #revokedBy: Error | undefined;

  constructor(
    subscription: JobSubscription,
    opening: ConsumerOpening,
    number: number,
    volatile: boolean,
    epoch: number,
    seq: number,
    skip: number,
    keyHash: number,
    attempts: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    head?: EnvelopeView,
  ) {
    this.subscription = subscription;
    this.opening = opening;
    this.number = number;
    this.volatile = volatile;
    this.epoch = epoch;
    this.seq = seq;
    this.skip = skip;
    this.keyHash = keyHash;
    this.attempts = attempts;
    this.bytes = bytes;
    this.start = start;
    this.end = end;
    this.head = head;
  }

  get job(): this {
    return this;
  }

  /** Envelope bytes, the unit of credit. */
  get size(): number {
    return this.end - this.start;
  }

  get envelope(): EnvelopeView {
    this.#view ??= new EnvelopeView(this.bytes, this.start, this.end, this.head);
    return this.#view;
  }

  /** The node that owns the message. */
  get producer(): string {
    return this.opening.producer;
  }

  get isLive(): boolean {
    return this.state === "running";
  }

  /** Its handler has sent nothing and changed no state so far. */
  get leavesNothing(): boolean {
    const { staged, staging, stateWrites } = this;
    return staged === undefined && staging === undefined && stateWrites === undefined;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#revokedBy !== undefined) this.#controller.abort(this.#revokedBy);
    }
    return this.#controller.signal;
  }

  /** What the handler still does has no effect from now on. */
  revoke(reason: Error): void {
    if (this.state !== "running") return;
    this.state = "revoked";
    this.#revokedBy = reason;
    this.#controller?.abort(reason);
  }

  /** The same message for its next attempt: nothing of this one, nor who still holds it, reaches that. */
  nextAttempt(): Job {
    const { subscription, opening, number, volatile, epoch, seq, skip, keyHash } = this;
    const { attempts, bytes, start, end, head } = this;
    const next = new Job(
      subscription,
      opening,
      number,
      volatile,
      epoch,
      seq,
      skip,
      keyHash,
      attempts,
      bytes,
      start,
      end,
      head,
    );
    next.renews = this.renews;
    next.failed = this.failed;
    next.isCounted = this.isCounted;
    return next;
  }
}
