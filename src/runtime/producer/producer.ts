/**
 * The producing side of a node: accepts messages into the journal and owes each to every subscription that
 * should have it, until it is settled there.
 *
 * One rule: this node is the arbiter of its own messages. Whoever handles one, the first settle of an
 * opening that is current here ends it, and whoever asks later hears whose that was.
 */
import type { Entry } from "../../core/entry.ts";
import { messageId, type NodeId } from "../../core/ids.ts";
import type { LedgerCounts } from "../../core/ledger.ts";
import { type Position, ZERO } from "../../core/position.ts";
import { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { CreditEntry, Tail } from "../../wire/credit.ts";
import type { EnvelopeTemplate, EnvelopeVariables } from "../../wire/envelope.ts";
import type { OutputSink } from "../consumer/consumer.ts";
import type { StagedMessage } from "../consumer/staged-message.ts";
import type { Environment } from "../environment.ts";
import type { Block } from "../journal/block.ts";
import type { Journal } from "../journal/journal.ts";
import type { Link } from "../link/link.ts";
import { DeadLetters } from "./dead-letters.ts";
import { Delayed, type DelayedMessage } from "./delayed.ts";
import { withId } from "./envelope-suffix.ts";
import { Members } from "./members.ts";
import { LinkOutlets } from "./outlet.ts";
import { Pump } from "./pump.ts";
import { lowest, Retention } from "./retention.ts";
import { Settling } from "./settling.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import { SubscriptionTable } from "./subscription-table.ts";

/** A message to accept: to be encoded (template and variables) or ready-made (bytes). */
export type Outgoing = {
  readonly kind: 0 | 1;
  readonly subject: string;
  readonly keyHash: number;
  readonly template: EnvelopeTemplate | undefined;
  readonly variables: EnvelopeVariables | undefined;
  readonly bytes: Uint8Array | undefined;
  readonly expireAfterMs: number;
  readonly delayMs: number;
  readonly timeMs: number;
  readonly timeCounter: number;
};

export type ProducerLimits = {
  readonly journalBytesMax: number;
  /** Events are kept this long although nobody is known to want them. */
  readonly lateMs: number;
  readonly lateBytes: number;
  /** Oldest unsettled messages of a subscription expire beyond this. */
  readonly subscriptionAgeMs: number;
  /** A subscription that is not durable is forgotten so long after its last member left. */
  readonly orphanMs: number;
};

export type EmitVerdict = "taken" | "noSubscriber" | "noCredit" | "congested";

const SWEEP_MS = 1_000;
/** The target of a delayed message's place in the log: no subscription has this name. */
const NOBODY = "~delayed";

export class Producer implements OutputSink {
  readonly env: Environment;
  readonly journal: Journal;
  readonly table: SubscriptionTable;
  readonly members: Members;
  readonly settling: Settling;
  readonly deadLetters: DeadLetters;
  readonly #delayed: Delayed;
  readonly #pump: Pump;
  readonly #retention: Retention;
  readonly #limits: ProducerLimits;
  readonly #links = new Map<Link, LinkOutlets>();
  #sweepTimer: Timer | undefined;
  #stopped = false;

  constructor(
    env: Environment,
    journal: Journal,
    limits: ProducerLimits,
    retain: { ageMs: number; bytes: number },
  ) {
    this.env = env;
    this.journal = journal;
    this.#limits = limits;
    this.table = new SubscriptionTable(env, journal);
    const { committer } = journal;
    this.deadLetters = new DeadLetters(journal, committer, limits.journalBytesMax / 10);
    this.#delayed = new Delayed(
      { env, appendDue: (...args) => this.#appendDue(...args) },
      journal,
      committer,
    );
    this.#pump = new Pump(this);
    this.settling = new Settling(this);
    this.members = new Members(this, limits.orphanMs);
    const window = {
      ageMs: Math.max(limits.lateMs, retain.ageMs),
      bytesMax: Math.max(limits.lateBytes, retain.bytes),
    };
    this.#retention = new Retention(window, journal.head, env.clock.monotonicMs());
    journal.onBlock((block) => this.#onBlock(block));
    journal.onReadable(() => this.#pumpAll());
  }

  /** Restores cursors and takes up what was pending. */
  start(): void {
    for (const state of this.table.restore()) this.members.orphaned(state);
    this.#delayed.start();
    this.#sweepLater();
  }

  stop(): void {
    this.#stopped = true;
    this.#delayed.stop();
    if (this.#sweepTimer !== undefined) this.env.clock.clearTimer(this.#sweepTimer);
    for (const state of this.table.all()) state.pausedFor = "stopped";
  }

  // --- accepting -----------------------------------------------------------------------------

  /**
   * Gives the message a position; it is accepted when `onDurable` registered after this hears no error.
   * @throws MeshError JOURNAL_FULL, DISK_FULL, OUTCOME_UNKNOWN, STOPPED
   */
  accept(message: Outgoing, reserve: boolean): number {
    if (message.delayMs > 0) return this.#acceptDelayed(message, reserve);
    this.#ensureCommand(message);
    return this.journal.append(this.#record(message, reserve));
  }

  /** All or none, in one block; returns the first seq. */
  acceptMany(messages: readonly Outgoing[], reserve: boolean): number {
    for (const message of messages) this.#ensureCommand(message);
    return this.journal.appendMany(messages.map((message) => this.#record(message, reserve)));
  }

  hasRoom(bytes: number): boolean {
    return this.journal.accepting && this.journal.logBytes + bytes < this.#limits.journalBytesMax;
  }

  release(messages: readonly StagedMessage[], done: (error: MeshError | undefined) => void): void {
    const { ms, counter } = this.env.hybrid.now(this.env.clock.wallMs());
    try {
      for (const message of messages) {
        this.accept(
          {
            kind: message.kind === "command" ? 1 : 0,
            subject: message.subject,
            keyHash: message.keyHash,
            template: undefined,
            variables: undefined,
            bytes: message.envelope,
            expireAfterMs: message.expireAfterMs,
            delayMs: message.delayMs,
            timeMs: ms,
            timeCounter: counter,
          },
          true,
        );
      }
    } catch (error) {
      // Nothing of a refused append is written, and what was appended before it fails with its batch.
      this.env.clock.setTimer(0, () => done(asMeshError(error)));
      return;
    }
    this.journal.onDurable(done);
  }

  // --- at most once --------------------------------------------------------------------------

  /** Hands a message to one live member of each group; nothing is kept. */
  emit(
    subject: string,
    keyHash: number,
    template: EnvelopeTemplate,
    variables: EnvelopeVariables,
  ): EmitVerdict {
    let verdict: EmitVerdict = "noSubscriber";
    for (const state of this.table.matching(0, subject)) {
      const outlet = this.members.volatileOutlet(state, keyHash);
      if (outlet === undefined) continue;
      const { link } = outlet;
      const outlets = this.#links.get(link);
      if (outlets === undefined) continue;
      // Fields beside the payload are small; the credit is charged with the true size below.
      const refusal = link.congested
        ? "congested"
        : outlet.takesVolatile(variables.payload.length + 1_024)
          ? undefined
          : "noCredit";
      if (refusal !== undefined) {
        this.env.counters.count(`emit.dropped.${refusal}`);
        if (verdict === "noSubscriber") verdict = refusal;
        continue;
      }
      outlets.section(outlet, true, 0, outlet.volatileNext++);
      outlet.volatileBytes += link.batch.emitDelivery(
        0,
        keyHash,
        0,
        0,
        -1,
        false,
        template,
        variables,
      );
      link.batchGrew();
      verdict = "taken";
    }
    if (verdict === "noSubscriber") this.env.counters.count("emit.dropped.noSubscriber");
    return verdict;
  }

  // --- links ---------------------------------------------------------------------------------

  linkUp(link: Link): void {
    this.#links.set(link, new LinkOutlets());
  }

  linkDown(link: Link): void {
    const outlets = this.#links.get(link);
    if (outlets === undefined) return;
    this.#links.delete(link);
    for (const outlet of outlets.byIndex.values()) this.members.closed(outlet);
  }

  outletsOf(link: Link): LinkOutlets | undefined {
    return this.#links.get(link);
  }

  credit(link: Link, entries: readonly CreditEntry[]): void {
    const outlets = this.#links.get(link);
    if (outlets === undefined) return;
    for (const entry of entries) {
      const outlet = outlets.byIndex.get(entry.subscription);
      if (outlet === undefined) continue;
      outlet.opening.grant(entry.numberLimit, entry.bytesLimit);
      outlet.grantVolatile(entry.volatileNumberLimit, entry.volatileBytesLimit);
      this.pump(outlet.subscription);
    }
  }

  resync(link: Link, index: number, from: number): void {
    const outlet = this.#links.get(link)?.byIndex.get(index);
    if (outlet === undefined) return;
    this.env.counters.count("link.resync");
    if (outlet.opening.canResend(from)) this.#pump.resend(outlet.subscription, outlet, from);
    else link.close("MALFORMED", `asked for delivery ${from}, which is not in flight`);
  }

  /** What was sent last, for the heartbeat. */
  tails(link: Link): Tail[] {
    const outlets = this.#links.get(link);
    if (outlets === undefined) return [];
    return [...outlets.byIndex.values()].map(({ index, opening, subscription }) => ({
      subscription: index,
      last: opening.next - 1,
      floorEpoch: subscription.durableFloor.epoch,
      floorSeq: subscription.durableFloor.seq,
    }));
  }

  /** The connection took what was buffered: bulk goes on. */
  drained(link: Link): void {
    const outlets = this.#links.get(link);
    if (outlets === undefined) return;
    for (const outlet of outlets.byIndex.values()) this.pump(outlet.subscription);
  }

  // --- moving --------------------------------------------------------------------------------

  pump(state: SubscriptionState): void {
    if (this.#stopped) return;
    this.#pump.run(state);
    this.armDue(state);
  }

  /** One timer a subscription for the earliest retry. */
  armDue(state: SubscriptionState): void {
    const dueMs = state.cursor.nextDueMs;
    if (dueMs === undefined || state.dueTimer !== undefined || this.#stopped) return;
    const { clock } = this.env;
    state.dueTimer = clock.setTimer(Math.max(0, dueMs - clock.monotonicMs()), () => {
      state.dueTimer = undefined;
      state.cursor.wake(clock.monotonicMs());
      this.pump(state);
      this.armDue(state);
    });
  }

  readBlock(state: SubscriptionState, block: Block): void {
    this.#pump.readBlock(state, block);
  }

  /** A message ended without a consumer's settle. */
  ended(state: SubscriptionState, entry: Entry, how: "expired"): void {
    if (!state.cursor.settle(entry)) return;
    state.errors.delete(entry);
    state.ledger.add(how, 1);
    state.touched(1, false);
    this.env.counters.count("messages.expired");
  }

  /** The id by which users know a message of this node. */
  idOf(position: Position): string {
    return messageId(this.journal.nodeId as NodeId, position.epoch, position.seq);
  }

  ledger(): Record<string, LedgerCounts & { pending: number }> {
    const ledgers: Record<string, LedgerCounts & { pending: number }> = {};
    for (const state of this.table.all()) {
      ledgers[state.id] = { ...state.ledger.counts(), pending: state.ledger.pending };
    }
    return ledgers;
  }

  // --- inside --------------------------------------------------------------------------------

  #onBlock(block: Block): void {
    this.#retention.appended(block, this.env.clock.monotonicMs());
    const counts = new Map<SubscriptionState, number>();
    const matches = block.subjects.map(({ kind, subject }) => this.table.matching(kind, subject));
    for (let index = 0; index < block.count; index++) {
      const target = block.target(index);
      if (target !== undefined) {
        const state = this.table.get(target);
        if (state !== undefined) counts.set(state, (counts.get(state) ?? 0) + 1);
        continue;
      }
      const states = matches[block.subjectIndex(index)] as readonly SubscriptionState[];
      if (states.length === 0) this.env.counters.count("messages.unrouted");
      for (const state of states) {
        if (state.passes(block, index)) counts.set(state, (counts.get(state) ?? 0) + 1);
      }
    }
    const head = { epoch: block.epoch, seq: block.lastSeq };
    for (const [state, count] of counts) state.appended(count, head);
    for (const state of counts.keys()) this.pump(state);
  }

  #pumpAll(): void {
    for (const state of this.table.all()) this.pump(state);
  }

  /** A command is owed to whoever claims its subject, also when nobody has yet. */
  #ensureCommand(message: Outgoing): void {
    if (message.kind === 1 && this.table.matching(1, message.subject).length === 0) {
      this.members.expectCommand(message.subject);
    }
  }

  #record(message: Outgoing, reserve: boolean) {
    const { expireAfterMs } = message;
    const expireAtMs = expireAfterMs < 0 ? -1 : this.env.clock.wallMs() + expireAfterMs;
    return { ...message, expireAtMs, target: undefined, reserve };
  }

  #acceptDelayed(message: Outgoing, reserve: boolean): number {
    const { kind, subject, keyHash, delayMs, expireAfterMs } = message;
    const now = this.env.clock.wallMs();
    const { epoch } = this.journal;
    const seq = this.journal.append({
      ...this.#record(message, reserve),
      target: NOBODY,
      template: undefined,
      variables: undefined,
      bytes: new Uint8Array(0),
    });
    const envelope = this.settling.encode(message);
    const id = this.idOf({ epoch, seq });
    const delayed: DelayedMessage = {
      kind,
      subject,
      keyHash,
      expireAtMs: expireAfterMs < 0 ? -1 : now + delayMs + expireAfterMs,
      messageId: id,
      envelope: withId(envelope, id),
    };
    this.#delayed.add(now + delayMs, { epoch, seq }, delayed);
    return seq;
  }

  #appendDue(message: DelayedMessage, done: (error: MeshError | undefined) => void): boolean {
    const { kind, subject, keyHash, expireAtMs, envelope: bytes } = message;
    const { ms, counter } = this.env.hybrid.now(this.env.clock.wallMs());
    const rest = { template: undefined, variables: undefined, expireAfterMs: -1, delayMs: 0 };
    const outgoing = { kind, subject, keyHash, bytes, timeMs: ms, timeCounter: counter, ...rest };
    this.#ensureCommand(outgoing);
    try {
      this.journal.append({ ...outgoing, expireAtMs, target: undefined, reserve: true });
    } catch (error) {
      if (!MeshError.is(error)) throw error;
      return false;
    }
    this.journal.onDurable(done);
    return true;
  }

  #sweepLater(): void {
    this.#sweepTimer = this.env.clock.setTimer(SWEEP_MS, () => {
      if (this.#stopped) return;
      this.#sweep();
      this.#sweepLater();
    });
  }

  /** Trims the log and lets what is too old or too much expire. */
  #sweep(): void {
    const head = this.journal.head ?? ZERO;
    for (const state of this.table.all()) {
      this.settling.expireBeyond(state, {
        bytesMax: this.#limits.journalBytesMax / 2,
        ageMs: this.#limits.subscriptionAgeMs,
      });
      state.looked(head);
      state.catchUp(head);
    }
    const needed = lowest(
      [...this.table.all()].map((state) => state.durableFloor),
      head,
    );
    this.journal.trim(lowest([this.#retention.cut(this.env.clock.monotonicMs())], needed));
  }
}

const asMeshError = (error: unknown): MeshError =>
  MeshError.is(error)
    ? error
    : new MeshError("OUTCOME_UNKNOWN", error instanceof Error ? error.message : String(error), {
        cause: error,
      });
