/**
 * Heartbeats of a simulated mesh: questions and answers over the paths of its network, answered by a process
 * whose event loop is blocked, and not by one that is paused or gone.
 *
 * Approach: what runs in the thread is scheduled beside the process; that the loop turns is said by a timer
 * inside it. A datagram that meets a cut path, a pause or the path's loss is gone. Delays and losses are drawn
 * from a stream of their own, so that heartbeats shift no other draw.
 */
import { EASED_BEATS } from "../core/stall.ts";
import type {
  Heartbeat,
  HeartbeatContext,
  HeartbeatPeer,
  HeartbeatSelf,
  Pulse,
} from "../ports/heartbeat.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { VirtualNetwork } from "./virtual-network.ts";
import type { VirtualProcess } from "./virtual-process.ts";

type Watched = {
  readonly peer: HeartbeatPeer;
  heardMs: number;
  lagMs: number;
  closely: boolean;
  /** Which of EASED_BEATS intervals is its turn. */
  readonly turn: number;
};

/** Where all heartbeats of a mesh meet. */
export class HeartbeatAir {
  readonly network: VirtualNetwork;
  readonly #random: SeededRandom;
  readonly #beats = new Map<string, VirtualHeartbeat>();
  #addresses = 0;

  constructor(network: VirtualNetwork, random: SeededRandom) {
    this.network = network;
    this.#random = random;
  }

  join(host: string, process: VirtualProcess): Heartbeat {
    return new VirtualHeartbeat(this, host, process);
  }

  add(beat: VirtualHeartbeat): string {
    const address = `beat://${beat.host}:${++this.#addresses}`;
    this.#beats.set(address, beat);
    return address;
  }

  remove(address: string): void {
    this.#beats.delete(address);
  }

  at(address: string): VirtualHeartbeat | undefined {
    return this.#beats.get(address);
  }

  /** Calls `arrived` when the datagram arrives, or never. */
  carry(from: string, to: string, arrived: () => void): void {
    const { delayMinMs, delayMeanMs, loss, blocked } = this.network.path(from, to);
    if (blocked > 0 || !this.network.isUp(to)) return;
    if (loss > 0 && this.#random.chance(loss)) return;
    const spread = Math.max(0, delayMeanMs - delayMinMs);
    const delayMs = delayMinMs + (spread === 0 ? 0 : this.#random.exponential(spread));
    this.network.time.after(delayMs, arrived);
  }
}

export class VirtualHeartbeat implements Heartbeat {
  readonly host: string;
  readonly #air: HeartbeatAir;
  readonly #process: VirtualProcess;
  readonly #watched = new Map<string, Watched>();
  #self: HeartbeatSelf | undefined;
  #intervalMs = 0;
  #address = "";
  #stopped = false;
  #beats = 0;
  #turnedMs = 0;
  #answeredSentMs = Number.NEGATIVE_INFINITY;

  constructor(air: HeartbeatAir, host: string, process: VirtualProcess) {
    this.#air = air;
    this.host = host;
    this.#process = process;
  }

  async start(self: HeartbeatSelf, { intervalMs }: HeartbeatContext): Promise<string> {
    this.#self = self;
    this.#intervalMs = intervalMs;
    this.#address = this.#air.add(this);
    this.#turn();
    this.#beat();
    return this.#address;
  }

  watch(peer: HeartbeatPeer): void {
    const turn = this.#watched.size % EASED_BEATS;
    const fresh = { heardMs: Number.NEGATIVE_INFINITY, lagMs: 0, closely: true, turn };
    this.#watched.set(peer.nodeId, { peer, ...fresh });
  }

  attend(nodeId: string, closely: boolean): void {
    const watched = this.#watched.get(nodeId);
    if (watched === undefined) return;
    watched.closely = closely;
    if (closely) this.#ask(watched);
  }

  unwatch(nodeId: string): void {
    this.#watched.delete(nodeId);
  }

  pulse(nodeId: string): Pulse | undefined {
    const watched = this.#watched.get(nodeId);
    if (watched === undefined || watched.heardMs === Number.NEGATIVE_INFINITY) return undefined;
    return { silentMs: this.#nowMs() - watched.heardMs, lagMs: watched.lagMs };
  }

  answeredSentMs(): number {
    return this.#answeredSentMs;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#air.remove(this.#address);
  }

  // --- the thread ----------------------------------------------------------------------------

  #beat(): void {
    if (this.#isOver) return;
    this.#air.network.time.after(this.#intervalMs, () => this.#beat());
    if (this.#process.isPaused) return;
    this.#beats++;
    const isBlocked = this.#lagMs > this.#intervalMs;
    for (const watched of this.#watched.values()) {
      const isTurn = (this.#beats + watched.turn) % EASED_BEATS === 0;
      if (watched.closely || isBlocked || isTurn) this.#ask(watched);
    }
  }

  #ask(watched: Watched): void {
    const sentMs = this.#nowMs();
    const { address } = watched.peer;
    const there = this.#air.at(address);
    if (there === undefined || this.#self === undefined) return;
    const { nodeId, nonce } = this.#self;
    this.#air.carry(this.host, there.host, () => {
      const lagMs = there.answers(nodeId, nonce, watched.peer);
      if (lagMs === undefined) return;
      this.#air.carry(there.host, this.host, () => this.#answered(watched, sentMs, lagMs));
    });
  }

  /** What it says of its loop; undefined: it does not answer. */
  answers(nodeId: string, nonce: Uint8Array, asked: HeartbeatPeer): number | undefined {
    if (this.#isOver || this.#process.isPaused || this.#self === undefined) return undefined;
    const asker = this.#watched.get(nodeId)?.peer;
    if (asker === undefined || !same(asker.nonce, nonce)) return undefined;
    if (asked.nodeId !== this.#self.nodeId || !same(asked.nonce, this.#self.nonce))
      return undefined;
    return this.#lagMs;
  }

  #answered(watched: Watched, sentMs: number, lagMs: number): void {
    if (this.#isOver || this.#process.isPaused) return;
    watched.heardMs = this.#nowMs();
    watched.lagMs = lagMs;
    this.#answeredSentMs = Math.max(this.#answeredSentMs, sentMs);
  }

  // --- the event loop ------------------------------------------------------------------------

  #turn(): void {
    if (this.#stopped) return;
    this.#turnedMs = this.#nowMs();
    this.#process.clock.setTimer(this.#intervalMs, () => this.#turn());
  }

  /** As `PulseBoard.lagMs`. */
  get #lagMs(): number {
    return Math.max(0, this.#nowMs() - this.#turnedMs - this.#intervalMs);
  }

  get #isOver(): boolean {
    return this.#stopped || !this.#process.isAlive;
  }

  #nowMs(): number {
    return this.#process.clock.monotonicMs();
  }
}

const same = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, at) => byte === b[at]);
