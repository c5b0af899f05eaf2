/**
 * What handlers sent: kept with the mark of the message they handled, let out once, when that is theirs to do.
 *
 * Problem: output must leave exactly when the producer accepted this member's settle, also if this process
 * dies in between, or the journal fails or has no room. Approach: output is held in the commit of the mark;
 * when it leaves, append and removal of the held row are one commit. Where this instance is the only member
 * there can ever be (group: false) nobody else's settle can be accepted: output joins the commit of its mark,
 * and is held only if that commit failed. failover: "wait" does not do for that: a producer that restarts has
 * forgotten its members and gives shards to those that come first.
 *
 * Invariant: a held row and its messages in the log are never both on disk, nor both gone.
 */
import type { MeshError } from "../../errors.ts";
import type { Environment } from "../environment.ts";
import type { Committer } from "../journal/committer.ts";
import type { ConsumerOpening } from "./consumer-opening.ts";
import type { HeldId, HeldOutput } from "./held-output.ts";
import type { Job } from "./job.ts";
import type { StagedMessage } from "./staged-message.ts";

/** What the consumer asks of the producing side of its node. */
export interface OutputSink {
  /** Room for handlers' output, the reserve included. */
  hasRoom(bytes: number): boolean;
  /**
   * Appends all within the batch that gathers; `done` after its sync. False: refused, nothing was appended
   * and `done` is not called.
   */
  release(
    messages: readonly StagedMessage[],
    done: (error: MeshError | undefined) => void,
  ): boolean;
}

/** Who is told that output is out. */
export type Released = Pick<ConsumerOpening, "closed" | "released">;

export class OutputGate {
  readonly #env: Environment;
  readonly #committer: Committer;
  readonly #held: HeldOutput;
  readonly #sink: OutputSink;

  constructor(env: Environment, committer: Committer, held: HeldOutput, sink: OutputSink) {
    this.#env = env;
    this.#committer = committer;
    this.#held = held;
    this.#sink = sink;
  }

  /** Takes what the handler of this job sent into the batch that gathers. False: no room, nothing is kept. */
  keep(job: Job, staged: readonly StagedMessage[]): boolean {
    const { counters, clock } = this.#env;
    let bytes = 0;
    for (const { envelope } of staged) bytes += envelope.length;
    if (!this.#sink.hasRoom(bytes)) {
      counters.count("output.noRoom");
      return false;
    }
    const id = heldId(job);
    if (!this.#held.hasRoom(id)) {
      counters.count("output.heldFull");
      return false;
    }
    const { term } = job.opening;
    if (!job.subscription.spec.alone) {
      this.#held.add(id, staged, clock.monotonicMs(), { own: false, term });
      return true;
    }
    const taken = this.#sink.release(staged, (error) => {
      // The mark joins the next batch, and so does this.
      if (error !== undefined) this.#held.add(id, staged, clock.monotonicMs(), { own: true, term });
    });
    if (!taken) counters.count("output.noRoom");
    return taken;
  }

  /** Output of an at-most-once message: now or never. */
  letOut(staged: readonly StagedMessage[]): void {
    const { counters } = this.#env;
    const dropped = (): void => counters.count("emit.dropped.output", staged.length);
    const taken = this.#sink.release(staged, (error) => {
      if (error !== undefined) dropped();
    });
    if (!taken) dropped();
  }

  /** The producer says that the settle was this member's. */
  release(id: HeldId, opening: Released | undefined): void {
    const position = { epoch: id.epoch, seq: id.seq };
    const staged = this.#take(id);
    if (staged === undefined) {
      // Released before (the producer answered twice): say so again, its row may still be there. Not before
      // a sync, which may fail together with the one that holds the release.
      this.#committer.onDurable((error) => {
        if (error === undefined && !this.#held.has(id)) opening?.released(position);
      });
      return;
    }
    let undo = (): void => {};
    const taken = this.#sink.release(staged, (error) => {
      if (error !== undefined) {
        undo();
        return;
      }
      this.#env.counters.count("output.released");
      if (opening?.closed === false) opening.released(position);
    });
    if (taken) undo = this.#held.drop(id);
    else this.#held.putBack(id);
  }

  /** Another member's settle was accepted. */
  discard(id: HeldId): void {
    if (!this.#held.has(id)) return;
    const undo = this.#held.drop(id);
    this.#env.counters.count("output.discarded");
    this.#committer.onDurable((error) => {
      if (error !== undefined) undo();
    });
  }

  /** Output that waits for nobody's word leaves as soon as the journal takes it. */
  releaseOwn(): void {
    for (const id of this.#held.own()) this.release(id, undefined);
  }

  #take(id: HeldId): StagedMessage[] | undefined {
    try {
      return this.#held.take(id);
    } catch (error) {
      // It stays where it is, and is not asked about again in this life.
      this.#env.counters.count("output.damaged");
      this.#env.logger.error("held output cannot be read", { ...id, error });
      return undefined;
    }
  }
}

const heldId = (job: Job): HeldId => ({
  producer: job.producer,
  subscription: job.subscription.id,
  epoch: job.epoch,
  seq: job.seq,
});
