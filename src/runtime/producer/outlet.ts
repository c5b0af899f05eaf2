/** A subscription at one member over one session, as its producer sends to it. */

import type { Member } from "../../core/member.ts";
import type { Opening } from "../../core/opening.ts";
import type { Position } from "../../core/position.ts";
import type { SectionHead } from "../../wire/batch.ts";
import type { Link } from "../link/link.ts";

export type OutletSubscription = { readonly durableFloor: Position };

export class Outlet<Subscription extends OutletSubscription = OutletSubscription> {
  readonly link: Link;
  readonly subscription: Subscription;
  /** The index the consumer chose. */
  readonly index: number;
  readonly member: Member;
  readonly opening: Opening;
  /** Of the member here: another one after it left and joined anew. */
  readonly term: number;
  /** The next volatile delivery number, and what credit allows. */
  volatileNext = 1;
  volatileBytes = 0;
  /** Deliveries that lift a stop of their key, and do so again when they are sent again. */
  readonly #resumed = new Set<number>();
  #volatileNumberLimit = 0;
  #volatileBytesLimit = 0;

  constructor(
    link: Link,
    subscription: Subscription,
    index: number,
    member: Member,
    opening: Opening,
    term: number,
  ) {
    this.link = link;
    this.subscription = subscription;
    this.index = index;
    this.member = member;
    this.opening = opening;
    this.term = term;
  }

  resumedWith(number: number): void {
    for (const earlier of this.#resumed) {
      if (earlier >= this.opening.first) break;
      this.#resumed.delete(earlier);
    }
    this.#resumed.add(number);
  }

  hasResumedWith(number: number): boolean {
    return this.#resumed.has(number);
  }

  grantVolatile(numberLimit: number, bytesLimit: number): void {
    this.#volatileNumberLimit = Math.max(this.#volatileNumberLimit, numberLimit);
    this.#volatileBytesLimit = Math.max(this.#volatileBytesLimit, bytesLimit);
  }

  /** How many more at-most-once messages, and how many bytes of them, there is credit for. */
  get volatileLeft(): number {
    return this.#volatileNumberLimit - this.volatileNext + 1;
  }

  get volatileBytesLeft(): number {
    return this.#volatileBytesLimit - this.volatileBytes;
  }

  /** The head of a section that begins with the delivery of this number. */
  headOf(volatile: boolean, epoch: number, first: number): SectionHead {
    const floor = this.subscription.durableFloor;
    return {
      subscription: this.index,
      first,
      epoch,
      volatile,
      floorEpoch: floor.epoch,
      floorSeq: floor.seq,
      term: this.term,
    };
  }

  /** Credit for one more at-most-once message of at most so many bytes. */
  takesVolatile(bytes: number): boolean {
    return (
      !this.opening.paused &&
      this.volatileNext <= this.#volatileNumberLimit &&
      this.volatileBytes + bytes <= this.#volatileBytesLimit
    );
  }
}

/** What one link carries: its outlets, and which of them the open section of its batch belongs to. */
export class LinkOutlets<Subscription extends OutletSubscription = OutletSubscription> {
  readonly byIndex = new Map<number, Outlet<Subscription>>();
  #outlet: Outlet<Subscription> | undefined;
  #volatile = false;
  #epoch = 0;

  /** The next delivery begins a section of its own: its number does not follow. */
  restart(): void {
    this.#outlet = undefined;
  }

  /** Begins a section unless the open one fits. `first` is the number of the next delivery. */
  section(outlet: Outlet<Subscription>, volatile: boolean, epoch: number, first: number): void {
    const { batch, session } = outlet.link;
    if (batch.empty) {
      batch.begin(session);
    } else if (this.#outlet === outlet && this.#volatile === volatile && this.#epoch === epoch) {
      return;
    }
    this.#outlet = outlet;
    this.#volatile = volatile;
    this.#epoch = epoch;
    batch.beginSection(outlet.headOf(volatile, epoch, first));
  }
}
