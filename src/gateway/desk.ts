/**
 * One listening of the node, shared by the streams of clients that opened it alike.
 *
 * Problem: a node is one member of a group, and several clients beside it want to share that place. Approach:
 * each message (or question) that the node hands over is a *task*; it waits until a stream, which has a *seat*
 * here, can take it, and is that seat's until it ends. The node starts the next message of a key when the one
 * before has ended, so order by key holds over all seats.
 *
 * How long a task may be out counts from when a seat got it: what waits here for credit has not failed.
 *
 * Invariants: a task is with one seat or waits, never both; it ends once; a seat that leaves takes nothing
 * along. Bound: the node starts at most `concurrency` messages; more questions than that, or than
 * `WAITING_BYTES_MAX` of them, are refused.
 */
import { MeshError } from "../errors.ts";
import type { HandlerContext } from "../mesh/handler-context.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import { Deferred } from "../runtime/consumer/outcome.ts";
import { WAIT_MS } from "./open-options.ts";
import type { Suspects } from "./suspects.ts";

/** What waits for a seat, or is with one. */
export type Task = {
  /** As it goes out, without its number. */
  readonly content: object;
  readonly bytes: number;
  /** Of a message: what its outputs go through. */
  readonly ctx: HandlerContext | undefined;
  /** Its client must have nothing beside it. */
  readonly alone: boolean;
  seat: Seat | undefined;
  timer: Timer | undefined;
  resolve(value: unknown): void;
  reject(error: unknown): void;
  isEnded: boolean;
};

/** A client's stream. */
export interface Seat {
  /** Tasks it has. */
  readonly load: number;
  /** If not, it calls `dispatch` when that may have changed. */
  canTake(task: Task): boolean;
  give(task: Task): void;
  /** The task it had is not its any more. */
  withdraw(task: Task, why: MeshError): void;
  /** The listening ends. */
  end(error: MeshError): void;
  /** The gateway stops: what is out should be settled. */
  stopping(): void;
}

export type DeskOptions = {
  readonly timeoutMs: number;
  /** Tasks that may be here; Infinity where the node sees to it. */
  readonly tasksMax: number;
  readonly clock: Clock;
  /** Of the listening, for those who know several. */
  readonly name: string;
  /** Of messages; undefined: questions, which are asked once. */
  readonly suspects: Suspects | undefined;
};

const WAITING_BYTES_MAX = 8 * 1024 * 1024;

export class Desk {
  readonly #options: DeskOptions;
  readonly #seats = new Set<Seat>();
  readonly #waiting = new Set<Task>();
  #tasks = 0;
  #waitingBytes = 0;
  #isClosed = false;

  constructor(options: DeskOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#seats.size === 0;
  }

  get seats(): ReadonlySet<Seat> {
    return this.#seats;
  }

  sit(seat: Seat): void {
    this.#seats.add(seat);
    this.dispatch();
  }

  /** `has`: the tasks of the seat, which are given back; whether it is dead, and had one alone. */
  leave(seat: Seat, has: readonly Task[], isDead: boolean, wasAlone: boolean): void {
    if (!this.#seats.delete(seat)) return;
    const { suspects } = this.#options;
    for (const task of has) {
      const isDeath = isDead && suspects !== undefined;
      this.end(task, isDeath ? suspects.died(this.#nameOf(task.ctx), wasAlone) : this.#untaken());
    }
    if (this.isEmpty) this.#returnWaiting();
  }

  /** Gives nothing more; what waits goes back. */
  close(): void {
    this.#isClosed = true;
    this.#returnWaiting();
  }

  /** Ends when a seat has ended it, its time is over, or `signal` fires. */
  take(
    content: object,
    bytes: number,
    signal: AbortSignal,
    ctx: HandlerContext | undefined,
  ): Promise<unknown> {
    const { tasksMax } = this.#options;
    if (tasksMax < Number.POSITIVE_INFINITY) {
      const isFull = this.#tasks >= tasksMax || this.#waitingBytes + bytes > WAITING_BYTES_MAX;
      if (isFull) {
        const message = `${this.#tasks} questions are with clients or wait for one`;
        return Promise.reject(new MeshError("RATE_LIMITED", message));
      }
    }
    return new Promise((resolve, reject) => {
      const alone = this.#options.suspects?.has(this.#nameOf(ctx)) ?? false;
      const task: Task = {
        ...{ content, bytes, ctx, alone, resolve, reject },
        ...{ seat: undefined, timer: undefined, isEnded: false },
      };
      this.#tasks++;
      if (this.#isClosed || this.isEmpty) {
        this.end(task, this.#untaken());
        return;
      }
      signal.addEventListener("abort", () => this.#withdraw(task, lostTo(signal.reason)), {
        once: true,
      });
      this.#wait(task);
      this.dispatch();
    });
  }

  /** Gives what waits to those who can take it. */
  dispatch(): void {
    for (const task of this.#waiting) {
      const seat = this.#freest(task);
      if (seat === undefined) return;
      this.#noLongerWaits(task);
      task.seat = seat;
      const { clock, timeoutMs } = this.#options;
      if (task.timer !== undefined) clock.clearTimer(task.timer);
      task.timer = clock.setTimer(timeoutMs, () => this.#timedOut(task));
      seat.give(task);
    }
  }

  /** The task is over: with a value, or for a reason. Its seat has forgotten it. */
  end(task: Task, error: unknown, value?: unknown): void {
    if (task.isEnded) return;
    task.isEnded = true;
    task.seat = undefined;
    this.#tasks--;
    this.#noLongerWaits(task);
    if (task.timer !== undefined) this.#options.clock.clearTimer(task.timer);
    if (error === undefined) task.resolve(value);
    else task.reject(error);
    if (task.alone && error === undefined) this.#options.suspects?.clear(this.#nameOf(task.ctx));
  }

  /** Of a message in this listening; undefined: it comes at most once. */
  #nameOf(ctx: HandlerContext | undefined): string | undefined {
    const id = ctx?.message.id ?? "";
    return id === "" ? undefined : `${this.#options.name} ${id}`;
  }

  #freest(task: Task): Seat | undefined {
    let best: Seat | undefined;
    for (const seat of this.#seats) {
      if (best !== undefined && best.load <= seat.load) continue;
      if (seat.canTake(task)) best = seat;
    }
    return best;
  }

  #timedOut(task: Task): void {
    const { timeoutMs } = this.#options;
    const message = `the client did not settle within timeoutMs ${timeoutMs}`;
    this.#withdraw(task, new MeshError("TIMEOUT", message));
  }

  #withdraw(task: Task, why: MeshError): void {
    if (task.isEnded) return;
    const { seat } = task;
    this.end(task, why);
    seat?.withdraw(task, why);
  }

  /** A message that no stream can take goes back after a while: another member may be able to. */
  #wait(task: Task): void {
    this.#waiting.add(task);
    this.#waitingBytes += task.bytes;
    const { suspects, clock } = this.#options;
    if (suspects === undefined) return;
    task.timer = clock.setTimer(WAIT_MS, () => this.end(task, this.#untaken()));
  }

  #noLongerWaits(task: Task): void {
    if (this.#waiting.delete(task)) this.#waitingBytes -= task.bytes;
  }

  #returnWaiting(): void {
    for (const task of this.#waiting) this.end(task, this.#untaken());
  }

  /** No client has it. A message goes back as not attempted; a question may have been begun. */
  #untaken(): Error {
    if (this.#options.suspects !== undefined) return new Deferred(0, "no client takes it");
    return new MeshError("PEER_LOST", "the client that answers is gone");
  }
}

const lostTo = (reason: unknown): MeshError =>
  MeshError.is(reason) ? reason : new MeshError("PEER_LOST", "nobody waits for it any more");
