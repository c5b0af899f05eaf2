/**
 * A subscription's side of one session with one producer: numbers expected, settles to send.
 *
 * Problem: acks may leave only after the sync that covers their marks; nacks and returns at once; all of a
 * turn in one frame. Approach: acks gather until the batch that holds their marks is durable, then join
 * what leaves at the end of the turn.
 *
 * Invariants: every number below `expected` was received in this session; an ack is in exactly one of
 * `#marked` (no sync covers it yet), the batch under way, and `#ready`.
 */

import type { Position } from "../../core/position.ts";
import type { MeshError } from "../../errors.ts";
import type { Nack, SettleSection } from "../../wire/settle.ts";
import type { Committer } from "../journal/committer.ts";
import type { Link } from "../link/link.ts";
import type { InboxRow } from "./inbox-row.ts";
import { textOf } from "./nack-of.ts";

/** The smallest frame a peer may allow has room for twice this, whatever the characters. */
const NACK_TEXT_MAX = 16_384;

export class ConsumerOpening {
  readonly link: Link;
  readonly producer: string;
  readonly subscription: number;
  readonly inbox: InboxRow;
  /** The next durable and the next volatile delivery number. */
  expected = 1;
  expectedVolatile = 1;
  /**
   * This member's term at the producer: another one than before means that the keys may have been with
   * other members in between.
   */
  term = 0;
  /** A Resync was sent and its first delivery has not come yet. */
  resyncing = false;
  closed = false;
  /** The producer was told last that nothing is taken for now. */
  pausedTold = false;
  /** Deliveries that arrived and are not handled or given back. */
  inHand = 0;
  inHandVolatile = 0;
  /** What was expected at the last heartbeat. */
  expectedAtBeat = 1;
  expectedVolatileAtBeat = 1;
  /** Keys stopped until a delivery says "resume". */
  readonly stoppedKeys = new Set<number>();
  readonly #committer: Committer;
  readonly #wake: (opening: ConsumerOpening) => void;
  #marked: number[] = [];
  #markedHeld: number[] = [];
  #ready: number[] = [];
  #readyHeld: number[] = [];
  #nacks: Nack[] = [];
  #released: Position[] = [];

  constructor(
    link: Link,
    subscription: number,
    inbox: InboxRow,
    committer: Committer,
    wake: (opening: ConsumerOpening) => void,
  ) {
    this.link = link;
    this.producer = link.peer.nodeId;
    this.subscription = subscription;
    this.inbox = inbox;
    this.#committer = committer;
    this.#wake = wake;
  }

  /** Handled: the ack leaves once the mark is durable. */
  ack(number: number, held: boolean): void {
    const isFirst = this.#marked.length + this.#markedHeld.length === 0;
    (held ? this.#markedHeld : this.#marked).push(number);
    if (isFirst) this.#committer.dirty(this); // it stays so until `flush` takes them
  }

  /**
   * So many messages, in a row by number and by position (those from `from` to `to`, skipped ones included), were
   * handled and left nothing else to commit.
   */
  handled(epoch: number, from: number, to: number, first: number, count: number): void {
    this.inbox.mark(epoch, from, to);
    if (this.closed) this.#committer.dirty(this.inbox);
    else for (let number = first; number < first + count; number++) this.ack(number, false);
  }

  /** Handled before, durably: the ack leaves with this turn. */
  ackAgain(number: number, held: boolean): void {
    if (!this.inbox.isDurable) {
      this.ack(number, held);
      return;
    }
    (held ? this.#readyHeld : this.#ready).push(number);
    this.#wake(this);
  }

  nack(nack: Nack): void {
    this.#nacks.push(nack);
    this.#wake(this);
  }

  released(position: Position): void {
    this.#released.push(position);
    this.#wake(this);
  }

  /** Owner row of the committer: everything marked so far rides on this batch. */
  flush(): void {
    this.inbox.flush();
    const acks = this.#marked;
    const held = this.#markedHeld;
    this.#marked = [];
    this.#markedHeld = [];
    this.#committer.onDurable((error) => this.#synced(acks, held, error));
  }

  /** Something waits to leave. */
  get isWaiting(): boolean {
    const acks = this.#ready.length + this.#readyHeld.length;
    return acks + this.#nacks.length + this.#released.length > 0;
  }

  /** What leaves now, or undefined; of nacks no more than `NACK_TEXT_MAX` characters go, but one at least. */
  take(): SettleSection | undefined {
    if (!this.isWaiting) return undefined;
    const nacks = this.#takeNacks();
    const section = {
      subscription: this.subscription,
      acked: toRanges(this.#ready),
      held: this.#readyHeld,
      nacks,
      released: this.#released,
    };
    this.#ready = [];
    this.#readyHeld = [];
    this.#released = [];
    return section;
  }

  #takeNacks(): Nack[] {
    let chars = 0;
    const fits = this.#nacks.findIndex((nack) => {
      chars += textOf(nack);
      return chars > NACK_TEXT_MAX;
    });
    return this.#nacks.splice(0, fits < 0 ? this.#nacks.length : Math.max(1, fits));
  }

  #synced(acks: number[], held: number[], error: MeshError | undefined): void {
    if (this.closed) return;
    if (error !== undefined) {
      // The marks are not on disk: the acks wait for the next batch, which flushes this owner again.
      this.#marked = acks.concat(this.#marked);
      this.#markedHeld = held.concat(this.#markedHeld);
      return;
    }
    this.#ready = this.#ready.length === 0 ? acks : this.#ready.concat(acks);
    this.#readyHeld = this.#readyHeld.length === 0 ? held : this.#readyHeld.concat(held);
    this.#wake(this);
  }
}

/** Pairs of first number and count. Sorts its argument. */
export const toRanges = (numbers: number[]): number[] => {
  const ranges: number[] = [];
  let sorted = true;
  for (let at = 1; at < numbers.length; at++) {
    if ((numbers[at] as number) < (numbers[at - 1] as number)) {
      sorted = false;
      break;
    }
  }
  if (!sorted) numbers.sort((a, b) => a - b);
  let first = -1;
  let next = -1;
  for (const number of numbers) {
    if (number === next) {
      next++;
      continue;
    }
    if (first >= 0) ranges.push(first, next - first);
    first = number;
    next = number + 1;
  }
  if (first >= 0) ranges.push(first, next - first);
  return ranges;
};
