/** One node of a simulated mesh through all its lives: starts, works, dies, comes back on its disk. */
import type { HandlerContext } from "../../src/mesh/handler-context.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import type { SubscribeOptions } from "../../src/options/subscribe-options.ts";
import type { Logger } from "../../src/ports/logger.ts";
import { subscriptionId } from "../../src/runtime/subscription-id.ts";
import { DiskObserver } from "../../src/testing/disk-observer.ts";
import type { SeededRandom } from "../../src/testing/seeded-random.ts";
import type { VirtualDisk } from "../../src/testing/virtual-disk.ts";
import { startVirtualNode } from "../../src/testing/virtual-node.ts";
import { type ClockFault, VirtualProcess } from "../../src/testing/virtual-process.ts";
import { handle } from "./handlers.ts";
import type { SubscriptionPlan, Version } from "./plan.ts";
import type { World } from "./world.ts";

export type NodeState = "down" | "starting" | "up" | "stopping";

const RESTART_AFTER_FAILURE_MS = 300;

export class SimNode {
  readonly index: number;
  readonly host: string;
  readonly service: string;
  readonly disk: VirtualDisk;
  readonly observer: DiskObserver;
  readonly clocks: ClockFault;
  readonly random: SeededRandom;
  readonly #world: World;
  #isRetired = false;
  state: NodeState = "down";
  process: VirtualProcess | undefined;
  node: MeshNode | undefined;
  nodeId = "";
  life = 0;
  /** Calls of subscribe that have not ended. */
  subscribing = 0;
  /** Of the program it runs from its next life on. */
  version: Version = "old";

  constructor(
    world: World,
    index: number,
    parts: {
      service: string;
      disk: (observer: DiskObserver) => VirtualDisk;
      clocks: ClockFault;
      random: SeededRandom;
    },
  ) {
    this.#world = world;
    this.index = index;
    this.host = `n${index}`;
    this.service = parts.service;
    const now = () => world.time.nowMs;
    this.observer = new DiskObserver(world.history, index, now, ({ payload }) => idIn(payload));
    this.disk = parts.disk(this.observer);
    this.clocks = parts.clocks;
    this.random = parts.random;
  }

  get isUp(): boolean {
    return this.state === "up";
  }

  /** Begins a new life. */
  start(): void {
    if (this.state !== "down" || this.#isRetired) return;
    const world = this.#world;
    this.state = "starting";
    this.life++;
    const process = new VirtualProcess(this.host, world.time, this.clocks);
    this.process = process;
    world.network.up(this.host);
    world.trace.note(`${this.host} starts, life ${this.life}`);
    world.history.changesMs.push(world.time.nowMs);
    this.observer.opened();
    this.subscribing = 0;
    const { plan } = world;
    const options = {
      service: this.service,
      mesh: "sim",
      heartbeatMs: plan.heartbeatMs,
      leaseMs: plan.leaseMs,
      silenceMs: 3 * plan.leaseMs,
      stalledMaxMs: plan.stalls.stalledMaxMs,
      membership: plan.membership,
      journal: {
        bytesMax: plan.smallJournal ? 4 * 2 ** 20 : 2 ** 30,
        ...(plan.forgetMs === undefined ? {} : { forgetMs: plan.forgetMs }),
      },
      limits: {
        heldMax: plan.heldMax,
        inFlightMax: plan.inFlightMax,
        lookAheadMax: plan.lookAheadMax,
        payloadBytesMax: 65_536,
      },
    };
    const { host, disk, random } = this;
    const { network, discovery } = world;
    const hasHeartbeat = !world.stallRandom.chance(plan.stalls.heartbeatless);
    const heartbeats = hasHeartbeat ? world.heartbeats : undefined;
    const logger = this.#logger();
    const { pieces } = plan;
    const parts = { host, process, disk, network, discovery, heartbeats, random, logger, pieces };
    startVirtualNode(options, parts).then(
      (node) => this.#started(node, process),
      (error: unknown) => {
        world.trace.note(`${this.host} cannot start: ${String(error)}`);
        world.cover("startFailed");
        process.kill();
        this.disk.crash();
        this.state = "down";
        world.time.after(RESTART_AFTER_FAILURE_MS, () => this.start());
      },
    );
  }

  /** SIGKILL, or the power goes. */
  crash(powerLoss: boolean): void {
    if (this.state === "down" || this.process === undefined) return;
    const world = this.#world;
    world.trace.note(`${this.host} dies${powerLoss ? " with its power" : ""}`);
    world.history.changesMs.push(world.time.nowMs);
    this.process.kill();
    this.disk.crash();
    world.network.died(this.host, powerLoss);
    world.cut(this);
    this.state = "down";
    this.node = undefined;
  }

  /** It dies and stays away. */
  retire(): void {
    this.#isRetired = true;
    this.crash(true);
  }

  /** Stops in order. */
  stop(): void {
    const { node, process } = this;
    if (this.state !== "up" || node === undefined || process === undefined) return;
    const world = this.#world;
    this.state = "stopping";
    world.trace.note(`${this.host} stops`);
    world.history.changesMs.push(world.time.nowMs);
    node.stop({ drainMs: this.random.pick([0, 50, 2_000]) }).then(
      () => {
        world.trace.note(`${this.host} has stopped`);
        if (!process.isAlive) return;
        process.kill();
        world.network.died(this.host, false);
        world.cut(this);
        this.state = "down";
        this.node = undefined;
      },
      (error: unknown) => world.found("stop", `${this.host}: stop() failed: ${String(error)}`),
    );
  }

  #started(node: MeshNode, process: VirtualProcess): void {
    const world = this.#world;
    this.state = "up";
    this.node = node;
    this.nodeId = node.id;
    const { version } = this;
    world.trace.note(`${this.host} is up as ${node.id}`);
    for (const plan of world.plan.subscriptions) {
      if (plan.service !== this.service && plan.group !== "shared") continue;
      if (plan.version !== undefined && plan.version !== version) continue;
      const lateMs = world.isHealing ? 0 : plan.lateMs * this.random.fraction();
      this.subscribing++;
      if (lateMs === 0) void this.#subscribe(node, plan);
      else process.post(lateMs, () => void this.#subscribe(node, plan));
    }
    void node.reply("q.echo", (data) => data);
    if (world.plan.isCalm) void this.#watch(node);
    world.worker(this, process);
    world.watcher.up?.(this);
  }

  /** After its subscription was stopped. */
  subscribeAgain(plan: SubscriptionPlan): void {
    const { node } = this;
    if (node === undefined || this.state !== "up") return;
    this.subscribing++;
    void this.#subscribe(node, plan);
  }

  /** Without faults but blocked event loops nobody may count as dead (G7). */
  async #watch(node: MeshNode): Promise<void> {
    const world = this.#world;
    for await (const change of node.status()) {
      if (change.type !== "peer-dead") continue;
      world.found(
        "C7",
        `${this.host} takes n${world.indexOf(change.nodeId)} for dead in a calm mesh`,
      );
    }
  }

  async #subscribe(node: MeshNode, plan: SubscriptionPlan): Promise<void> {
    const world = this.#world;
    const group = plan.group === false ? `${this.service}~${node.id}` : plan.group;
    const id = subscriptionId({ role: plan.role, group, pattern: plan.pattern });
    world.knows(id, plan);
    const options: SubscribeOptions = {
      group: plan.group,
      distribution: plan.distribution,
      failover: plan.failover,
      onDead: plan.onDead,
      concurrency: plan.concurrency,
      prefetch: plan.prefetch,
      timeoutMs: plan.timeoutMs,
      retry: { attempts: plan.attempts, baseMs: plan.retryBaseMs, capMs: plan.retryCapMs },
      breaker: plan.breaker,
      ...(plan.rate === undefined ? {} : { rate: plan.rate }),
      ...(plan.role === "events"
        ? {
            durable: plan.durable,
            from: plan.from,
            ...(plan.filter ? { filter: { headers: { pick: "me" } } } : {}),
          }
        : {}),
    };
    const run = (data: unknown, ctx: HandlerContext): unknown =>
      handle(world, this, plan, id, data as { id: string }, ctx);
    try {
      const subscription =
        plan.role === "events"
          ? await node.subscribe(plan.pattern, run, options)
          : await node.handle(plan.pattern, run, options);
      this.subscribing--;
      world.subscribed(this, node, plan, subscription);
    } catch (error) {
      this.subscribing--;
      if (this.node === node && this.state === "up") {
        world.found("subscribe", `${this.host}: ${id}: ${String(error)}`);
      }
    }
  }

  #logger(): Logger {
    const world = this.#world;
    const log = (level: string, message: string, fields: unknown): void => {
      if (world.trace.lines !== undefined) {
        world.trace.remark(`${this.host} ${level} ${message} ${show(fields)}`);
      }
      if (level === "error" && /threw|could not be handled/.test(message)) {
        world.found("threw", `${this.host}: ${message} ${show(fields)}`);
      }
    };
    return {
      debug: (message, fields) => log("debug", message, fields),
      info: (message, fields) => log("info", message, fields),
      warn: (message, fields) => log("warn", message, fields),
      error: (message, fields) => log("error", message, fields),
    };
  }
}

/** The id is the first field of every payload. */
const idIn = (payload: Uint8Array): string => {
  const head = Buffer.from(payload.subarray(0, 200)).toString("latin1");
  return /^\{"id":"([^"]*)"/.exec(head)?.[1] ?? "";
};

const show = (fields: unknown): string => {
  if (fields === undefined) return "";
  return Object.entries(fields as Record<string, unknown>)
    .map(([name, value]) => {
      const { error } = { error: value };
      return `${name}=${error instanceof Error ? (error.stack ?? error.message).split("\n").slice(0, 3).join(" | ") : JSON.stringify(value)}`;
    })
    .join(" ");
};
