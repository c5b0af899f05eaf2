/**
 * A machine of a test mesh: a disk, a clock, and one process of a node after the other on them.
 *
 * A life begins with `start` and ends with `stop` of its node, or as SIGKILL or a power cut end it. What a
 * life still had under way when it was killed is rejected: nobody is left to answer.
 */
import { MeshError } from "../errors.ts";
import type { MeshNode } from "../mesh/mesh-node.ts";
import type { NodeOptions } from "../options/node-options.ts";
import type { Logger } from "../ports/logger.ts";
import { DiskObserver } from "./disk-observer.ts";
import type { Facts } from "./facts.ts";
import type { SeededRandom } from "./seeded-random.ts";
import type { TestWorld } from "./test-world.ts";
import { VirtualDisk } from "./virtual-disk.ts";
import { startVirtualNode } from "./virtual-node.ts";
import { type ClockFault, VirtualProcess } from "./virtual-process.ts";

/** One process of a node. */
export class TestLife {
  readonly machine: TestMachine;
  readonly process: VirtualProcess;
  readonly number: number;
  /** What rejects those who wait for it when it is killed. */
  readonly pending = new Set<(error: MeshError) => void>();
  /** Calls that wait for it to do something. */
  underWay = 0;
  /** Ids of subscriptions that take messages now. */
  readonly listening = new Set<string>();
  node: MeshNode | undefined;

  constructor(machine: TestMachine, process: VirtualProcess, number: number) {
    this.machine = machine;
    this.process = process;
    this.number = number;
  }

  get isUp(): boolean {
    return this.node !== undefined && this.process.isAlive;
  }

  /** Why nothing can be asked of it any more. */
  get ended(): MeshError | undefined {
    if (this.process.isAlive) return undefined;
    return new MeshError("STOPPED", `the process of ${this.machine.name} has ended`);
  }
}

export class TestMachine {
  readonly index: number;
  /** As its folder: "orders-1", or the dataDir that was given. */
  readonly name: string;
  readonly host: string;
  readonly disk: VirtualDisk;
  readonly clocks: ClockFault;
  readonly #world: TestWorld;
  readonly #random: SeededRandom;
  readonly #observer: DiskObserver;
  #lives = 0;
  /** The last one that was started. */
  life: TestLife | undefined;
  /** What it was started with last. */
  options: NodeOptions | undefined;

  constructor(world: TestWorld, index: number, name: string) {
    this.#world = world;
    this.index = index;
    this.name = name;
    this.host = `n${index}`;
    this.#random = world.random.fork(`machine ${index}`);
    const facts: Facts = world.facts;
    this.#observer = new DiskObserver(
      facts.history,
      index,
      () => world.time.nowMs,
      (envelope, at) => facts.stored(index, at, envelope),
    );
    this.disk = new VirtualDisk(world.time, this.#random.fork("disk"), {
      fault: (fault) => world.trace.note(`fault ${fault} at ${name}`),
      durable: (writes, how) => this.#observer.durable(writes, how),
    });
    this.clocks = { wallMs: world.startMs, rate: 1 };
  }

  /** Whether a process has its disk. */
  get isTaken(): boolean {
    return this.life?.process.isAlive === true;
  }

  /** Begins a life. @throws MeshError as `createNode` */
  async start(options: NodeOptions): Promise<{ node: MeshNode; life: TestLife }> {
    const world = this.#world;
    const { host, disk, clocks } = this;
    const process = new VirtualProcess(host, world.time, clocks);
    const logger = options.logger ?? this.#logger();
    const { network, discovery, heartbeats } = world;
    const simulated = { host, process, disk, network, discovery, heartbeats };
    const parts = { ...simulated, random: this.#random, logger };
    if (this.isTaken) await startVirtualNode(options, parts); // refused: the disk is locked
    const life = new TestLife(this, process, ++this.#lives);
    this.life = life;
    this.options = options;
    world.network.up(host);
    world.changed(`${this.name} starts, life ${life.number}`);
    this.#observer.opened();
    try {
      const node = await startVirtualNode({ dataDir: this.name, ...options }, parts);
      life.node = node;
      world.facts.nodeIds[this.index] = node.id;
      world.trace.note(`${this.name} is up`);
      return { node, life };
    } catch (error) {
      this.#end(false);
      throw error;
    }
  }

  /** As SIGKILL, or with the power. */
  kill(powerLoss: boolean): void {
    const { life } = this;
    if (life === undefined || !life.process.isAlive) return;
    this.#world.changed(`${this.name} ${powerLoss ? "loses its power" : "is killed"}`);
    this.#end(powerLoss);
    const error = new MeshError("STOPPED", `the process of ${this.name} was killed`);
    for (const reject of life.pending) reject(error);
    life.pending.clear();
  }

  /** Its node has stopped: so does the process. */
  stopped(): void {
    if (this.life?.process.isAlive !== true) return;
    this.#world.changed(`${this.name} has stopped`);
    this.#end(false);
  }

  #end(powerLoss: boolean): void {
    const { life } = this;
    life?.process.kill();
    life?.listening.clear();
    this.disk.crash();
    this.#world.network.died(this.host, powerLoss);
    this.#world.facts.cut(this.index);
  }

  /** Into the trace: a mesh under test does not write to stderr. */
  #logger(): Logger {
    const log = (level: string) => (message: string, fields?: object) =>
      this.#world.trace.remark(`${this.name} ${level} ${message} ${shown(fields)}`);
    return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
  }
}

const shown = (fields: object | undefined): string =>
  Object.entries(fields ?? {})
    .map(([name, value]) => `${name}=${value instanceof Error ? value.message : String(value)}`)
    .join(" ");
