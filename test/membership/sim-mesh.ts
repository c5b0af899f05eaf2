/**
 * A mesh of members in one thread: the real machine and the real bytes, on simulated time and network.
 *
 * Problem: membership has to be judged at sizes and for times that no machine here can run. Approach: every node is a
 * `Swim`; what it sends is encoded, gets lost or delayed, and is decoded again. Names are shared, so that ten
 * thousand views of ten thousand members are ten thousand pairs of typed arrays, 800 MB.
 *
 * A blocked node hears and does nothing; what came meanwhile it reads when it turns again, after its timers, as an
 * event loop does. Where it has a heartbeat, its neighbours hear that every 250 ms.
 * Source of the fault model: Lifeguard, section V (blocked receivers).
 */
import { nodeIdFrom } from "../../src/core/ids.ts";
import type { Claim } from "../../src/core/swim/claim.ts";
import { MemberNames } from "../../src/core/swim/member-names.ts";
import { Swim } from "../../src/core/swim/swim.ts";
import type { SwimEffect } from "../../src/core/swim/swim-outbox.ts";
import { SWIM_TIMES } from "../../src/core/swim/swim-times.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { ByteWriter } from "../../src/wire/byte-writer.ts";
import { decodeGossip, encodeGossip } from "../../src/wire/gossip.ts";
import { EventWheel } from "./event-wheel.ts";
import type { SimOptions } from "./sim-options.ts";
import { type SimReport, SimTally } from "./sim-tally.ts";

const EPOCH = 1_750_000_000;
const HEARTBEAT_MS = 250;
const BLOCKED_SHARE = 0.8;
/** What crosses right after a partition may have been said in it. */
const GRACE_MS = 10_000;
const WARM_UP_MS = 2_000;

type Letter = { readonly from: number; readonly bytes: Uint8Array };

type SimNode = {
  readonly index: number;
  readonly id: string;
  readonly swim: Swim;
  isRunning: boolean;
  /** What came while the event loop was blocked; undefined: it turns. */
  waiting: Letter[] | undefined;
  /** When it is woken next. */
  wakeMs: number;
};

type Event =
  | { readonly type: "wake"; readonly node: SimNode }
  | { readonly type: "letter"; readonly node: SimNode; readonly letter: Letter }
  | { readonly type: "do"; readonly act: () => void };

export class SimMesh {
  readonly #options: SimOptions;
  readonly #wheel = new EventWheel<Event>();
  readonly #random: SeededRandom;
  readonly #nodes: SimNode[] = [];
  readonly #indexOf = new Map<string, number>();
  readonly #tally: SimTally;
  readonly #writer = new ByteWriter(4_096);
  #isParted = false;
  #graceUntilMs = 0;

  constructor(options: SimOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed, "membership");
    this.#tally = new SimTally(options.nodes, options.blocked);
    this.#build();
    this.#planKills();
    this.#planBlocks();
    this.#planPartition();
  }

  run(): SimReport {
    const { seconds, seed, preset, loss } = this.#options;
    this.#wheel.run(seconds * 1_000, (event) => this.#happen(event));
    const killed = this.#nodes.filter(({ isRunning }) => !isRunning);
    const isKnownByAll = this.#nodes.every(
      ({ isRunning, swim }) => !isRunning || killed.every(({ id }) => swim.stateOf(id) === "dead"),
    );
    return this.#tally.report({ seconds, seed, preset, loss, isKnownByAll });
  }

  // --- before it begins ----------------------------------------------------------------------

  #build(): void {
    const { nodes, preset } = this.#options;
    const names = new MemberNames();
    const draws = this.#random.fork("ids");
    const ids = Array.from({ length: nodes }, () => nodeIdFrom(draws.bytes(13)));
    for (const id of ids) names.take(id);
    const claims = ids.map((id): Claim => {
      return { id, epoch: EPOCH, incarnation: 0, vouch: 0, state: "alive", accuser: "" };
    });
    for (const [index, id] of ids.entries()) {
      const own = this.#random.fork(id);
      const random = (): number => own.fraction();
      const self = { id, epoch: EPOCH, times: SWIM_TIMES[preset], random, names };
      const swim = new Swim(self, 0);
      swim.learn(claims);
      const node = { index, id, swim, isRunning: true, waiting: undefined, wakeMs: Infinity };
      this.#nodes.push(node);
      this.#indexOf.set(id, index);
      this.#plan(node);
    }
  }

  #planKills(): void {
    const { kills, seconds, blocked, nodes } = this.#options;
    const fromMs = WARM_UP_MS;
    const toMs = Math.max(fromMs + 1, seconds * 500);
    for (let at = 0; at < kills; at++) {
      // The first ones are those that are blocked.
      const node = this.#nodes[blocked + Math.floor((at * (nodes - blocked)) / kills)] as SimNode;
      this.#do(fromMs + ((toMs - fromMs) * (at + 1)) / (kills + 1), () => this.#kill(node));
    }
  }

  #planBlocks(): void {
    for (const node of this.#nodes.slice(0, this.#options.blocked)) {
      this.#do(WARM_UP_MS + this.#random.between(0, 1_000), () => this.#block(node));
    }
  }

  #planPartition(): void {
    const { partition } = this.#options;
    if (partition === undefined) return;
    this.#do(partition.fromS * 1_000, () => {
      this.#isParted = true;
    });
    this.#do(partition.toS * 1_000, () => {
      this.#isParted = false;
      this.#graceUntilMs = this.#wheel.nowMs + GRACE_MS;
      this.#watchHealing(this.#wheel.nowMs);
    });
  }

  // --- what happens --------------------------------------------------------------------------

  #happen(event: Event): void {
    if (event.type === "do") event.act();
    else if (event.type === "letter") this.#arrive(event.node, event.letter);
    else this.#wake(event.node);
  }

  #wake(node: SimNode): void {
    if (node.wakeMs > this.#wheel.nowMs) return;
    node.wakeMs = Number.POSITIVE_INFINITY;
    if (!node.isRunning || node.waiting !== undefined) return;
    if (node.swim.dueMs <= this.#wheel.nowMs) {
      this.#perform(node, node.swim.advance(this.#wheel.nowMs));
    } else this.#plan(node);
  }

  #arrive(node: SimNode, letter: Letter): void {
    if (!node.isRunning) return;
    if (node.waiting !== undefined) {
      node.waiting.push(letter);
      return;
    }
    const from = (this.#nodes[letter.from] as SimNode).id;
    this.#perform(node, node.swim.receive(from, decodeGossip(letter.bytes), this.#wheel.nowMs));
  }

  #perform(node: SimNode, effects: readonly SwimEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "send")
        this.#send(node, effect.to, encodeGossip(effect.message, this.#writer));
      else if (effect.type === "state") this.#note(node, effect);
    }
    this.#plan(node);
  }

  #plan(node: SimNode): void {
    const dueMs = Math.max(this.#wheel.nowMs + 1, Math.ceil(node.swim.dueMs));
    if (dueMs >= node.wakeMs) return;
    node.wakeMs = dueMs;
    this.#wheel.at(dueMs, { type: "wake", node });
  }

  #send(from: SimNode, to: string, bytes: Uint8Array): void {
    this.#tally.sent(from.index, bytes.length);
    const node = this.#nodes[this.#indexOf.get(to) as number] as SimNode;
    if (!this.#isReachable(from, node) || this.#random.chance(this.#options.loss)) return;
    const atMs = this.#wheel.nowMs + this.#random.between(1, this.#options.delayMs);
    this.#wheel.at(atMs, { type: "letter", node, letter: { from: from.index, bytes } });
  }

  #note(node: SimNode, { id, state }: Extract<SwimEffect, { type: "state" }>): void {
    const member = this.#nodes[this.#indexOf.get(id) as number] as SimNode;
    const isExcused = !this.#isReachable(node, member) || this.#wheel.nowMs < this.#graceUntilMs;
    const version = `${id} ${node.swim.claimOf(id)?.incarnation}`;
    this.#tally.changed(member.index, version, state, !isExcused, this.#wheel.nowMs);
  }

  #kill(node: SimNode): void {
    node.isRunning = false;
    this.#tally.killed(node.index, this.#wheel.nowMs);
    if (!this.#options.linksBreak) return;
    for (const other of this.#linked(node)) {
      this.#perform(other, other.swim.linkLost(node.id, this.#wheel.nowMs));
    }
  }

  #block(node: SimNode): void {
    const { blockMs, heartbeats } = this.#options;
    node.waiting = [];
    const nowMs = this.#wheel.nowMs;
    const lengthMs = this.#random.exponential(blockMs);
    if (heartbeats) this.#beat(node, nowMs, nowMs + lengthMs);
    this.#do(nowMs + lengthMs, () => this.#unblock(node));
    this.#do(nowMs + lengthMs / BLOCKED_SHARE, () => this.#block(node));
  }

  #unblock(node: SimNode): void {
    const letters = node.waiting ?? [];
    node.waiting = undefined;
    const { swim } = node;
    if (swim.dueMs <= this.#wheel.nowMs) this.#perform(node, swim.advance(this.#wheel.nowMs));
    for (const letter of letters) this.#arrive(node, letter);
  }

  /** Its heartbeat answers while it is blocked. */
  #beat(node: SimNode, fromMs: number, untilMs: number): void {
    for (let atMs = fromMs + HEARTBEAT_MS; atMs < untilMs; atMs += HEARTBEAT_MS) {
      this.#do(atMs, () => {
        for (const other of this.#linked(node)) {
          if (this.#random.chance(this.#options.loss)) continue;
          this.#perform(other, other.swim.pulse(node.id, this.#wheel.nowMs));
        }
      });
    }
  }

  /** Nodes that have a link with it and turn. */
  #linked(node: SimNode): SimNode[] {
    return node.swim
      .neighbours()
      .map((id) => this.#nodes[this.#indexOf.get(id) as number] as SimNode)
      .filter((other) => other.isRunning && other.waiting === undefined)
      .filter((other) => this.#isReachable(node, other));
  }

  #isReachable(a: SimNode, b: SimNode): boolean {
    return !this.#isParted || this.#sideOf(a) === this.#sideOf(b);
  }

  #sideOf(node: SimNode): boolean {
    const { nodes, partition } = this.#options;
    return node.index < nodes * (partition?.share ?? 0);
  }

  #watchHealing(sinceMs: number): void {
    const running = this.#nodes.filter(({ isRunning }) => isRunning);
    const isWhole = running.every(({ swim }) =>
      running.every(({ id }) =>
        ["alive", "stalled", "suspect"].includes(swim.stateOf(id) ?? "dead"),
      ),
    );
    if (isWhole) this.#tally.healMs = this.#wheel.nowMs - sinceMs;
    else this.#do(this.#wheel.nowMs + 100, () => this.#watchHealing(sinceMs));
  }

  #do(atMs: number, act: () => void): void {
    this.#wheel.at(atMs, { type: "do", act });
  }
}
