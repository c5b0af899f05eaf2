/**
 * Moves messages of one subscription from the journal to its members: reads on, sends what may be sent.
 *
 * Reading goes on only while somebody could take more, so that a backlog costs no memory; sending stops at
 * credit, at a congested link, and at the member's own order.
 */
import type { Entry } from "../../core/entry.ts";
import { comparePositions } from "../../core/position.ts";
import { headOfBatch } from "../../wire/large-frame.ts";
import type { Environment } from "../environment.ts";
import type { Block } from "../journal/block.ts";
import type { Journal } from "../journal/journal.ts";
import type { Link } from "../link/link.ts";
import type { DeadLetterDesk } from "./dead-letter-desk.ts";
import type { LinkOutlets, Outlet } from "./outlet.ts";
import type { SubscriptionState } from "./subscription-state.ts";

/** Placed messages that are always read ahead, and the most sent to one member before the next has a turn. */
/** Reason of a dead letter: no peer that was to have it reads so large a frame. */
const TOO_LARGE = "tooLarge";
const AHEAD = 512;
const TURN = 64;

export type PumpHost = {
  readonly env: Environment;
  readonly journal: Journal;
  readonly deadLetterDesk: Pick<DeadLetterDesk, "bury">;
  outletsOf(link: Link): LinkOutlets<SubscriptionState> | undefined;
  /** The message ended at its producer without a consumer's settle. */
  expire(state: SubscriptionState, entry: Entry): void;
};

export class Pump {
  readonly #host: PumpHost;

  constructor(host: PumpHost) {
    this.#host = host;
  }

  run(state: SubscriptionState): void {
    if (state.outlets.size === 0 || state.pausedFor !== undefined) return;
    for (;;) {
      const read = this.#read(state);
      const sent = this.#send(state);
      if (read === 0 || sent === 0) return;
    }
  }

  /** Reads on in the journal; returns how many messages were placed. */
  #read(state: SubscriptionState): number {
    const { journal } = this.#host;
    const { cursor } = state;
    let placed = 0;
    while (cursor.room > 0 && this.#wantsMore(state)) {
      const { head } = journal;
      if (head === undefined || comparePositions(cursor.scanned, head) >= 0) break;
      const block = journal.read(cursor.scanned);
      if (block === undefined) break;
      placed += this.readBlock(state, block);
    }
    this.#reconcile(state);
    return placed;
  }

  /** Reads on in this block, at most a stretch; returns how many messages were placed. */
  readBlock(state: SubscriptionState, block: Block): number {
    const { cursor } = state;
    const { epoch, firstSeq, count } = block;
    const wanted = block.subjects.map(({ kind, subject }) => state.concerns(kind, subject));
    const isAll = block.isUniform && wanted[0] === true && !state.hasFilter;
    const { scanned } = cursor;
    let index = scanned.epoch === epoch ? Math.max(0, scanned.seq - firstSeq + 1) : 0;
    if (scanned.epoch !== epoch || scanned.seq !== firstSeq + index - 1) state.skip = 0;
    let placed = 0;
    const room = Math.min(cursor.room, 2 * AHEAD);
    for (; index < count && placed < room; index++) {
      if (!isAll && !this.#isFor(state, block, index, wanted)) {
        state.skip++;
        continue;
      }
      const seq = firstSeq + index;
      const bytes = block.envelopeEnd(index) - block.envelopeStart(index);
      cursor.add(epoch, seq, state.skip, block.keyHash(index), bytes, block.expireAtMs(index));
      state.scanned(epoch, seq);
      state.skip = 0;
      placed++;
    }
    cursor.read({ epoch, seq: firstSeq + index - 1 });
    return placed;
  }

  #isFor(state: SubscriptionState, block: Block, index: number, wanted: boolean[]): boolean {
    const target = block.target(index);
    if (target !== undefined) return target === state.id;
    return wanted[block.subjectIndex(index)] === true && state.passes(block, index);
  }

  /** Everything was read: messages that were counted and never came were in damaged blocks. */
  #reconcile(state: SubscriptionState): void {
    const { head } = this.#host.journal;
    if (head === undefined || comparePositions(state.cursor.scanned, head) < 0) return;
    const missing = state.ledger.accepted - state.scannedCount;
    if (missing <= 0) return;
    state.ledger.add("damaged", missing);
    state.scannedCount += missing;
    state.touched(missing, false);
  }

  #wantsMore(state: SubscriptionState): boolean {
    const { cursor } = state;
    if (cursor.unsent >= this.#host.env.limits.lookAheadMax) return false;
    for (const outlet of state.outlets.values()) {
      const { member, opening, link } = outlet;
      if (member.draining || opening.room <= 0 || link.congested) continue;
      // What is for anybody stands in no member's own queue.
      if (cursor.unsent < AHEAD || cursor.next(member) === undefined) return true;
    }
    return false;
  }

  /** Members take turns, so that none waits behind another's long queue. */
  #send(state: SubscriptionState): number {
    let sent = 0;
    for (;;) {
      let round = 0;
      for (const outlet of state.outlets.values()) round += this.#sendTo(state, outlet);
      sent += round;
      if (round === 0) return sent;
    }
  }

  #sendTo(state: SubscriptionState, outlet: Outlet<SubscriptionState>): number {
    const { link, member } = outlet;
    const { cursor } = state;
    let sent = 0;
    while (sent < TURN && !link.congested) {
      const entry = cursor.next(member);
      if (entry === undefined) break;
      if (entry.expireAtMs >= 0 && entry.expireAtMs <= this.#host.env.clock.wallMs()) {
        this.#host.expire(state, entry);
        continue;
      }
      if (state.mustWait(entry)) break;
      if (!this.#write(state, outlet, entry)) continue;
      sent++;
    }
    if (sent > 0) link.batchGrew();
    return sent;
  }

  #write(state: SubscriptionState, outlet: Outlet<SubscriptionState>, entry: Entry): boolean {
    const block = this.#blockOf(state, entry);
    if (block === undefined) {
      state.cursor.settle(entry);
      state.ledger.add("damaged", 1);
      state.touched(1, false);
      return false;
    }
    const index = entry.seq - block.firstSeq;
    const { opening, link, member } = outlet;
    const outlets = this.#host.outletsOf(link);
    if (outlets === undefined) return false;
    const { expireAtMs, keyHash, attempts, skip } = entry;
    if (!link.pieces.takes(entry.bytes)) {
      this.#host.deadLetterDesk.bury(outlet, entry, { reason: TOO_LARGE });
      return false;
    }
    const isAlone = link.pieces.isAlone(entry.bytes);
    const first = opening.next;
    if (!isAlone) outlets.section(outlet, false, entry.epoch, first);
    const resume = state.cursor.sent(member, entry);
    if (resume) outlet.resumedWith(entry.number);
    const remainingMs =
      expireAtMs < 0 ? -1 : Math.max(0, Math.round(expireAtMs - this.#host.env.clock.wallMs()));
    if (isAlone) {
      const section = outlet.headOf(false, entry.epoch, first);
      const how = { seq: entry.seq, keyHash, attempts, skip, remainingMs, resume };
      const head = headOfBatch(link.session, section, how, entry.bytes);
      const { envelopeBytes } = block;
      const end = block.envelopeEnd(index);
      link.sendAlone(head, envelopeBytes.subarray(block.envelopeStart(index), end));
      return true;
    }
    link.batch.delivery(
      entry.seq,
      keyHash,
      attempts,
      skip,
      remainingMs,
      resume,
      block.envelopeBytes,
      block.envelopeStart(index),
      block.envelopeEnd(index),
    );
    if (link.batch.bytes >= BATCH_CUT) link.batchGrew();
    return true;
  }

  #blockOf(state: SubscriptionState, entry: Entry): Block | undefined {
    const { block } = state;
    const { epoch, seq } = entry;
    if (block?.epoch === epoch && seq >= block.firstSeq && seq <= block.lastSeq) return block;
    const found = this.#host.journal.recordAt({ epoch, seq });
    if (found !== undefined) state.block = found.block;
    return found?.block;
  }

  /** Sends again from this delivery number on: the consumer missed some. */
  resend(state: SubscriptionState, outlet: Outlet<SubscriptionState>, from: number): void {
    const { opening, link } = outlet;
    for (let number = from; number < opening.next; number++) {
      const entry = opening.inFlight(number);
      const block = entry === undefined ? undefined : this.#blockOf(state, entry);
      const outlets = this.#host.outletsOf(link);
      if (entry === undefined || block === undefined || outlets === undefined) {
        link.close("TIMEOUT", `delivery ${number} cannot be sent again`);
        return;
      }
      const index = entry.seq - block.firstSeq;
      outlets.restart();
      outlets.section(outlet, false, entry.epoch, number);
      link.batch.delivery(
        entry.seq,
        entry.keyHash,
        entry.attempts,
        entry.skip,
        -1,
        outlet.hasResumedWith(number),
        block.envelopeBytes,
        block.envelopeStart(index),
        block.envelopeEnd(index),
      );
      link.batchGrew();
    }
    outletsEnd(this.#host.outletsOf(link));
  }
}

/** A frame is cut here, well below any peer's limit. */
const BATCH_CUT = 64 * 1024;

const outletsEnd = (outlets: LinkOutlets<SubscriptionState> | undefined): void =>
  outlets?.restart();
