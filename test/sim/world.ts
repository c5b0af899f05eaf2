/** One simulated mesh of one seed: its parts, what is recorded, and what the nodes' users do. */
import { MeshError } from "../../src/errors.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import type { Subscription } from "../../src/mesh/subscription.ts";
import { isFragile } from "../../src/testing/frame-name.ts";
import {
  History,
  type Run,
  type Said,
  type StateOf,
  type Tended,
} from "../../src/testing/history.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { Trace } from "../../src/testing/trace.ts";
import { DiscoveryHub } from "../../src/testing/virtual-discovery.ts";
import { VirtualDisk } from "../../src/testing/virtual-disk.ts";
import { HeartbeatAir } from "../../src/testing/virtual-heartbeat.ts";
import { VirtualNetwork } from "../../src/testing/virtual-network.ts";
import type { VirtualProcess } from "../../src/testing/virtual-process.ts";
import { VirtualTime } from "../../src/testing/virtual-time.ts";
import { type Plan, planOf, type SubscriptionPlan } from "./plan.ts";
import type { Scenario, Watcher } from "./scenario.ts";
import { coverOf, NO_SCENARIO } from "./scenarios.ts";
import { SimNode } from "./sim-node.ts";
import { Worker } from "./worker.ts";

/** Bends the plan of a seed. */
export type Shape = (plan: Plan) => Plan;

export type Drawn = { readonly scenario: Scenario | undefined; readonly random: SeededRandom };

const WALL_START_MS = 1_800_000_000_000;
/** After these a member may be taken for dead. */
const DISRUPTING = /^(kill|powerLoss|restart|pause|partition|clog|reset|loss)/;

/** Faults after which members may see different things for a while. */
const DISTURBS = /^(kill|powerLoss|restart|pause|partition|clog|reset|loss|clockJump)/;

export class World {
  readonly seed: number;
  readonly plan: Plan;
  readonly time: VirtualTime;
  readonly network: VirtualNetwork;
  readonly discovery: DiscoveryHub;
  readonly history = new History();
  readonly trace: Trace;
  readonly nodes: SimNode[] = [];
  readonly workers: Worker[] = [];
  /** Nodes on copies of others' folders. */
  readonly clones: SimNode[] = [];
  readonly faults = new Map<string, number>();
  readonly coverage = new Map<string, number>();
  readonly random: SeededRandom;
  readonly stallRandom: SeededRandom;
  readonly heartbeats: HeartbeatAir;
  /** The liveness phase: nothing fails any more. */
  isHealing = false;
  readonly scenario: Scenario | undefined;
  /** What hears of things as they happen. */
  watcher: Watcher = {};
  readonly #running = new Set<Run>();
  readonly #replayed = new Set<string>();
  /** What is being done about dead letters; it ends with the process that does it. */
  #nursing: { readonly at: SimNode } | undefined;
  readonly #subscriptions: {
    readonly plan: SubscriptionPlan;
    readonly subscription: Subscription;
  }[] = [];

  constructor(
    seed: number,
    options: { keepTrace: boolean; drawn: Drawn; shape?: Shape | undefined },
  ) {
    this.seed = seed;
    this.scenario = options.drawn.scenario;
    const random = new SeededRandom(seed, "world");
    const plan = planOf(random.fork("plan"));
    const staged = this.scenario?.shape(plan, options.drawn.random) ?? plan;
    this.plan = options.shape?.(staged) ?? staged;
    this.random = random.fork("faults");
    this.time = new VirtualTime((error) => this.found("threw", stackOf(error)));
    this.trace = new Trace(options.keepTrace, () => this.time.nowMs);
    const fault = (name: string): void => this.fault(name);
    this.network = new VirtualNetwork(this.time, random.fork("network"), {
      fragile: isFragile,
      fault,
      arrived: (from, to, frame) => this.trace.frame(from, to, frame),
    });
    this.discovery = new DiscoveryHub(this.time, random.fork("discovery"), fault);
    this.history.isWhole = true;
    this.history.isCalm = this.plan.isCalm;
    this.history.mayOverflow = this.plan.smallJournal;
    for (let index = 0; index < this.plan.nodes; index++) {
      const own = random.fork(`node ${index}`);
      const { clockRate, clockSkewMs } = this.plan.faults;
      this.nodes.push(
        new SimNode(this, index, {
          service: `s${index % this.plan.services}`,
          disk: (observer) =>
            new VirtualDisk(this.time, own.fork("disk"), {
              fault: (name) => {
                fault(name);
                this.#at(index, (node) => this.watcher.diskFault?.(node, name));
              },
              durable: (writes, how) => {
                observer.durable(writes, how);
                this.#at(index, (node) => this.watcher.durable?.(node, writes));
              },
              damaged: (key) => observer.damaged(key),
            }),
          clocks: {
            wallMs: WALL_START_MS + own.between(-clockSkewMs, clockSkewMs),
            rate: 1 + own.between(-clockRate, clockRate),
          },
          random: own,
        }),
      );
      this.workers.push(new Worker(this, index, own.fork("work")));
    }
    const beats = random.fork("heartbeats");
    this.heartbeats = new HeartbeatAir(this.network, beats.fork("air"));
    this.stallRandom = beats.fork("stalls");
  }

  // --- what is recorded ----------------------------------------------------------------------

  fault(name: string): void {
    this.faults.set(name, (this.faults.get(name) ?? 0) + 1);
    if (name === "bitFlip") this.history.bitFlips++;
    if (DISRUPTING.test(name)) this.history.disruptions++;
    if (DISTURBS.test(name)) this.changed();
    this.trace.note(`fault ${name}`);
  }

  /** Members or links are about to change, or may do so late. */
  changed(): void {
    this.history.changesMs.push(this.time.nowMs);
  }

  cover(name: string, count = 1): void {
    this.coverage.set(name, (this.coverage.get(name) ?? 0) + count);
  }

  found(check: string, message: string): void {
    this.trace.note(`VIOLATION ${check} ${message}`);
    if (this.history.found.length < 20) this.history.found.push({ check, message });
  }

  /**
   * The node whose journal holds a message: two may go by one id, if one is a copy of the other. Both may hold it
   * in one place, if it is output that they held; then it is the first one's.
   */
  producerOf(nodeId: string, epoch: number, seq: number, id: string): number {
    const owner = this.indexOf(nodeId);
    const clones = this.clones.filter((clone) => clone.nodeId === nodeId);
    if (clones.length === 0) return owner;
    const holders = this.history.stored.filter(
      (record) => record.seq === seq && record.epoch === epoch && record.id === id,
    );
    const isThere = (index: number): boolean => holders.some(({ node }) => node === index);
    return isThere(owner) ? owner : (clones.find(({ index }) => isThere(index))?.index ?? owner);
  }

  /** One more node, on a copy of this one's folder. It is down, and goes for good when all heals. */
  clone(of: SimNode, random: SeededRandom): SimNode {
    const index = this.nodes.length + this.clones.length;
    const image = of.disk.backup();
    const clone = new SimNode(this, index, {
      service: of.service,
      disk: (observer) => {
        const disk = new VirtualDisk(this.time, random.fork("disk"), {
          fault: (name) => this.fault(name),
          durable: (writes, how) => observer.durable(writes, how),
        });
        disk.restore(image);
        return disk;
      },
      clocks: { ...of.clocks },
      random,
    });
    this.clones.push(clone);
    this.workers[index] = new Worker(this, index, random.fork("work"));
    this.history.copied(index, of.index);
    this.fault("clone");
    return clone;
  }

  /** The situation of this seed's scenario was seen. */
  seen(count = 1): void {
    if (count > 0 && this.scenario !== undefined) this.cover(coverOf(this.scenario.name), count);
  }

  get scenarioName(): string {
    return this.scenario?.name ?? NO_SCENARIO;
  }

  indexOf(nodeId: string): number {
    return this.nodes.findIndex((node) => node.nodeId === nodeId);
  }

  started(run: Run): void {
    this.history.runs.push(run);
    this.#running.add(run);
    this.watcher.runStarted?.(run);
    this.trace.note(
      `n${run.member} runs ${run.id} of n${run.producer} ${run.epoch}:${run.seq} for ${run.subscription}, attempt ${run.attempt}`,
    );
  }

  ended(run: Run, outcome: Run["outcome"]): void {
    run.outcome = outcome;
    run.endMs = this.time.nowMs;
    this.#running.delete(run);
    this.watcher.runEnded?.(run);
    this.trace.note(`n${run.member} ${outcome} ${run.id} ${run.epoch}:${run.seq}`);
  }

  accepted(said: Said): void {
    this.watcher.accepted?.(said);
  }

  /** The process of a node is gone: what it was doing has no end. */
  cut(node: SimNode): void {
    this.workers[node.index]?.cut();
    if (this.#nursing?.at === node) this.#nursing = undefined;
    for (const run of this.#running) {
      if (run.member === node.index) this.#running.delete(run);
    }
  }

  knows(id: string, plan: SubscriptionPlan): void {
    if (this.history.known.has(id)) return;
    this.history.known.set(id, {
      id,
      role: plan.role,
      pattern: plan.pattern,
      durable: plan.durable,
      keyed: plan.distribution === "key",
      holds: plan.onDead === "hold",
      filter: plan.filter ? { pick: "me" } : {},
      moves: plan.failover === "move",
      fromStart: plan.from === "earliest",
      births: [],
    });
  }

  subscribed(
    at: SimNode,
    _node: MeshNode,
    plan: SubscriptionPlan,
    subscription: Subscription,
  ): void {
    this.trace.note(
      `${at.host} subscribed ${plan.pattern} in ${subscription.group}, unconfirmed ${subscription.unconfirmed.length}`,
    );
    this.#subscriptions.push({ plan, subscription });
    this.watcher.subscribed?.(at, plan, subscription);
  }

  /** Bounds that hold at every moment. */
  checkBounds(): void {
    for (const { plan, subscription } of this.#subscriptions) {
      const { running, waiting } = subscription.activity;
      // See src/core/credit-grant.ts; a link that is replaced lives beside the new one for a moment.
      const links = this.plan.nodes + 1;
      const credit = plan.prefetch + links * (Math.min(16, plan.prefetch) + 1);
      // At-most-once messages have a credit of their own, which no plan uses up.
      const bound = credit + (this.coverage.get("emitTaken") ?? 0);
      if (waiting + running > bound) {
        this.found(
          "C6",
          `${subscription.pattern}: ${waiting + running} messages held, bound ${bound}`,
        );
      }
    }
  }

  worker(at: SimNode, process: VirtualProcess): void {
    this.workers[at.index]?.begin(at, process);
  }

  // --- the end ------------------------------------------------------------------------------

  /** Whether everything that was said has come to its end. */
  notQuiet(): string | undefined {
    for (const node of this.nodes) {
      if (node.node === undefined || node.state !== "up") return `${node.host} is ${node.state}`;
      if (node.subscribing > 0) return `${node.host} is subscribing`;
      if (this.workers[node.index]?.isBusy === true) return `${node.host} is still publishing`;
      const peers = node.node.peers();
      const linked = peers.filter(({ state }) => state === "alive").length;
      if (linked < this.nodes.length - 1) return `${node.host} is linked with ${linked} peers`;
      const doubted = peers.filter(({ membership }) => membership !== "alive").length;
      if (doubted > 0) return `${node.host} has heard of ${doubted} that they do not live`;
      for (const [id, counts] of Object.entries(node.node.ledger())) {
        if (counts.pending !== 0 && !this.#isUnclaimed(id)) {
          return `${node.host} has ${counts.pending} pending of "${id}": ${JSON.stringify(counts)}`;
        }
      }
      if (node.disk.count("held") > 0) return `${node.host} holds output`;
      if (node.disk.count("delayed") > 0) return `${node.host} has delayed messages`;
      if (node.disk.count("accepted") > 0) return `${node.host} keeps verdicts`;
    }
    return undefined;
  }

  /** How much came to its end: grows as long as anything moves. */
  workDone(): number {
    let done = 0;
    for (const { index, node, disk } of this.nodes) {
      done -= this.workers[index]?.left ?? 0;
      done -= disk.count("held") + disk.count("delayed") + disk.count("accepted");
      for (const { accepted, pending } of Object.values(node?.ledger() ?? {})) {
        done += accepted - pending;
      }
    }
    return done;
  }

  /** A command that no service of this plan handles waits for ever. */
  #isUnclaimed(id: string): boolean {
    return id.startsWith("command") && !this.history.known.has(id);
  }

  /** In the liveness phase: sees to dead letters, as an operator would. */
  nurse(): void {
    const at = this.random.pick(this.nodes);
    const { node } = at;
    if (node === undefined || at.state !== "up" || this.#nursing !== undefined) return;
    const nursing = { at };
    this.#nursing = nursing;
    void this.#tendDeadLetters(node).finally(() => {
      if (this.#nursing === nursing) this.#nursing = undefined;
    });
  }

  async #tendDeadLetters(node: MeshNode): Promise<void> {
    const letters = await node.deadLetters.list({ limit: 1_000 });
    const isFull = this.nodes.some((one) => one.node?.health().reasons.some(isDeadFull));
    for (const { id, node: owner, holds, subscription, epoch, seq } of letters) {
      if (!holds && !isFull && this.#replayed.has(id)) continue;
      this.#replayed.add(id);
      const replays = this.random.chance(holds ? 0.6 : 0.4);
      if (!replays && !holds && !isFull) continue;
      const place = { node: this.indexOf(owner), subscription, epoch, seq };
      const tended: Tended = { how: "tried", ...place, holds, atMs: this.time.nowMs };
      this.history.tended.push(tended);
      try {
        if (replays) await node.deadLetters.replay(id);
        else await node.deadLetters.discard(id);
        tended.how = replays ? "replayed" : "discarded";
        this.cover(replays ? "deadLetterReplayed" : "deadLetterDiscarded");
      } catch (error) {
        this.cover("deadLetterRefused");
        this.trace.note(`dead letter ${id} not tended: ${String(error)}`);
      }
    }
  }

  diagnosis(): string {
    const lines: string[] = [];
    for (const { host, nodeId, node, state, disk } of this.nodes) {
      lines.push(`${host} ${nodeId} ${state}`);
      if (node === undefined) continue;
      lines.push(`  health ${JSON.stringify(node.health())}`);
      lines.push(
        `  peers ${node.peers().map((peer) => `${this.indexOf(peer.nodeId)}:${peer.state}`)}`,
      );
      for (const [id, counts] of Object.entries(node.ledger())) {
        if (counts.pending !== 0) lines.push(`  ${id} ${JSON.stringify(counts)}`);
      }
      const log = disk.rows("log");
      const logBytes = log.reduce((sum, { value }) => sum + value.length, 0);
      lines.push(`  log: ${log.length} blocks, ${logBytes} B`);
      for (const table of ["held", "delayed", "accepted", "dead"] as const) {
        const rows = disk.rows(table);
        if (rows.length === 0) continue;
        lines.push(`  ${table}: ${rows.length} rows`);
        for (const { key, value } of rows.slice(0, 3))
          lines.push(`    ${legible(key)} ${legible(value)}`);
      }
      lines.push(`  counters ${JSON.stringify(node.counters())}`);
    }
    const running = [...this.#running].map((run) => `n${run.member} ${run.subscription} ${run.id}`);
    if (running.length > 0) lines.push(`running ${running.slice(0, 5).join("; ")}`);
    return lines.join("\n");
  }

  #at(index: number, tell: (node: SimNode) => void): void {
    const node = this.nodes[index];
    if (node !== undefined) tell(node);
  }

  /** What is there at the end: ledgers, counters, states. */
  takeStock(): void {
    for (const { index, node, disk } of this.nodes) {
      for (const { value } of disk.rows("state")) {
        const state = JSON.parse(Buffer.from(value).toString()) as Omit<StateOf, "member">;
        this.history.states.push({ member: index, ...state });
      }
      if (node === undefined) continue;
      for (const [subscription, counts] of Object.entries(node.ledger())) {
        this.history.ledgers.push({ node: index, subscription, ...counts });
      }
      const counters = node.counters();
      for (const [name, count] of Object.entries(counters)) this.cover(name, count);
      const died = counters["membership.died"] ?? 0;
      if (this.plan.isCalm && died > 0) {
        this.found("C7", `n${index} heard of ${died} deaths in a calm mesh`);
      }
    }
  }
}

/** A subscription waits until somebody sees to its dead letters. */
const isDeadFull = (reason: string): boolean => reason.includes("dead letters are full");

const legible = (bytes: Uint8Array): string =>
  Buffer.from(bytes.subarray(0, 200))
    .toString("latin1")
    .replace(/[^\x20-\x7e]+/g, ".");

export const stackOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const code = MeshError.is(error) ? ` ${error.code}` : "";
  return `${code} ${(error.stack ?? error.message).split("\n").slice(0, 6).join(" | ")}`;
};
