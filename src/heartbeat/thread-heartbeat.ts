/**
 * The heartbeat of a real process: a worker thread with a UDP socket.
 *
 * Approach: the thread is given a node to speak for and a board (`PulseBoard`); after that nothing is said
 * between the two but whom to watch, and how closely. The event loop writes to the board that it turns, once an interval, and
 * reads there what the thread heard.
 *
 * Invariants: the thread does not keep the process alive and ends with `stop`; a slot of the board is used again
 * only when the thread has said that it writes to it no more.
 * Bounds: 2 x `peersMax` slots; a peer past them is not watched, and its links decide. The thread has
 * `START_MS_MAX` to begin, and a heap of its own of `HEAP_MB` and 1 KiB a peer.
 */
import { Worker } from "node:worker_threads";
import { isNodeId } from "../core/ids.ts";
import type {
  Heartbeat,
  HeartbeatContext,
  HeartbeatPeer,
  HeartbeatSelf,
  Pulse,
} from "../ports/heartbeat.ts";
import { NONCE_BYTES_MIN } from "./datagram-seal.ts";
import { boardBuffer, PulseBoard } from "./pulse-board.ts";
import type { FromThread, ThreadStart, ToThread } from "./thread-messages.ts";

const START_MS_MAX = 15_000;
const HEAP_MB = 32;
const YOUNG_HEAP_MB = 2;

/** The compiled program of the thread, beside this module. */
const PROGRAM = new URL("./heartbeat-thread.js", import.meta.url);

export class ThreadHeartbeat implements Heartbeat {
  readonly #program: URL;
  readonly #slots = new Map<string, number>();
  readonly #free: number[] = [];
  #board: PulseBoard | undefined;
  #context: HeartbeatContext | undefined;
  #worker: Worker | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(program: URL = PROGRAM) {
    this.#program = program;
  }

  async start(self: HeartbeatSelf, context: HeartbeatContext): Promise<string> {
    const { peersMax, intervalMs } = context;
    const slots = 2 * peersMax; // each peer's, and one that an earlier life of it gives back
    const buffer = boardBuffer(slots);
    const board = new PulseBoard(buffer);
    board.turn();
    for (let slot = slots - 1; slot >= 0; slot--) this.#free.push(slot);
    const workerData: ThreadStart = { board: buffer, intervalMs, ...self };
    const worker = new Worker(this.#program, {
      workerData,
      name: "meshbus heartbeat",
      env: {},
      execArgv: [],
      resourceLimits: {
        maxOldGenerationSizeMb: HEAP_MB + Math.ceil(peersMax / 1_024),
        maxYoungGenerationSizeMb: YOUNG_HEAP_MB,
      },
    });
    this.#worker = worker;
    this.#board = board;
    this.#context = context;
    const address = await this.#bound(worker);
    this.#timer = setInterval(() => this.#turn(board, context), intervalMs).unref();
    worker.unref();
    return address;
  }

  watch(peer: HeartbeatPeer): void {
    this.unwatch(peer.nodeId);
    if (this.#worker === undefined) return;
    if (!isNodeId(peer.nodeId) || peer.nonce.length < NONCE_BYTES_MIN) return;
    const slot = this.#free.pop();
    if (slot === undefined) return;
    this.#slots.set(peer.nodeId, slot);
    this.#tell({ type: "watch", slot, ...peer });
  }

  unwatch(nodeId: string): void {
    const slot = this.#slots.get(nodeId);
    if (slot === undefined) return;
    this.#slots.delete(nodeId);
    this.#tell({ type: "unwatch", slot });
  }

  attend(nodeId: string, closely: boolean): void {
    const slot = this.#slots.get(nodeId);
    if (slot !== undefined) this.#tell({ type: "attend", slot, closely });
  }

  pulse(nodeId: string): Pulse | undefined {
    const slot = this.#slots.get(nodeId);
    return slot === undefined ? undefined : this.#board?.pulse(slot);
  }

  answeredSentMs(): number {
    if (this.#board === undefined || this.#context === undefined) return Number.NEGATIVE_INFINITY;
    return this.#context.clock.monotonicMs() - this.#board.answeredAgeMs();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker === undefined) return;
    worker.ref(); // it must not end the process while its end is waited for
    await worker.terminate();
  }

  /** Resolves when the thread listens; what happens to it later is reported. */
  #bound(worker: Worker): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#end(worker, new Error(`no heartbeat within ${START_MS_MAX} ms`), reject);
      }, START_MS_MAX);
      let ended = reject;
      worker.on("message", (message: FromThread) => {
        if (message.type === "freed") {
          this.#free.push(message.slot);
          return;
        }
        clearTimeout(timer);
        ended = (error: Error) => this.#context?.failed(error);
        resolve(message.address);
      });
      const over = (error: Error): void => {
        clearTimeout(timer);
        this.#end(worker, error, ended);
      };
      worker.on("error", over);
      worker.on("exit", (code) => over(new Error(`the heartbeat thread ended with code ${code}`)));
    });
  }

  /** Told once: after it, and after `stop`, the worker is not this one. */
  #end(worker: Worker, error: Error, tell: (error: Error) => void): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    clearInterval(this.#timer);
    void worker.terminate();
    tell(error);
  }

  #turn(board: PulseBoard, context: HeartbeatContext): void {
    board.turn();
    board.eachCount((name, times) => context.count(name, times));
  }

  #tell(message: ToThread): void {
    this.#worker?.postMessage(message);
  }
}
