/**
 * How messages end: settles of consumers, verdicts about held output, dead letters, expiry.
 *
 * A settle counts for a delivery number in flight in the present opening of its session, once. A message
 * whose output is held at its consumer is answered only when the cursor that passes it is on disk, together
 * with the row that says whose settle it was; that row stays until the consumer says the output is out.
 */
import { type Entry, IN_FLIGHT, STOPPED } from "../../core/entry.ts";
import type { Position } from "../../core/position.ts";
import { MeshError } from "../../errors.ts";
import { ByteWriter } from "../../wire/byte-writer.ts";
import { EnvelopeView, writeEnvelope } from "../../wire/envelope.ts";
import type { AcceptedEntry, Nack, SettleSection, Verdict } from "../../wire/settle.ts";
import type { Block } from "../journal/block.ts";
import { compositeKey } from "../journal/keys.ts";
import { PendingRows } from "../journal/pending-rows.ts";
import type { Link } from "../link/link.ts";
import { type DeadLetterHead, deadLetterId, unknownDeadLetter } from "./dead-letters.ts";
import { withReplayOf } from "./envelope-suffix.ts";
import type { Outlet } from "./outlet.ts";
import type { Outgoing, Producer } from "./producer.ts";
import type { SubscriptionState } from "./subscription-state.ts";

const ERRORS_KEPT = 10;
const EXPIRE_STEP = 4_096;

export class Settling {
  readonly #producer: Producer;
  readonly #accepted: PendingRows;
  readonly #writer = new ByteWriter(4_096);

  constructor(producer: Producer) {
    this.#producer = producer;
    const { journal } = producer;
    this.#accepted = new PendingRows("accepted", journal.committer, journal);
  }

  settle(link: Link, sections: readonly SettleSection[]): void {
    for (const section of sections) {
      const outlet = this.#producer.outletsOf(link)?.byIndex.get(section.subscription);
      if (outlet === undefined) continue;
      const state = outlet.subscription;
      const settled = this.#acked(outlet, section.acked) + this.#held(outlet, section.held);
      this.#nacked(outlet, section.nacks);
      for (const position of section.released) this.#released(state, position);
      if (settled > 0) state.touched(settled, section.held.length > 0);
      this.#producer.pump(state);
    }
  }

  /** What became of messages whose output is held at the member that asks. */
  ask(link: Link, index: number, positions: readonly Position[]): void {
    const outlet = this.#producer.outletsOf(link)?.byIndex.get(index);
    if (outlet === undefined) return;
    const state = outlet.subscription;
    const { committer } = this.#producer.journal;
    const asked = positions.map((position) => ({
      position,
      settled: this.#isSettled(state, position),
    }));
    // What is settled in memory is said only once it is on disk.
    committer.dirty(state);
    committer.onDurable((error) => {
      if (error !== undefined || !link.isUp) return;
      const entries = asked.map(({ position, settled }) => ({
        subscription: index,
        ...position,
        verdict: this.#verdict(state, position, settled, link.peer.nodeId),
      }));
      link.send({ type: "accepted", session: link.session, entries });
    });
  }

  /** The message encoded on its own, outside any block. */
  encode(message: Outgoing): Uint8Array {
    const { bytes, template, variables } = message;
    if (bytes !== undefined) return bytes;
    if (template === undefined || variables === undefined) {
      throw new TypeError("a message needs bytes, or a template and variables");
    }
    this.#writer.reset();
    writeEnvelope(this.#writer, template, variables);
    return this.#writer.take();
  }

  /** A member's process died with only these in flight, for the third time: each is an attempt. */
  killed(state: SubscriptionState, entries: readonly Entry[]): void {
    for (const entry of entries) {
      entry.attempts++;
      this.#note(state, entry, "ProcessDied", "the process died while it handled this message");
    }
  }

  // --- dead letters --------------------------------------------------------------------------

  /**
   * Appends the message anew for its one subscription; where it stopped its key it is tried again in its
   * place. Resolves through `done` when that is durable.
   */
  replay(id: string, done: (error: MeshError | undefined) => void): void {
    const { deadLetters, table, journal } = this.#producer;
    const letter = deadLetters.take(id);
    if (letter === undefined) {
      done(unknownDeadLetter(id));
      return;
    }
    const { head, envelope } = letter;
    const state = table.get(head.subscription);
    if (state === undefined) {
      done(new MeshError("NO_HANDLER", `subscription "${head.subscription}" has ended`));
      return;
    }
    if (head.holds) {
      const entry = state.cursor.find(head.epoch, head.seq);
      const undo = deadLetters.remove(head);
      if (entry !== undefined && state.cursor.resume(entry)) state.touched(0, true);
      journal.onDurable((error) => {
        if (error !== undefined) undo();
        done(error);
      });
      this.#producer.pump(state);
      return;
    }
    this.#replayAnew(head, envelope, done);
  }

  discard(id: string, done: (error: MeshError | undefined) => void): void {
    const { deadLetters, table, journal } = this.#producer;
    const letter = deadLetters.take(id);
    if (letter === undefined) {
      done(unknownDeadLetter(id));
      return;
    }
    const { head } = letter;
    const undo = deadLetters.remove(head);
    const state = table.get(head.subscription);
    const entry = head.holds ? state?.cursor.find(head.epoch, head.seq) : undefined;
    if (state !== undefined && entry !== undefined && state.cursor.settle(entry)) {
      state.ledger.add("dead", 1);
      state.touched(1, true);
      this.#producer.pump(state);
    }
    journal.onDurable((error) => {
      if (error !== undefined) undo();
      done(error);
    });
  }

  #replayAnew(
    head: DeadLetterHead,
    envelope: Uint8Array,
    done: (error: MeshError | undefined) => void,
  ): void {
    const { deadLetters, journal, env } = this.#producer;
    const { ms, counter } = env.hybrid.now(env.clock.wallMs());
    try {
      journal.append({
        kind: head.kind === "command" ? 1 : 0,
        subject: head.subject,
        keyHash: head.keyHash,
        expireAtMs: -1,
        target: head.subscription,
        timeMs: ms,
        timeCounter: counter,
        template: undefined,
        variables: undefined,
        bytes: withReplayOf(envelope, head.messageId),
        reserve: true,
      });
    } catch (error) {
      if (!MeshError.is(error)) throw error;
      done(error);
      return;
    }
    const undo = deadLetters.remove(head);
    journal.onDurable((error) => {
      if (error !== undefined) undo();
      done(error);
    });
  }

  // --- expiry --------------------------------------------------------------------------------

  /**
   * The oldest messages beyond a subscription's limits expire, never those in flight: what is older than
   * `ageMs`, and, while the log is larger than `bytesMax`, what keeps its oldest block from going.
   */
  expireBeyond(state: SubscriptionState, limits: { bytesMax: number; ageMs: number }): void {
    const { journal, env } = this.#producer;
    for (let step = 0; step < EXPIRE_STEP && state.ledger.pending > 0; step++) {
      const block = journal.read(state.cursor.floor);
      if (block === undefined) return;
      const tooOld = env.clock.wallMs() - block.lastTimeMs > limits.ageMs;
      const { tail } = journal;
      const pinsTail = tail?.epoch === block.epoch && tail.seq >= block.firstSeq;
      if (!tooOld && !(journal.logBytes > limits.bytesMax && pinsTail)) return;
      if (!this.#expireBlock(state, block)) return;
    }
  }

  /** Everything of the block that is not in flight. False when something in flight stands in the way. */
  #expireBlock(state: SubscriptionState, block: Block): boolean {
    const { epoch, lastSeq } = block;
    const { cursor } = state;
    for (;;) {
      const { scanned } = cursor;
      if (scanned.epoch > epoch || (scanned.epoch === epoch && scanned.seq >= lastSeq)) break;
      if (cursor.room === 0) return false;
      this.#producer.readBlock(state, block);
    }
    let clear = true;
    for (const entry of [...cursor.unsettled()]) {
      if (entry.epoch > epoch || (entry.epoch === epoch && entry.seq > lastSeq)) break;
      if (entry.state === IN_FLIGHT || entry.state === STOPPED) clear = false;
      else this.#producer.ended(state, entry, "expired");
    }
    return clear;
  }

  // --- settles -------------------------------------------------------------------------------

  #acked(outlet: Outlet, ranges: readonly number[]): number {
    const { opening, subscription } = outlet;
    const { cursor } = subscription;
    let acked = 0;
    for (let at = 0; at + 1 < ranges.length; at += 2) {
      const first = ranges[at] as number;
      const end = Math.min(first + (ranges[at + 1] as number), opening.next);
      for (let number = first; number < end; number++) {
        const entry = opening.take(number);
        if (entry === undefined || !cursor.settle(entry)) continue;
        acked++;
        if (entry.attempts > 0) subscription.errors.delete(entry);
      }
    }
    if (acked > 0) subscription.ledger.add("acked", acked);
    return acked;
  }

  #held(outlet: Outlet, numbers: readonly number[]): number {
    if (numbers.length === 0) return 0;
    const { opening, subscription: state, link, index } = outlet;
    const { journal, env } = this.#producer;
    const entries: AcceptedEntry[] = [];
    for (const number of numbers) {
      const entry = opening.take(number);
      if (entry === undefined || !state.cursor.settle(entry)) continue;
      state.errors.delete(entry);
      const { epoch, seq } = entry;
      const row = Buffer.from(JSON.stringify({ by: link.peer.nodeId, atMs: env.clock.wallMs() }));
      this.#accepted.set(compositeKey(state.id, { epoch, seq }), row);
      entries.push({ subscription: index, epoch, seq, verdict: "yours" });
    }
    if (entries.length === 0) return 0;
    state.ledger.add("acked", entries.length);
    journal.committer.dirty(state);
    this.#tell(link, state, entries);
    return entries.length;
  }

  /** The verdicts leave after the sync of rows and cursor, however many commits that takes. */
  #tell(link: Link, state: SubscriptionState, entries: readonly AcceptedEntry[]): void {
    const { committer } = this.#producer.journal;
    committer.onDurable((error) => {
      if (error === undefined) {
        if (link.isUp) link.send({ type: "accepted", session: link.session, entries });
      } else if (error.code !== "STOPPED") {
        committer.dirty(state);
        this.#tell(link, state, entries);
      }
    });
  }

  #nacked(outlet: Outlet, nacks: readonly Nack[]): void {
    const { opening, subscription: state } = outlet;
    const back: Entry[] = [];
    for (const nack of nacks) {
      const entry = opening.take(nack.number);
      if (entry === undefined) continue;
      if (nack.outcome === "dead") {
        entry.attempts = Math.max(entry.attempts + 1, nack.attempts);
        this.#dead(outlet, entry, nack);
      } else if (nack.outcome === "retry" || nack.delayMs > 0) {
        if (nack.outcome === "retry") {
          entry.attempts = Math.max(entry.attempts + 1, nack.attempts);
          this.#note(state, entry, nack.errorName, nack.errorMessage);
        }
        const dueMs = this.#producer.env.clock.monotonicMs() + nack.delayMs;
        state.cursor.retry(outlet.member, entry, dueMs);
        state.touched(1, false);
      } else {
        back.push(entry);
      }
    }
    if (back.length > 0) state.cursor.giveBack(back);
    if (nacks.length > 0) this.#producer.armDue(state);
  }

  #dead(outlet: Outlet, entry: Entry, nack: Nack): void {
    const { subscription: state, member } = outlet;
    const { journal, deadLetters, env } = this.#producer;
    if (nack.errorMessage !== "") this.#note(state, entry, nack.errorName, nack.errorMessage);
    const { epoch, seq, keyHash, attempts } = entry;
    const found = journal.recordAt({ epoch, seq });
    if (found === undefined) {
      if (state.cursor.settle(entry)) state.ledger.add("damaged", 1);
      return;
    }
    const { block, index } = found;
    const envelope = block.envelopeBytes.slice(
      block.envelopeStart(index),
      block.envelopeEnd(index),
    );
    if (!deadLetters.hasRoom(envelope.length)) {
      state.pausedFor = "dead letters are full";
      env.report({ type: "subscription-paused", subscription: state.id, reason: state.pausedFor });
      state.cursor.retry(member, entry, env.clock.monotonicMs() + 1_000);
      return;
    }
    const holds = state.definition.holdOnDead && state.isKeyed && keyHash >= 0;
    const messageId = new EnvelopeView(envelope).id ?? this.#producer.idOf({ epoch, seq });
    const { kind, subject } = block.subjects[
      block.subjectIndex(index)
    ] as (typeof block.subjects)[number];
    const head: DeadLetterHead = {
      id: deadLetterId(messageId, state.id),
      messageId,
      subscription: state.id,
      group: state.definition.group,
      subject,
      kind: kind === 1 ? "command" : "event",
      epoch,
      seq,
      keyHash,
      reason: nack.reason,
      attempts,
      errors: state.errors.get(entry) ?? [],
      deadAtMs: env.clock.wallMs(),
      holds,
    };
    deadLetters.add(head, envelope);
    state.errors.delete(entry);
    if (holds) {
      state.cursor.stop(member, entry);
    } else if (state.cursor.settle(entry)) {
      state.ledger.add("dead", 1);
    }
    state.touched(1, true);
    env.counters.count("messages.dead");
    env.logger.warn("dead letter", { id: head.id, reason: head.reason, attempts });
    env.report({ type: "dead-letter", subscription: state.id, id: head.id, reason: head.reason });
  }

  #note(state: SubscriptionState, entry: Entry, name: string, message: string): void {
    const errors = state.errors.get(entry) ?? [];
    errors.push({ name, message, atMs: this.#producer.env.clock.wallMs() });
    if (errors.length > ERRORS_KEPT) errors.shift();
    state.errors.set(entry, errors);
  }

  #released(state: SubscriptionState, position: Position): void {
    this.#accepted.set(compositeKey(state.id, position), undefined);
  }

  #isSettled(state: SubscriptionState, { epoch, seq }: Position): boolean {
    const scanned = state.cursor.scanned;
    const read = epoch < scanned.epoch || (epoch === scanned.epoch && seq <= scanned.seq);
    return read && state.cursor.find(epoch, seq) === undefined;
  }

  #verdict(
    state: SubscriptionState,
    position: Position,
    settled: boolean,
    nodeId: string,
  ): Verdict {
    const row = this.#accepted.get(compositeKey(state.id, position));
    if (row !== undefined) {
      const { by } = JSON.parse(Buffer.from(row).toString()) as { by: string };
      return by === nodeId ? "yours" : "other";
    }
    return settled ? "other" : "pending";
  }
}
