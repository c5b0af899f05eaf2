/**
 * The consuming side of a node: its subscriptions, their sessions with producers, marks and held output.
 *
 * One rule holds it together: what a handler did becomes durable in one commit (mark, state, output), and
 * only then is the message acked; output leaves only when the producer accepted that ack.
 */
import type { Section } from "../../wire/batch.ts";
import type { CreditEntry, PingFrame } from "../../wire/credit.ts";
import type { AcceptedFrame, SettleSection } from "../../wire/settle.ts";
import type { Environment } from "../environment.ts";
import type { Committer } from "../journal/committer.ts";
import { compositeKey } from "../journal/keys.ts";
import type { RowReader } from "../journal/pending-rows.ts";
import type { Link } from "../link/link.ts";
import { subscriptionId } from "../subscription-id.ts";
import type { ConsumerHost, ConsumerSpec } from "./consumer-host.ts";
import { ConsumerOpening } from "./consumer-opening.ts";
import { ConsumerSubscription } from "./consumer-subscription.ts";
import { ForgottenRows } from "./forgotten-rows.ts";
import { ASK_AFTER_MS, type HeldId, HeldOutput } from "./held-output.ts";
import { InboxRow } from "./inbox-row.ts";
import type { Job } from "./job.ts";
import type { JobHandler } from "./job-runner.ts";
import { OutputGate, type OutputSink } from "./output-gate.ts";
import { StateStore } from "./state-store.ts";
import { Undeclared } from "./undeclared.ts";

type LinkState = {
  readonly openings: Map<number, ConsumerOpening>;
  readonly awake: Set<ConsumerOpening>;
  /** Its openings have been told that the peer is paced. */
  paced: boolean;
};

export type ConsumerOptions = {
  readonly env: Environment;
  readonly committer: Committer;
  readonly store: RowReader;
  readonly output: OutputSink;
  readonly heldMax: number;
};

export class Consumer implements ConsumerHost {
  readonly env: Environment;
  readonly state: StateStore;
  readonly held: HeldOutput;
  readonly #committer: Committer;
  readonly #output: OutputGate;
  readonly #subscriptions = new Map<number, ConsumerSubscription>();
  readonly #links = new Map<Link, LinkState>();
  readonly #inboxes = new Map<string, InboxRow>();
  readonly #forgotten: ForgottenRows;
  #stopped = false;

  constructor(options: ConsumerOptions) {
    this.env = options.env;
    this.#committer = options.committer;
    this.#forgotten = new ForgottenRows(options.store, options.committer);
    this.state = new StateStore(options.store, options.committer);
    this.held = new HeldOutput(options.store, options.committer, options.heldMax);
    this.#output = new OutputGate(options.env, options.committer, this.held, options.output);
    if (this.held.damaged > 0) {
      this.env.counters.count("output.damaged", this.held.damaged);
      this.env.logger.error("held output cannot be read", { rows: this.held.damaged });
    }
    this.#askLater();
  }

  get subscriptions(): ReadonlyMap<number, ConsumerSubscription> {
    return this.#subscriptions;
  }

  add(spec: ConsumerSpec, handler: JobHandler): ConsumerSubscription {
    const subscription = new ConsumerSubscription(subscriptionId(spec.record), spec, handler, this);
    this.#subscriptions.set(spec.record.index, subscription);
    for (const [link, state] of this.#links) this.wake(this.#open(link, state, subscription));
    return subscription;
  }

  /** After `drain` and once its last settles have left. */
  remove(subscription: ConsumerSubscription): void {
    this.#subscriptions.delete(subscription.index);
    for (const state of this.#links.values()) {
      const opening = state.openings.get(subscription.index);
      if (opening === undefined) continue;
      subscription.close(opening);
      state.openings.delete(subscription.index);
      state.awake.delete(opening);
    }
  }

  linkUp(link: Link): void {
    const state: LinkState = { openings: new Map(), awake: new Set(), paced: false };
    this.#links.set(link, state);
    for (const subscription of this.#subscriptions.values()) this.#open(link, state, subscription);
  }

  linkDown(link: Link): void {
    const state = this.#links.get(link);
    if (state === undefined) return;
    this.#links.delete(link);
    for (const [index, opening] of state.openings) {
      this.#subscriptions.get(index)?.close(opening);
    }
  }

  /**
   * The producer's positions may name other messages than those handled here: its folder was restored or
   * copied. What it has may be handled again; nothing of it may be taken for handled. It has no session now.
   */
  forget(producer: string): void {
    this.env.counters.count("inbox.forgotten");
    for (const [name, row] of this.#inboxes) if (name.startsWith(`${producer} `)) row.forget();
    this.#forgotten.forget(producer);
    for (const subscription of this.#subscriptions.values()) subscription.forget(producer);
  }

  // --- frames --------------------------------------------------------------------------------

  batch(link: Link, sections: readonly Section[]): void {
    const state = this.#links.get(link);
    if (state === undefined) return;
    for (const section of sections) {
      const opening = state.openings.get(section.subscription);
      const subscription = this.#subscriptions.get(section.subscription);
      if (opening === undefined || subscription === undefined) {
        this.env.counters.count("link.unknownSubscription");
      } else {
        subscription.receive(opening, section);
      }
    }
  }

  accepted(link: Link, frame: AcceptedFrame): void {
    const openings = this.#links.get(link)?.openings;
    for (const { subscription: index, name, epoch, seq, verdict } of frame.entries) {
      const subscription = name === "" ? this.#subscriptions.get(index)?.id : name;
      const answer = name === "" ? openings?.get(index) : new Undeclared(link, name);
      if (subscription === undefined || answer === undefined) continue;
      const id = { producer: link.peer.nodeId, subscription, epoch, seq };
      if (verdict === "yours") this.#output.release(id, answer);
      else if (verdict === "other") this.#output.discard(id);
    }
  }

  ping(link: Link, frame: PingFrame): void {
    const state = this.#links.get(link);
    if (state === undefined) return;
    for (const { subscription: index, last, floorEpoch, floorSeq } of frame.tails) {
      const opening = state.openings.get(index);
      if (opening === undefined) continue;
      opening.inbox.heardFloor({ epoch: floorEpoch, seq: floorSeq });
      this.#subscriptions.get(index)?.tail(opening, last);
    }
  }

  /** Credit of every subscription, for the heartbeat. */
  credits(link: Link): CreditEntry[] {
    const state = this.#links.get(link);
    if (state === undefined) return [];
    return [...state.openings.values()].flatMap((opening) => {
      return this.#subscriptions.get(opening.subscription)?.beat(opening) ?? [];
    });
  }

  /** The end of a turn: settles and credit that came about in it leave in one frame each. */
  turn(link: Link): void {
    const state = this.#links.get(link);
    if (state === undefined) return;
    if (state.paced !== link.paced) {
      state.paced = link.paced;
      for (const opening of state.openings.values()) state.awake.add(opening);
    }
    if (state.awake.size === 0) return;
    let sections: SettleSection[] = [];
    const entries = [];
    const { session } = link;
    const awake = [...state.awake];
    state.awake.clear();
    for (const opening of awake) {
      const section = opening.take();
      if (section !== undefined) sections.push(section);
      // Nacks carry texts: those of one subscription fill a frame, and the rest waits a turn.
      if (section !== undefined && section.nacks.length > 0) {
        link.send({ type: "settle", session, sections });
        sections = [];
      }
      if (opening.isWaiting) this.wake(opening);
      const entry = this.#subscriptions.get(opening.subscription)?.newCredit(opening);
      if (entry !== undefined) entries.push(entry);
    }
    if (sections.length > 0) link.send({ type: "settle", session, sections });
    if (entries.length > 0) link.send({ type: "credit", session, entries });
  }

  // --- ConsumerHost --------------------------------------------------------------------------

  wake(opening: ConsumerOpening): void {
    const state = this.#links.get(opening.link);
    if (state === undefined) return;
    state.awake.add(opening);
    opening.link.askTurn();
  }

  isHeld(job: { producer: string; epoch: number; seq: number }, subscription: string): boolean {
    return this.held.has({ ...job, subscription });
  }

  isStale(
    job: { producer: string; epoch: number; seq: number },
    subscription: string,
    term: number,
  ): boolean {
    return this.held.isStale({ ...job, subscription }, term);
  }

  commit(job: Job): boolean {
    const { opening, subscription, staged, stateWrites, epoch, seq } = job;
    const { inbox } = opening.inbox;
    const renews = job.renews && this.held.isStale(idOf(job), opening.term);
    if (inbox.isSettled(epoch, seq) && !renews) {
      // The producer's floor has passed it: another member's handling was accepted meanwhile.
      this.env.counters.count("inbox.duplicates");
      if (!opening.closed) opening.ackAgain(job.number, false);
      return true;
    }
    if (!renews && !inbox.hasRoom(epoch, 0)) return false;
    const sends = staged !== undefined && staged.length > 0;
    if (sends && !this.#output.keep(job, staged)) return false;
    if (renews && !sends) this.#output.discard(idOf(job));
    if (stateWrites !== undefined) this.state.apply(subscription.id, stateWrites);
    opening.inbox.mark(epoch, seq - job.skip, seq);
    if (opening.closed) this.#committer.dirty(opening.inbox);
    else opening.ack(job.number, sends && !subscription.spec.alone);
    return true;
  }

  commitVolatile({ subscription, staged, stateWrites }: Job): void {
    if (stateWrites !== undefined) this.state.apply(subscription.id, stateWrites);
    if (staged !== undefined && staged.length > 0) this.#output.letOut(staged);
  }

  /** Output that waits for nobody's word leaves: after a start, and when the journal works again. */
  releaseOwn(): void {
    if (!this.#stopped) this.#output.releaseOwn();
  }

  /** Stops asking; handlers are the caller's to drain. */
  stop(): void {
    this.#stopped = true;
  }

  // --- inside --------------------------------------------------------------------------------

  #open(link: Link, state: LinkState, subscription: ConsumerSubscription): ConsumerOpening {
    const inbox = this.#inboxOf(link.peer.nodeId, subscription.id);
    const opening = new ConsumerOpening(link, subscription.index, inbox, this.#committer, (woken) =>
      this.wake(woken),
    );
    state.openings.set(subscription.index, opening);
    subscription.open(opening);
    return opening;
  }

  /** After the declarations left on this link: what became of held output? */
  ask(link: Link, all: boolean): void {
    const state = this.#links.get(link);
    if (state === undefined || this.held.size === 0) return;
    for (const opening of state.openings.values()) this.#askAbout(opening, all);
    const declared = new Set([...this.#subscriptions.values()].map(({ id }) => id));
    const { nodeId } = link.peer;
    for (const name of this.held.subscriptionsOf(nodeId)) {
      if (declared.has(name)) continue;
      const positions = this.held.toAsk(nodeId, name, this.env.clock.monotonicMs(), all);
      if (positions.length > 0) new Undeclared(link, name).ask(positions);
    }
  }

  /**
   * After the declaration of a new subscription left: links that were up before it did not hear of what an
   * earlier life of this node holds for it.
   */
  askAbout(index: number): void {
    if (this.held.size === 0) return;
    for (const { openings } of this.#links.values()) {
      const opening = openings.get(index);
      if (opening !== undefined) this.#askAbout(opening, true);
    }
  }

  #askAbout(opening: ConsumerOpening, all: boolean): void {
    const { link, subscription: index, producer } = opening;
    const subscription = this.#subscriptions.get(index);
    if (subscription === undefined) return;
    const now = this.env.clock.monotonicMs();
    const positions = this.held.toAsk(producer, subscription.id, now, all);
    if (positions.length === 0) return;
    const { session } = link;
    const rest = { name: "", released: [] };
    link.send({ type: "ask", session, subscription: index, positions, ...rest });
  }

  #askLater(): void {
    this.env.clock.setTimer(ASK_AFTER_MS, () => {
      if (this.#stopped) return;
      for (const link of this.#links.keys()) this.ask(link, false);
      this.releaseOwn();
      this.#askLater();
    });
  }

  #inboxOf(producer: string, subscription: string): InboxRow {
    const name = `${producer} ${subscription}`;
    let row = this.#inboxes.get(name);
    if (row === undefined) {
      row = this.#readInbox(producer, subscription);
      this.#inboxes.set(name, row);
    }
    return row;
  }

  #readInbox(producer: string, subscription: string): InboxRow {
    const { clock, counters, logger } = this.env;
    const key = compositeKey(producer, subscription);
    const wallMs = (): number => clock.wallMs();
    const stored = this.#forgotten.get(key);
    try {
      return new InboxRow(key, stored, this.#committer, wallMs);
    } catch (error) {
      // Going on may repeat an effect; not going on would stop every message of this producer.
      counters.count("inbox.damaged");
      logger.error("marks cannot be read: redeliveries may repeat", {
        producer,
        subscription,
        error,
      });
      return new InboxRow(key, undefined, this.#committer, wallMs);
    }
  }
}

const idOf = ({ producer, subscription, epoch, seq }: Job): HeldId => ({
  producer,
  subscription: subscription.id,
  epoch,
  seq,
});
