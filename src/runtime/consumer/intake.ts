/**
 * What arrives for one subscription: numbers, gaps, credit, and what was handled before.
 *
 * Problem: a frame may be lost, repeated or come without leave; a message may come again after its session
 * broke, while its handler runs, or after it was handled. Approach: numbers say what is next in a session;
 * credit says what may come; the inbox says what is settled; what still runs is joined by its redelivery.
 * The producer states this member's term: under another term than before, its keys may have been with other
 * members in between. What was handled or is running since before then, and not accepted, is handled anew,
 * or a message would count as handled before an earlier one of its key.
 *
 * Invariants: a delivery is passed on (`arrived`, `giveBack`) at most once a session; every one that is
 * passed on is answered with `consumed`, once.
 * Source: DESIGN sections 4 and 7.
 */
import { CreditGrant } from "../../core/credit-grant.ts";
import type { Delivery, Section } from "../../wire/batch.ts";
import type { CreditEntry } from "../../wire/credit.ts";
import type { SubscriptionRecord } from "../../wire/declare.ts";
import type { Environment } from "../environment.ts";
import type { AtOnce } from "./at-once.ts";
import { BundleIntake } from "./bundle-intake.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import { Job, type JobSubscription } from "./job.ts";
import { SectionIntake } from "./section-intake.ts";
import { SenderRights } from "./sender-rights.ts";

/** Credit for at-most-once deliveries, apart from durable ones; bytes are `prefetchBytes` where that is more. */
const VOLATILE_MESSAGES = 65_536;
const VOLATILE_BYTES = 16 * 1024 * 1024;
const VOLATILE_SHARE_MIN = 4_096;
/** What its sender counts beside the payload, and headers. */
const VOLATILE_AROUND_BYTES = 128 * 1024;
const SHARE_MIN = 16;
/** A message for whose mark there is no room comes again after so long. */
const ROOM_AGAIN_MS = 1_000;

export interface IntakeOwner extends JobSubscription {
  readonly env: Environment;
  readonly spec: {
    readonly record: SubscriptionRecord;
    readonly prefetch: number;
    readonly prefetchBytes: number;
    readonly stateful: boolean;
    readonly alone: boolean;
  };
  /** Jobs that wait or run: each may need a mark. */
  readonly jobsCount: number;
  arrived(job: Job): void;
  /** Whoever sent it may not: it ends here. */
  refuse(job: Job, reason: string): void;
  /** Not attempted; with a delay its key stops here until it comes again. */
  giveBack(job: Job, delayMs: number): void;
  isHeld(job: { producer: string; epoch: number; seq: number }): boolean;
  /** Whether it was handled, and its output held, under another term than this. */
  isStale(job: { producer: string; epoch: number; seq: number }, term: number): boolean;
  /** What its handler still does has no effect: the message is handled anew, after it has ended. */
  supersede(job: Job): void;
  wake(opening: ConsumerOpening): void;
}

export class Intake {
  readonly #credit: CreditGrant<ConsumerOpening>;
  readonly #volatileCredit: CreditGrant<ConsumerOpening>;
  readonly #owner: IntakeOwner;
  readonly #senders: SenderRights | undefined;
  readonly #bundles: BundleIntake;
  readonly #sections: SectionIntake;
  /** Jobs that run although their session is over, by producer and position. */
  readonly #orphans = new Map<string, Job>();
  /** Whose section is being taken; what is consumed meanwhile is looked at once, at its end. */
  #receiving: ConsumerOpening | undefined;

  constructor(owner: IntakeOwner, atOnce: AtOnce) {
    this.#owner = owner;
    const { access } = owner.env;
    this.#senders = access && new SenderRights(access, owner.spec.record);
    const { prefetch, prefetchBytes } = owner.spec;
    this.#credit = new CreditGrant<ConsumerOpening>({
      messages: prefetch,
      bytes: prefetchBytes,
      minShare: Math.min(SHARE_MIN, prefetch),
    });
    this.#volatileCredit = new CreditGrant<ConsumerOpening>({
      messages: VOLATILE_MESSAGES,
      bytes: Math.max(VOLATILE_BYTES, prefetchBytes, 2 * owner.env.limits.payloadBytesMax),
      minShare: VOLATILE_SHARE_MIN,
      // An idle link has room for the largest message: who sends it does not know what is in flight.
      minShareBytes: owner.env.limits.payloadBytesMax + VOLATILE_AROUND_BYTES,
    });
    const isKeyed = owner.spec.record.distribution === "key";
    const shared = { atOnce, isKeyed, senders: this.#senders };
    this.#bundles = new BundleIntake(owner, {
      ...shared,
      credit: this.#volatileCredit,
      arrived: (job) => this.#arrived(job),
    });
    this.#sections = new SectionIntake(owner, {
      ...shared,
      credit: this.#credit,
      orphans: this.#orphans,
      take: (opening, epoch, number, delivery) => this.#take(opening, epoch, number, delivery),
    });
  }

  open(opening: ConsumerOpening): void {
    this.#credit.addLink(opening);
    this.#volatileCredit.addLink(opening);
  }

  /** The session is over. What it delivered counts until it is consumed. */
  close(opening: ConsumerOpening): void {
    this.#credit.removeLink(opening);
    this.#volatileCredit.removeLink(opening);
  }

  /** A job that runs on without its session: its redelivery joins it. */
  orphan(job: Job): void {
    this.#orphans.set(keyOf(job), job);
  }

  /** What still runs of this producer, without a session, may be of other messages than it will send. */
  giveUp(producer: string): void {
    for (const [key, job] of this.#orphans) {
      if (job.producer !== producer) continue;
      this.#orphans.delete(key);
      if (job.state === "running") this.#owner.supersede(job);
    }
  }

  /** The job has ended. */
  forget(job: Job): void {
    if (this.#orphans.size > 0 && this.#orphans.get(keyOf(job)) === job) {
      this.#orphans.delete(keyOf(job));
    }
  }

  /** A delivery has left memory here. */
  consumed(opening: ConsumerOpening, size: number, volatile: boolean): void {
    if (volatile) opening.inHandVolatile--;
    else opening.inHand--;
    const credit = volatile ? this.#volatileCredit : this.#credit;
    credit.onConsumed(opening, size);
    if (opening === this.#receiving || opening.closed) return;
    if (credit.needsUpdate(opening)) this.#owner.wake(opening);
  }

  /** Whether new limits are worth a frame. */
  needsUpdate(opening: ConsumerOpening): boolean {
    return this.#credit.needsUpdate(opening) || this.#volatileCredit.needsUpdate(opening);
  }

  /** What to tell a link it may send. Not raised, its limits are what they were. */
  creditOf(opening: ConsumerOpening, paused: boolean, raised: boolean): CreditEntry {
    const durable = this.#credit.limitsFor(opening, raised);
    const volatile = this.#volatileCredit.limitsFor(opening, raised);
    opening.pausedTold = paused;
    return {
      subscription: opening.subscription,
      numberLimit: durable.numberLimit,
      bytesLimit: durable.bytesLimit,
      volatileNumberLimit: volatile.numberLimit,
      volatileBytesLimit: volatile.bytesLimit,
      paused,
    };
  }

  /** A heartbeat has passed: a link that brought nothing and left nothing here is idle. */
  beat(opening: ConsumerOpening): void {
    if (opening.inHand === 0 && opening.expected === opening.expectedAtBeat) {
      this.#credit.markIdle(opening);
    }
    if (
      opening.inHandVolatile === 0 &&
      opening.expectedVolatile === opening.expectedVolatileAtBeat
    ) {
      this.#volatileCredit.markIdle(opening);
    }
    opening.expectedAtBeat = opening.expected;
    opening.expectedVolatileAtBeat = opening.expectedVolatile;
  }

  receive(opening: ConsumerOpening, section: Section): void {
    this.#receiving = opening;
    if (section.volatile) this.#receiveVolatile(opening, section);
    else this.#receiveDurable(opening, section);
    this.#receiving = undefined;
    const credit = section.volatile ? this.#volatileCredit : this.#credit;
    if (!opening.closed && credit.needsUpdate(opening)) this.#owner.wake(opening);
  }

  #receiveVolatile(opening: ConsumerOpening, section: Section): void {
    const { counters } = this.#owner.env;
    const missed = section.first - opening.expectedVolatile;
    if (missed > 0) counters.count("emit.dropped.lost", missed);
    let number = section.first;
    for (const delivery of section.deliveries) {
      const job = this.#job(opening, section.epoch, number++, true, delivery);
      if (!this.#volatileCredit.onDelivered(opening, job.size)) {
        counters.count("emit.dropped.overCredit");
        continue;
      }
      opening.inHandVolatile++;
      this.#arrived(job);
    }
    for (const bundle of section.bundles) {
      this.#bundles.receive(opening, bundle, number);
      number += bundle.rests.length / 2;
    }
    opening.expectedVolatile = Math.max(opening.expectedVolatile, number);
  }

  #receiveDurable(opening: ConsumerOpening, section: Section): void {
    opening.inbox.heardFloor({ epoch: section.floorEpoch, seq: section.floorSeq });
    opening.term = section.term;
    if (section.first > opening.expected) {
      this.#resync(opening);
      return;
    }
    if (section.first === opening.expected && this.#sections.receive(opening, section)) return;
    let number = section.first;
    for (const delivery of section.deliveries) {
      if (opening.closed) return;
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
    this.#owner.env.counters.count("link.gap");
    if (opening.resyncing) return;
    opening.resyncing = true;
    opening.link.send({
      type: "resync",
      session: opening.link.session,
      subscription: this.#owner.spec.record.index,
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
    const size = delivery.envelopeEnd - delivery.envelopeStart;
    if (!this.#credit.onDelivered(opening, size)) {
      this.#owner.env.counters.count("link.overCredit");
      opening.link.close("MALFORMED", `delivery ${number} of ${this.#owner.id} exceeds the credit`);
      return;
    }
    opening.inHand++;
    this.#take(opening, epoch, number, delivery);
  }

  #take(opening: ConsumerOpening, epoch: number, number: number, delivery: Delivery): void {
    const { seq, keyHash } = delivery;
    // Also when this message was handled before: the producer says it once.
    if (delivery.resume) opening.stoppedKeys.delete(keyHash);
    const { producer } = opening;
    const isSettled = opening.inbox.inbox.isSettled(epoch, seq);
    const renews =
      isSettled &&
      this.#isKeyed(keyHash) &&
      !this.#owner.spec.stateful && // its keys are with nobody else, and its state has changed
      this.#owner.isStale({ producer, epoch, seq }, opening.term);
    if (isSettled && !renews) {
      this.#owner.env.counters.count("inbox.duplicates");
      opening.ackAgain(number, this.#owner.isHeld({ producer, epoch, seq }));
      this.consumed(opening, delivery.envelopeEnd - delivery.envelopeStart, false);
      return;
    }
    if (this.#orphans.size > 0 && this.#adopt(opening, epoch, seq, number)) return;
    const job = this.#job(opening, epoch, number, false, delivery);
    if (renews) {
      this.#owner.env.counters.count("inbox.renewed");
      job.renews = true;
    }
    if (opening.stoppedKeys.size > 0 && opening.stoppedKeys.has(keyHash)) {
      this.#owner.giveBack(job, 0);
      return;
    }
    if (opening.inbox.inbox.hasRoom(epoch, this.#owner.jobsCount)) this.#arrived(job);
    else this.#owner.giveBack(job, ROOM_AGAIN_MS); // until the producer's floor has moved
  }

  #arrived(job: Job): void {
    const denied = this.#senders?.denied(job);
    if (denied === undefined) this.#owner.arrived(job);
    else this.#owner.refuse(job, denied);
  }

  #job(
    opening: ConsumerOpening,
    epoch: number,
    number: number,
    volatile: boolean,
    delivery: Delivery,
  ): Job {
    return new Job(
      this.#owner,
      opening,
      number,
      volatile,
      epoch,
      delivery.seq,
      delivery.skip,
      this.#isKeyed(delivery.keyHash) ? delivery.keyHash : -1,
      delivery.attempts,
      delivery.bytes,
      delivery.envelopeStart,
      delivery.envelopeEnd,
    );
  }

  #isKeyed(keyHash: number): boolean {
    return keyHash >= 0 && this.#owner.spec.record.distribution === "key";
  }

  /** The redelivery of a message whose handler still runs joins that run, unless that is stale. */
  #adopt(opening: ConsumerOpening, epoch: number, seq: number, number: number): boolean {
    const key = keyOf({ producer: opening.producer, epoch, seq });
    const job = this.#orphans.get(key);
    if (job?.state !== "running") return false;
    this.#orphans.delete(key);
    if (
      job.opening.term !== opening.term &&
      this.#isKeyed(job.keyHash) &&
      !this.#owner.spec.stateful
    ) {
      this.#owner.supersede(job);
      return false;
    }
    this.consumed(job.opening, job.size, false);
    job.opening = opening;
    job.number = number;
    this.#owner.env.counters.count("inbox.joined");
    return true;
  }
}

const keyOf = (job: { producer: string; epoch: number; seq: number }): string =>
  `${job.producer}:${job.epoch}:${job.seq}`;
