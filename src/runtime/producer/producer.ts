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
import type { MeshError } from "../../errors.ts";
import type { Timer } from "../../ports/clock.ts";
import type { CreditEntry, Tail } from "../../wire/credit.ts";
import type { EnvelopeTemplate } from "../../wire/envelope.ts";
import type { EnvelopeVariables } from "../../wire/envelope-rest.ts";
import type { OutputSink } from "../consumer/output-gate.ts";
import type { StagedMessage } from "../consumer/staged-message.ts";
import type { Environment } from "../environment.ts";
import type { Block } from "../journal/block.ts";
import type { Journal } from "../journal/journal.ts";
import type { Link } from "../link/link.ts";
import type { Ownerships } from "../ownership/ownerships.ts";
import { Acceptance, type Outgoing } from "./acceptance.ts";
import { DeadLetterDesk } from "./dead-letter-desk.ts";
import { DeadLetters } from "./dead-letters.ts";
import { Deaths } from "./deaths.ts";
import { Emitter, type EmitVerdict } from "./emitter.ts";
import { expectCommand } from "./expect-command.ts";
import { expireBeyond } from "./expiry.ts";
import { Members } from "./members.ts";
import { LinkOutlets } from "./outlet.ts";
import { Pump } from "./pump.ts";
import { lowest, Retention } from "./retention.ts";
import { Settling } from "./settling.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import { SubscriptionTable } from "./subscription-table.ts";

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

const SWEEP_MS = 1_000;

export class Producer implements OutputSink {
  readonly env: Environment;
  readonly journal: Journal;
  readonly table: SubscriptionTable;
  readonly members: Members;
  readonly deaths: Deaths = new Deaths(this);
  readonly settling: Settling;
  readonly deadLetters: DeadLetters;
  readonly deadLetterDesk: DeadLetterDesk;
  readonly #acceptance: Acceptance;
  readonly #pump: Pump;
  readonly #emitter: Emitter;
  readonly #retention: Retention;
  readonly #limits: ProducerLimits;
  readonly #links = new Map<Link, LinkOutlets<SubscriptionState>>();
  /** Owed a message that has just been accepted. */
  readonly #owed = new Set<SubscriptionState>();
  #sweepTimer: Timer | undefined;
  #stopped = false;

  constructor(
    env: Environment,
    journal: Journal,
    options: {
      readonly producerLimits: ProducerLimits;
      readonly retain: { readonly ageMs: number; readonly bytes: number };
    },
    ownerships: Ownerships,
  ) {
    const { producerLimits: limits, retain } = options;
    this.env = env;
    this.journal = journal;
    this.#limits = limits;
    this.table = new SubscriptionTable(env, journal, ownerships, (state) => this.pump(state));
    const { committer } = journal;
    this.deadLetters = new DeadLetters(journal, committer, limits.journalBytesMax / 10);
    this.#acceptance = new Acceptance({
      env,
      journal,
      journalBytesMax: limits.journalBytesMax,
      ensureCommand: (subject) => {
        if (this.table.matching(1, subject).length === 0) expectCommand(this, subject);
      },
    });
    this.#pump = new Pump(this);
    this.#emitter = new Emitter(this);
    this.deadLetterDesk = new DeadLetterDesk(this);
    this.settling = new Settling(this);
    this.members = new Members(this, limits.orphanMs);
    const window = {
      ageMs: Math.max(limits.lateMs, retain.ageMs),
      bytesMax: Math.max(limits.lateBytes, retain.bytes),
    };
    this.#retention = new Retention(window, journal, env.clock.monotonicMs());
    journal.onBlock((block) => this.#onBlock(block));
    journal.onReadable(() => this.#pumpAll());
  }

  /** Restores cursors and takes up what was pending. */
  start(): void {
    for (const state of this.table.restore()) this.members.orphaned(state);
    this.#acceptance.start();
    this.#sweepLater();
  }

  stop(): void {
    this.#stopped = true;
    this.#acceptance.stop();
    if (this.#sweepTimer !== undefined) this.env.clock.clearTimer(this.#sweepTimer);
    for (const state of this.table.all()) state.pausedFor = "stopped";
  }

  // --- accepting -----------------------------------------------------------------------------

  /**
   * Gives the message a position; it is accepted when `onDurable` registered after this hears no error.
   * @throws MeshError JOURNAL_FULL, DISK_FULL, OUTCOME_UNKNOWN, STOPPED
   */
  accept(message: Outgoing): number {
    return this.#acceptance.accept(message);
  }

  /** All or none, in one block; returns the first seq. */
  acceptMany(messages: readonly Outgoing[]): number {
    return this.#acceptance.acceptMany(messages);
  }

  hasRoom(bytes: number): boolean {
    return this.#acceptance.hasRoom(bytes);
  }

  release(
    messages: readonly StagedMessage[],
    done: (error: MeshError | undefined) => void,
  ): boolean {
    return this.#acceptance.release(messages, done);
  }

  /** At most once: hands a message to one live member of each group; nothing is kept. */
  emit(
    subject: string,
    keyHash: number,
    template: EnvelopeTemplate,
    variables: EnvelopeVariables,
  ): EmitVerdict {
    return this.#emitter.emit(subject, keyHash, template, variables);
  }

  // --- links ---------------------------------------------------------------------------------

  linkUp(link: Link): void {
    this.#links.set(link, new LinkOutlets<SubscriptionState>());
  }

  linkDown(link: Link): void {
    const outlets = this.#links.get(link);
    if (outlets === undefined) return;
    this.#links.delete(link);
    for (const outlet of outlets.byIndex.values()) this.members.closed(outlet);
  }

  linkTo(nodeId: string): Link | undefined {
    for (const link of this.#links.keys()) if (link.peer.nodeId === nodeId) return link;
    return undefined;
  }

  outletsOf(link: Link): LinkOutlets<SubscriptionState> | undefined {
    return this.#links.get(link);
  }

  credit(link: Link, entries: readonly CreditEntry[]): void {
    const outlets = this.#links.get(link);
    if (outlets === undefined) return;
    for (const entry of entries) {
      const outlet = outlets.byIndex.get(entry.subscription);
      if (outlet === undefined) continue;
      outlet.opening.grant(entry.numberLimit, entry.bytesLimit, entry.paused);
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

  /** The message ended without a consumer's settle. */
  expire(state: SubscriptionState, entry: Entry): void {
    if (!state.cursor.settle(entry)) return;
    state.expired(entry);
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
    const mayCut = this.#retention.appended(block, this.env.clock.monotonicMs());
    const counts = this.#countsOf(block);
    const head = { epoch: block.epoch, seq: block.lastSeq };
    for (const [state, count] of counts) state.appended(count, head);
    if (this.#owed.size === 0 && counts.size > 0) {
      this.journal.committer.meanwhile(() => this.#pumpOwed());
    }
    for (const state of counts.keys()) this.#owed.add(state);
    if (mayCut) this.env.clock.setTimer(0, () => this.#stopped || this.#sweep());
  }

  /** How many of the block's messages each subscription is owed. */
  #countsOf(block: Block): Map<SubscriptionState, number> {
    const counts = new Map<SubscriptionState, number>();
    const matches = block.subjects.map(({ kind, subject }) => this.table.matching(kind, subject));
    const [only = []] = matches;
    if (block.isUniform && only.length > 0 && !only.some(({ hasFilter }) => hasFilter)) {
      for (const state of only) counts.set(state, block.count);
      return counts;
    }
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
    return counts;
  }

  /** Whoever waited for the sync goes on first, so that the disk has its next commit while messages are sent. */
  #pumpOwed(): void {
    const owed = [...this.#owed];
    this.#owed.clear();
    for (const state of owed) this.pump(state);
  }

  #pumpAll(): void {
    for (const state of this.table.all()) this.pump(state);
  }

  #sweepLater(): void {
    this.#sweepTimer = this.env.clock.setTimer(SWEEP_MS, () => {
      if (this.#stopped) return;
      this.#sweep();
      this.settling.verdicts.remindAgain();
      this.#sweepLater();
    });
  }

  /** Trims the log and lets what is too old or too much expire. */
  #sweep(): void {
    const head = this.journal.head ?? ZERO;
    for (const state of this.table.all()) {
      expireBeyond(this, state, {
        bytesMax: this.#limits.journalBytesMax / 2,
        ageMs: this.#limits.subscriptionAgeMs,
      });
      state.looked(head);
      state.catchUp(head);
      state.keepFloor();
    }
    const needed = lowest(
      [...this.table.all()].map((state) => state.durableFloor),
      head,
    );
    const cut = this.#retention.cut(this.env.clock.monotonicMs(), needed);
    this.table.trimmedTo = lowest([cut], needed);
    this.journal.trim(this.table.trimmedTo);
  }
}
