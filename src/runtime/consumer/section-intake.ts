/**
 * Durable messages that may run as they arrive.
 *
 * Problem: a job, its lane, its view and its own mark cost more for each message than to handle it. Approach: what is
 * the same for all messages of a section is asked once; one that was not tried yet, and for which nothing has to wait,
 * runs as it arrives, without a job. What succeeds so leaves a mark and an ack; those of neighbours are made together,
 * before anything else of the section and before the turn ends. Any other message goes the way of all others.
 *
 * Invariants: a message that was handled here does not run; what has run is marked in the turn in which it ran, and
 * acked by the commit that holds the mark; every message is consumed once; nothing runs for whose mark there is no
 * room. A message of a key that has an order runs only where nothing of that key is before it, waiting, under way or
 * stopped; whether its shard is this node's, and the lease good, is asked for each, and all else once for a section.
 */
import type { CreditGrant } from "../../core/credit-grant.ts";
import type { Delivery, Section } from "../../wire/batch.ts";
import type { EnvelopeView } from "../../wire/envelope.ts";
import { PlainEnvelopes } from "../../wire/plain-envelopes.ts";
import { Arrival, ArrivedSection } from "./arrival.ts";
import type { AtOnce } from "./at-once.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import type { Job, JobSubscription } from "./job.ts";
import type { SenderRights } from "./sender-rights.ts";

export interface SectionOwner extends JobSubscription {
  /** Jobs that wait or run: each may need a mark. */
  readonly jobsCount: number;
}

export type SectionIntakeOptions = {
  readonly atOnce: AtOnce;
  /** Whether keys have an order here. */
  readonly isKeyed: boolean;
  readonly credit: CreditGrant<ConsumerOpening>;
  readonly senders: SenderRights | undefined;
  /** Jobs that run although their session is over: a redelivery joins its job. */
  readonly orphans: ReadonlyMap<string, Job>;
  /** Takes a message of the section whose credit and number are accounted for. */
  readonly take: (
    opening: ConsumerOpening,
    epoch: number,
    number: number,
    delivery: Delivery,
  ) => void;
};

export class SectionIntake {
  readonly #owner: SectionOwner;
  readonly #options: SectionIntakeOptions;
  readonly #envelopes = new PlainEnvelopes();

  constructor(owner: SectionOwner, options: SectionIntakeOptions) {
    this.#owner = owner;
    this.#options = options;
  }

  /** Takes a section that begins with the number expected. False, and nothing is taken: one by one. */
  receive(opening: ConsumerOpening, section: Section): boolean {
    const { atOnce, credit } = this.#options;
    const { deliveries } = section;
    const first = deliveries[0];
    if (first === undefined || !atOnce.isOpen) return false;
    const head = this.#headOf(opening, first);
    if (head === undefined) return false;
    let bytes = 0;
    for (const delivery of deliveries) bytes += sizeOf(delivery);
    if (!credit.onDelivered(opening, bytes, deliveries.length)) return false;
    opening.expected += deliveries.length;
    opening.resyncing = false;
    opening.inHand += deliveries.length;
    this.#run(opening, section, new ArrivedSection(this.#owner, opening, section, head));
    return true;
  }

  #run(opening: ConsumerOpening, section: Section, from: ArrivedSection): void {
    const { atOnce, credit, isKeyed, take } = this.#options;
    const { epoch, first, deliveries } = section;
    const handled = new Handled(opening, epoch);
    let ended = 0;
    let endedBytes = 0;
    for (let at = 0; at < deliveries.length; at++) {
      const delivery = deliveries[at] as Delivery;
      if (opening.closed) {
        // It comes again in the next session.
        ended++;
        endedBytes += sizeOf(delivery);
        continue;
      }
      const keyHash = isKeyed ? delivery.keyHash : -1;
      const payload = this.#mayRun(opening, epoch, delivery, keyHash, handled)
        ? this.#envelopes.payloadOf(delivery.bytes, delivery.envelopeStart, delivery.envelopeEnd)
        : undefined;
      if (payload === undefined) {
        handled.mark();
        take(opening, epoch, first + at, delivery);
      } else if (atOnce.run(new Arrival(from, at, payload, keyHash))) {
        handled.add(delivery, first + at);
        ended++;
        endedBytes += sizeOf(delivery);
      } else handled.mark();
    }
    handled.mark();
    opening.inHand -= ended;
    credit.onConsumed(opening, endedBytes, ended);
  }

  /** The constants of the section's first envelope, where its sender may say them. */
  #headOf(opening: ConsumerOpening, first: Delivery): EnvelopeView | undefined {
    const { bytes, envelopeStart: start, envelopeEnd: end } = first;
    const envelopes = this.#envelopes;
    if (envelopes.payloadOf(bytes, start, end) === undefined) envelopes.learn(bytes, start, end);
    const { head } = envelopes;
    if (head === undefined) return undefined;
    const denied = this.#options.senders?.denied({ opening, envelope: head });
    return denied === undefined ? head : undefined;
  }

  /** `keyHash` of a key that has an order, or -1. */
  #mayRun(
    opening: ConsumerOpening,
    epoch: number,
    delivery: Delivery,
    keyHash: number,
    handled: Handled,
  ): boolean {
    const { atOnce, orphans } = this.#options;
    if (!atOnce.isFree || orphans.size > 0) return false;
    if (delivery.attempts > 0 || delivery.resume) return false;
    if (keyHash >= 0) {
      const { stoppedKeys } = opening;
      if (stoppedKeys.size > 0 && stoppedKeys.has(keyHash)) return false;
      if (!atOnce.isFreeFor(keyHash)) return false;
    }
    const { inbox } = opening.inbox;
    if (handled.isNext(delivery)) return !inbox.isSettled(epoch, delivery.seq);
    handled.mark(); // so that the inbox knows of a message that comes twice
    return !inbox.isSettled(epoch, delivery.seq) && inbox.hasRoom(epoch, this.#owner.jobsCount);
  }
}

/** Messages in a row that have been handled and are not marked yet. */
class Handled {
  readonly #opening: ConsumerOpening;
  readonly #epoch: number;
  #from = 0;
  #to = 0;
  #first = 0;
  #count = 0;

  constructor(opening: ConsumerOpening, epoch: number) {
    this.#opening = opening;
    this.#epoch = epoch;
  }

  /** Whether it follows the last one, so that one mark serves both. */
  isNext({ seq, skip }: Delivery): boolean {
    return this.#count > 0 && seq - skip === this.#to + 1;
  }

  add(delivery: Delivery, number: number): void {
    if (!this.isNext(delivery)) {
      this.mark();
      this.#from = delivery.seq - delivery.skip;
      this.#first = number;
    }
    this.#to = delivery.seq;
    this.#count++;
  }

  mark(): void {
    if (this.#count === 0) return;
    this.#opening.handled(this.#epoch, this.#from, this.#to, this.#first, this.#count);
    this.#count = 0;
  }
}

const sizeOf = ({ envelopeStart, envelopeEnd }: Delivery): number => envelopeEnd - envelopeStart;
