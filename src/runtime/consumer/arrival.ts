/**
 * A message whose handler runs at once.
 *
 * Problem: most messages are handled and forgotten in the same instant, and what a job remembers
 * for retries, time-outs and settles costs more than that. Approach: an arrival knows its payload and where the
 * message lies; a job is made when somebody asks for more, and goes its way when the handler does not end at once.
 *
 * Invariant: of one message there is at most one job.
 */
import type { Delivery, Section } from "../../wire/batch.ts";
import type { Bundle } from "../../wire/bundle.ts";
import type { EnvelopeView } from "../../wire/envelope.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import { Job, type JobSubscription } from "./job.ts";

/** What came together. */
export interface ArrivalSource {
  /** The constants of their envelopes. */
  readonly head: EnvelopeView;
  /** The message at this place, as a job of this lane; -1: it may run beside any other. */
  job(at: number, keyHash: number): Job;
}

/** A bundle that has arrived. */
export class ArrivedBundle implements ArrivalSource {
  readonly subscription: JobSubscription;
  readonly opening: ConsumerOpening;
  readonly bundle: Bundle;
  /** Delivery number of its first message. */
  readonly first: number;

  constructor(
    subscription: JobSubscription,
    opening: ConsumerOpening,
    bundle: Bundle,
    first: number,
  ) {
    this.subscription = subscription;
    this.opening = opening;
    this.bundle = bundle;
    this.first = first;
  }

  get head(): EnvelopeView {
    return this.bundle.head;
  }

  job(at: number, keyHash: number): Job {
    const { bytes, rests, head } = this.bundle;
    return new Job(
      this.subscription,
      this.opening,
      this.first + at,
      true,
      0,
      0,
      0,
      keyHash,
      0,
      bytes,
      rests[2 * at] as number,
      rests[2 * at + 1] as number,
      head,
    );
  }
}

/** Durable deliveries that have arrived. */
export class ArrivedSection implements ArrivalSource {
  readonly subscription: JobSubscription;
  readonly opening: ConsumerOpening;
  readonly section: Section;
  readonly head: EnvelopeView;

  constructor(
    subscription: JobSubscription,
    opening: ConsumerOpening,
    section: Section,
    head: EnvelopeView,
  ) {
    this.subscription = subscription;
    this.opening = opening;
    this.section = section;
    this.head = head;
  }

  job(at: number, keyHash: number): Job {
    const { epoch, first, deliveries } = this.section;
    const delivery = deliveries[at] as Delivery;
    return new Job(
      this.subscription,
      this.opening,
      first + at,
      false,
      epoch,
      delivery.seq,
      delivery.skip,
      keyHash,
      delivery.attempts,
      delivery.bytes,
      delivery.envelopeStart,
      delivery.envelopeEnd,
    );
  }
}

export class Arrival {
  readonly from: ArrivalSource;
  /** Its place among what came with it. */
  readonly at: number;
  /** All that its envelope says beside the head, a time and a key. */
  readonly payload: Uint8Array;
  /** Of the key whose order it keeps; -1: it may run beside any other. */
  readonly keyHash: number;
  /** As of its job. */
  fence: number;
  made: Job | undefined;
  hasEnded: boolean;

  constructor(from: ArrivalSource, at: number, payload: Uint8Array, keyHash: number) {
    this.from = from;
    this.at = at;
    this.payload = payload;
    this.keyHash = keyHash;
    this.fence = 0;
    this.made = undefined;
    this.hasEnded = false;
  }

  get job(): Job {
    if (this.made === undefined) {
      this.made = this.from.job(this.at, this.keyHash);
      this.made.fence = this.fence;
      this.made.state = this.hasEnded ? "ended" : "running";
    }
    return this.made;
  }
}
