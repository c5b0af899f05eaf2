/**
 * What becomes of messages that no retry can help: into the dead letters, out again, or gone for good.
 *
 * The letter is written in the commit of the cursor that passes its message, and its key goes on only after
 * that commit: else a producer that dies in between would have the message tried again, and it may succeed,
 * after what follows it. A replay is a new journal entry addressed to the one subscription, in the commit that
 * removes the letter; where the letter stops its key ("hold") the message itself is tried again, in its place,
 * before what waits behind it.
 *
 * At the limit of dead letters the subscription pauses and says so; it goes on when some are replayed or
 * discarded.
 */
import type { Entry } from "../../core/entry.ts";
import { MeshError } from "../../errors.ts";
import { EnvelopeView } from "../../wire/envelope.ts";
import type { Environment } from "../environment.ts";
import type { Block } from "../journal/block.ts";
import type { CommitOwner } from "../journal/commit-owner.ts";
import type { Journal } from "../journal/journal.ts";
import {
  type DeadLetterHead,
  type DeadLetters,
  deadLetterId,
  unknownDeadLetter,
} from "./dead-letters.ts";
import { withReplayOf } from "./envelope-suffix.ts";
import type { Outlet } from "./outlet.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import type { SubscriptionTable } from "./subscription-table.ts";

export type DeadLetterHost = {
  readonly env: Environment;
  readonly journal: Journal;
  readonly table: SubscriptionTable;
  readonly deadLetters: DeadLetters;
  idOf(position: { readonly epoch: number; readonly seq: number }): string;
  pump(state: SubscriptionState): void;
};

export type DeadLetterCallback = (error: MeshError | undefined) => void;

const FULL = "dead letters are full";
const FULL_AGAIN_MS = 1_000;

type Buried = { readonly state: SubscriptionState; readonly entry: Entry };

export class DeadLetterDesk implements CommitOwner {
  readonly #host: DeadLetterHost;
  /** Written with the next commit, and with the one under way. */
  #buried: Buried[] = [];
  #flushed: Buried[] = [];

  constructor(host: DeadLetterHost) {
    this.#host = host;
  }

  /** The message, taken out of flight or not to be sent at all, has failed for good. */
  bury(outlet: Outlet<SubscriptionState>, entry: Entry, nack: { readonly reason: string }): void {
    const { subscription: state, member } = outlet;
    const { journal, deadLetters, env } = this.#host;
    const { epoch, seq } = entry;
    const found = journal.recordAt({ epoch, seq });
    if (found === undefined) {
      state.cursor.stop(member, entry); // the consumer has stopped its key
      if (state.cursor.settle(entry)) state.ledger.add("damaged", 1);
      state.touched(1, false);
      return;
    }
    const { block, index } = found;
    const start = block.envelopeStart(index);
    const envelope = block.envelopeBytes.slice(start, block.envelopeEnd(index));
    if (!deadLetters.hasRoom(envelope.length)) {
      state.pausedFor = FULL;
      env.report({ type: "subscription-paused", subscription: state.id, reason: FULL });
      state.cursor.retry(member, entry, env.clock.monotonicMs() + FULL_AGAIN_MS);
      return;
    }
    const head = this.#headOf(state, entry, nack.reason, envelope, block, index);
    deadLetters.add(head, envelope);
    state.errors.delete(entry);
    state.cursor.stop(member, entry);
    if (!head.holds) {
      state.ending.add(entry);
      this.#buried.push({ state, entry });
      journal.committer.dirty(this);
    }
    state.touched(1, true);
    const { id, reason, attempts } = head;
    env.counters.count("messages.dead");
    env.logger.warn("dead letter", { id, reason, attempts });
    env.report({ type: "dead-letter", subscription: state.id, id, reason });
  }

  /** Tries the message again. Resolves through `done` when that is durable. */
  replay(id: string, done: DeadLetterCallback): void {
    const { deadLetters, table } = this.#host;
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
    const entry = head.holds ? state.cursor.find(head.epoch, head.seq) : undefined;
    if (entry === undefined || !state.cursor.resume(entry)) {
      this.#append(head, envelope, done);
      return;
    }
    state.touched(0, true);
    this.#remove(head, done);
    this.#host.pump(state);
  }

  /** The message is gone for good; a key it stopped goes on. */
  discard(id: string, done: DeadLetterCallback): void {
    const { deadLetters, table } = this.#host;
    const letter = deadLetters.take(id);
    if (letter === undefined) {
      done(unknownDeadLetter(id));
      return;
    }
    const { head } = letter;
    const state = table.get(head.subscription);
    const entry = head.holds ? state?.cursor.find(head.epoch, head.seq) : undefined;
    if (state === undefined || entry === undefined) {
      this.#remove(head, done);
      return;
    }
    state.ending.add(entry);
    state.touched(1, true);
    this.#remove(head, (error) => {
      if (error === undefined) this.#pass(state, entry);
      else state.ending.delete(entry);
      done(error);
    });
  }

  // --- CommitOwner: letters on their way to the disk -----------------------------------------

  flush(): void {
    this.#flushed = this.#flushed.concat(this.#buried);
    this.#buried = [];
  }

  committed(error: MeshError | undefined): void {
    const flushed = this.#flushed;
    this.#flushed = [];
    if (error === undefined) for (const { state, entry } of flushed) this.#pass(state, entry);
    else this.#buried = flushed.concat(this.#buried);
  }

  // --- inside --------------------------------------------------------------------------------

  /** That the message is dead is on disk: its key goes on. */
  #pass(state: SubscriptionState, entry: Entry): void {
    state.ending.delete(entry);
    if (!state.cursor.settle(entry)) return;
    state.ledger.add("dead", 1);
    state.touched(0, false);
    if (this.#host.table.get(state.id) === state) this.#host.pump(state);
  }

  #headOf(
    state: SubscriptionState,
    entry: Entry,
    reason: string,
    envelope: Uint8Array,
    block: Block,
    index: number,
  ): DeadLetterHead {
    const { epoch, seq, keyHash, attempts } = entry;
    const { group, holdOnDead } = state.definition;
    const messageId = new EnvelopeView(envelope).id ?? this.#host.idOf({ epoch, seq });
    const { kind, subject } = block.subjects[
      block.subjectIndex(index)
    ] as Block["subjects"][number];
    return {
      id: deadLetterId(messageId, state.id),
      messageId,
      subscription: state.id,
      group,
      subject,
      kind: kind === 1 ? "command" : "event",
      epoch,
      seq,
      keyHash,
      reason,
      attempts,
      errors: state.errors.get(entry) ?? [],
      deadAtMs: this.#host.env.clock.wallMs(),
      holds: holdOnDead && state.isKeyed && keyHash >= 0,
    };
  }

  /** As a new message of its one subscription. */
  #append(head: DeadLetterHead, envelope: Uint8Array, done: DeadLetterCallback): void {
    const { journal, env } = this.#host;
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
    this.#remove(head, done);
  }

  /** The letter goes with the batch that gathers, and stays when that fails. */
  #remove(head: DeadLetterHead, done: DeadLetterCallback): void {
    const undo = this.#host.deadLetters.remove(head);
    this.#host.journal.onDurable((error) => {
      if (error !== undefined) undo();
      else this.#goOn();
      done(error);
    });
  }

  /** There is room again. */
  #goOn(): void {
    for (const state of this.#host.table.all()) {
      if (state.pausedFor !== FULL) continue;
      state.pausedFor = undefined;
      this.#host.pump(state);
    }
  }
}
