/**
 * What arrives as bundles: at-most-once messages of one contract, many at a time.
 *
 * Problem: credit, rights, gates and a job cost more for each message than to handle it. Approach: what is the
 * same for all messages of a bundle is asked once; a message for which nothing has to wait runs as it arrives,
 * without a job; any other becomes one, and goes the way of all others. What may change while handlers run
 * (a pause, a stop, places taken by handlers that go on) is looked at for each.
 *
 * Invariants: a message runs before a later one of its bundle; every one is consumed once, at the end of its
 * bundle or by its job.
 */
import type { CreditGrant } from "../../core/credit-grant.ts";
import { type Bundle, plainPayload } from "../../wire/bundle.ts";
import type { Counters } from "../counters.ts";
import { Arrival, ArrivedBundle } from "./arrival.ts";
import type { AtOnce } from "./at-once.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import type { Job, JobSubscription } from "./job.ts";
import type { SenderRights } from "./sender-rights.ts";

export interface BundleOwner extends JobSubscription {
  readonly env: { readonly counters: Counters };
}

export type BundleIntakeOptions = {
  readonly atOnce: AtOnce;
  /** Whether keys have an order here. */
  readonly isKeyed: boolean;
  readonly credit: CreditGrant<ConsumerOpening>;
  readonly senders: SenderRights | undefined;
  /** Takes a job within its credit, and asks for its rights. */
  readonly arrived: (job: Job) => void;
};

export class BundleIntake {
  readonly #owner: BundleOwner;
  readonly #options: BundleIntakeOptions;

  constructor(owner: BundleOwner, options: BundleIntakeOptions) {
    this.#owner = owner;
    this.#options = options;
  }

  /** `first` is the delivery number of its first message. */
  receive(opening: ConsumerOpening, bundle: Bundle, first: number): void {
    const { credit, arrived } = this.#options;
    const from = new ArrivedBundle(this.#owner, opening, bundle, first);
    const { rests } = bundle;
    const count = rests.length / 2;
    let bytes = 0;
    for (let at = 0; at < rests.length; at += 2) {
      bytes += (rests[at + 1] as number) - (rests[at] as number);
    }
    if (!credit.onDelivered(opening, bytes, count)) {
      this.#oneByOne(from, count);
      return;
    }
    opening.inHandVolatile += count;
    if (this.#runsAtOnce(from)) this.#run(from, count);
    else for (let at = 0; at < count; at++) arrived(from.job(at, this.#laneOf(bundle, at)));
  }

  /** Not all of it is within the credit. */
  #oneByOne(from: ArrivedBundle, count: number): void {
    const { credit, arrived } = this.#options;
    const { opening, bundle } = from;
    for (let at = 0; at < count; at++) {
      const job = from.job(at, this.#laneOf(bundle, at));
      if (!credit.onDelivered(opening, job.size)) {
        this.#owner.env.counters.count("emit.dropped.overCredit");
        continue;
      }
      opening.inHandVolatile++;
      arrived(job);
    }
  }

  #runsAtOnce({ opening, bundle }: ArrivedBundle): boolean {
    const { atOnce, isKeyed, senders } = this.#options;
    if ((bundle.keyHashes.length > 0 && isKeyed) || !atOnce.isOpen) return false;
    return senders?.denied({ opening, envelope: bundle.head }) === undefined;
  }

  #run(from: ArrivedBundle, count: number): void {
    const { atOnce, credit, arrived } = this.#options;
    const { opening } = from;
    const { bytes, rests } = from.bundle;
    let ended = 0;
    let endedBytes = 0;
    for (let at = 0; at < count; at++) {
      const start = rests[2 * at] as number;
      const end = rests[2 * at + 1] as number;
      if (opening.closed) {
        this.#owner.env.counters.count("emit.dropped.linkLost");
        ended++;
        endedBytes += end - start;
        continue;
      }
      const payload = atOnce.isFree ? plainPayload(bytes, start, end) : undefined;
      if (payload === undefined) {
        arrived(from.job(at, -1));
      } else if (atOnce.run(new Arrival(from, at, payload, -1))) {
        ended++;
        endedBytes += end - start;
      }
    }
    opening.inHandVolatile -= ended;
    credit.onConsumed(opening, endedBytes, ended);
  }

  #laneOf({ keyHashes }: Bundle, at: number): number {
    return this.#options.isKeyed ? (keyHashes[at] ?? -1) : -1;
  }
}
