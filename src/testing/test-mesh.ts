/**
 * A mesh to test services in: real nodes on simulated time, network and disks, in one process.
 *
 * Time passes only while the test waits for the mesh, and as fast as the machine can; what happens in it
 * follows from the seed and from what the test does. What is scripted here happens at once, at the present
 * moment.
 */
import { AssertionError } from "node:assert";
import { MeshError } from "../errors.ts";
import type { MeshNode } from "../mesh/mesh-node.ts";
import type { NodeOptions } from "../options/node-options.ts";
import { Calls } from "./calls.ts";
import { check } from "./checkers/check.ts";
import { forbidRealTime } from "./forbidden-real-time.ts";
import type { RecorderHost } from "./handler-recorder.ts";
import type { Violation } from "./history.ts";
import { Invariants } from "./invariants.ts";
import { OutsideWaits } from "./outside-waits.ts";
import { Pacer } from "./pacer.ts";
import { Passage } from "./passage.ts";
import { recordedHistory } from "./recorded-history.ts";
import { isQuiet, stirring } from "./rest.ts";
import { TestDisk } from "./test-disk.ts";
import { type TestLife, TestMachine } from "./test-machine.ts";
import type { ResolvedMeshOptions } from "./test-mesh-options.ts";
import { instrument } from "./test-node.ts";
import { type Sides, TestPaths } from "./test-paths.ts";
import {
  type ContractLike,
  type DataOf,
  type Handling,
  type PublishedMessage,
  TestRecords,
} from "./test-records.ts";
import { createTestWorld, type TestWorld } from "./test-world.ts";

/** One node, or several. */
export type Nodes = MeshNode | readonly MeshNode[];

const UNTIL_MS = 60_000;

export class TestMesh {
  /** Everything that happens follows from it and from the test. */
  readonly seed: number;
  readonly #patienceMs: number;
  readonly #defaults: Partial<NodeOptions>;
  readonly #world: TestWorld;
  readonly #invariants: Invariants;
  readonly #outside: OutsideWaits;
  readonly #pacer: Pacer;
  readonly #calls: Calls;
  readonly #passage: Passage;
  readonly #records: TestRecords;
  readonly #paths: TestPaths;
  readonly #recorder: RecorderHost;
  readonly #allowRealTime: () => void;
  readonly #machines: TestMachine[] = [];
  readonly #lives = new WeakMap<MeshNode, TestLife>();
  #isCalm = true;

  /** @internal Use createTestMesh(). */
  constructor(options: ResolvedMeshOptions) {
    const { seed, startMs, realWaitMs, realTime, patienceMs } = options;
    this.seed = seed;
    this.#defaults = options.nodes;
    this.#patienceMs = patienceMs;
    const world = createTestWorld(options);
    const { time, trace, facts } = world;
    this.#world = world;
    const onHang = (): void => trace.note("a handler waits outside the mesh for too long");
    const outside = new OutsideWaits(realWaitMs, onHang);
    const stirring = (): string | undefined => this.#stirring();
    const pacer = new Pacer(time, {
      hold: () => {
        this.#invariants.look();
        return outside.hold();
      },
      isAtRest: () => stirring() === undefined,
    });
    const why = (): string => stirring() ?? "the mesh is at rest";
    const calls = new Calls({ time, pacer, outside, patienceMs, why });
    this.#invariants = new Invariants(facts, () => time.nowMs);
    this.#outside = outside;
    this.#pacer = pacer;
    this.#calls = calls;
    this.#passage = new Passage({ time, pacer, outside, calls, stirring });
    this.#recorder = { facts, trace, calls, outside, now: () => time.nowMs };
    const serviceOf = (index: number): string => this.#machines[index]?.options?.service ?? "";
    this.#records = new TestRecords(facts, serviceOf);
    this.#paths = new TestPaths(world);
    this.#allowRealTime =
      realTime === "forbid" ? forbidRealTime(() => outside.isInHandler) : () => {};
    trace.note(`seed ${seed}, start ${startMs}`);
  }

  // --- nodes ---------------------------------------------------------------------------------

  /**
   * As `createNode`, to be given to services in its place. Discovery, transports, clock, randomness and
   * signals are the mesh's, whatever the options say; `dataDir` names a simulated disk, by default
   * "<service>-<n>" with the lowest n that no process has.
   */
  readonly createNode = (options: NodeOptions): Promise<MeshNode> => {
    const all = { ...this.#defaults, ...options };
    return this.#start(this.#machineFor(all), all);
  };

  /** Ends its process as SIGKILL does: nothing of it runs again, what it waited for is rejected. */
  kill(node: MeshNode): void {
    this.#kill(this.#lifeOf(node).machine, false);
  }

  /** As `kill`, and nobody answers for its machine until it is started again. */
  powerLoss(node: MeshNode): void {
    this.#kill(this.#lifeOf(node).machine, true);
  }

  /** A new process on the disk of this node, with the same options, killed before if it still runs. */
  async restart(node: MeshNode): Promise<MeshNode> {
    const life = this.#lifeOf(node);
    const { machine } = life;
    if (life.process.isAlive) this.kill(node);
    return this.#start(machine, machine.options as NodeOptions);
  }

  /** Stops its process as SIGSTOP does: what falls due waits. */
  pause(node: MeshNode): void {
    this.#lifeOf(node, "is paused").process.pause();
  }

  resume(node: MeshNode): void {
    this.#lifeOf(node, "goes on").process.resume();
  }

  /** Its event loop stands, as in a long computation; its heartbeat answers for it. */
  block(node: MeshNode): void {
    this.#lifeOf(node, "is blocked").process.block();
  }

  unblock(node: MeshNode): void {
    this.#lifeOf(node, "turns again").process.unblock();
  }

  /** Its wall clock jumps. */
  shiftClock(node: MeshNode, byMs: number): void {
    this.#lifeOf(node, `has its clock jump by ${byMs} ms`).machine.clocks.wallMs += byMs;
  }

  /** Its disk, also of a node that was killed. */
  disk(node: MeshNode): TestDisk {
    return new TestDisk(this.#lifeOf(node).machine.disk);
  }

  // --- network -------------------------------------------------------------------------------

  /**
   * Nothing passes between the sides; `to` is by default everybody else. `oneWay`: what `to` says still
   * arrives. The result heals it: what was held passes.
   */
  partition(from: Nodes, to?: Nodes, options: { readonly oneWay?: boolean } = {}): () => void {
    this.#isCalm = false;
    return this.#paths.cut(this.#sides(from, to), options.oneWay === true);
  }

  /** Frames between them take `meanMs` on average and at least `minMs`. The result undoes that. */
  delay(from: Nodes, to: Nodes, meanMs: number, minMs = meanMs / 2): () => void {
    return this.#paths.delay(this.#sides(from, to), meanMs, minMs);
  }

  /** A frame between them is lost with this probability; its connection breaks. The result undoes that. */
  loss(from: Nodes, to: Nodes, probability: number): () => void {
    this.#isCalm = false;
    return this.#paths.loss(this.#sides(from, to), probability);
  }

  // --- time ----------------------------------------------------------------------------------

  /** Simulated milliseconds since the start. */
  get nowMs(): number {
    return this.#world.time.nowMs;
  }

  /** What an exact wall clock shows now, milliseconds since 1970. */
  get wallMs(): number {
    return Math.floor(this.#world.startMs + this.#world.time.nowMs);
  }

  /** So much time passes. */
  advance(ms: number): Promise<void> {
    return this.#passage.advance(ms);
  }

  /** Waits for simulated time to pass: what a handler under test does instead of setTimeout. */
  sleep(ms: number): Promise<void> {
    return this.#passage.sleep(ms);
  }

  /** Time passes until the condition holds. @throws MeshError TIMEOUT after `withinMs` (default 60,000) */
  until(condition: () => boolean, options: { readonly withinMs?: number } = {}): Promise<void> {
    return this.#passage.until(condition, options.withinMs ?? UNTIL_MS);
  }

  /**
   * Time passes until nothing more happens by itself: everything said is settled, but for what waits for
   * somebody who is away. @throws MeshError TIMEOUT after `withinMs` (default: patienceMs), with what is not
   */
  settle(options: { readonly withinMs?: number } = {}): Promise<void> {
    return this.#passage.settle(options.withinMs ?? this.#patienceMs);
  }

  /** Time passes until the promise has settled, whatever settles it. The result is the promise's. */
  run<T>(
    what: Promise<T> | (() => Promise<T>),
    options: { readonly withinMs?: number } = {},
  ): Promise<T> {
    const promise = typeof what === "function" ? what() : what;
    return this.#calls.wait("what was run", promise, options);
  }

  // --- what happened -------------------------------------------------------------------------

  /** Messages that nodes accepted, handlers' output included, in the order in which they were synced. */
  published<C extends ContractLike>(contract: C): PublishedMessage<DataOf<C>>[] {
    return this.#records.published(contract);
  }

  /** Calls of the group's handlers that ended well, in the order in which they began. */
  handled<C extends ContractLike>(group: string, contract: C): Handling<DataOf<C>>[] {
    return this.attempts(group, contract).filter(({ outcome }) => outcome === "ok");
  }

  /** All calls of the group's handlers, in the order in which they began. */
  attempts<C extends ContractLike>(group: string, contract: C): Handling<DataOf<C>>[] {
    return this.#records.handlings(group, contract);
  }

  /** Something that must hold at every moment, looked at between any two events; `check` reports it. */
  always(name: string, holds: () => boolean): void {
    this.#invariants.add(name, holds);
  }

  /** Promises of meshbus, and of `always`, that were broken; more of them can be told when everything is settled. */
  violations(): Violation[] {
    const { facts, network } = this.#world;
    const { known, found } = facts.history;
    const ledgers = this.#machines.flatMap(({ index, life }) =>
      Object.entries(life?.node?.ledger() ?? {}).map(([subscription, counts]) => ({
        node: index,
        subscription,
        ...counts,
      })),
    );
    const quiet = isQuiet(this.#machines, network, (subscription) => known.has(subscription));
    const history = recordedHistory(facts, { isQuiet: quiet, isCalm: this.#isCalm, ledgers });
    return [...found, ...check(history)];
  }

  /** @throws AssertionError with the promises that were broken */
  check(): void {
    const violations = this.violations();
    if (violations.length === 0) return;
    const lines = violations.map(({ check: name, message }) => `${name}: ${message}`);
    throw new AssertionError({ message: [`seed ${this.seed} broke`, ...lines].join("\n  ") });
  }

  /** Tells two runs apart: the same seed and the same test give the same. */
  get traceHash(): string {
    return this.#world.trace.hash;
  }

  /** A line for everything that happened, if the mesh was created with `trace: true`. */
  get trace(): readonly string[] {
    return this.#world.trace.lines ?? [];
  }

  // --- the end -------------------------------------------------------------------------------

  /** Ends all processes as they are and gives back what the mesh replaced. Idempotent. */
  async stop(): Promise<void> {
    this.#allowRealTime();
    for (const machine of this.#machines) this.#kill(machine, false);
    await this.#pacer.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  // --- inside --------------------------------------------------------------------------------

  #machineFor(options: NodeOptions): TestMachine {
    const { dataDir, service } = options;
    const add = (name: string): TestMachine => {
      const machine = new TestMachine(this.#world, this.#machines.length, name);
      this.#machines.push(machine);
      return machine;
    };
    if (dataDir === ":memory:") return add(`${service}-memory-${this.#machines.length}`);
    if (dataDir !== undefined)
      return this.#machines.find(({ name }) => name === dataDir) ?? add(dataDir);
    for (let n = 1; ; n++) {
      const name = `${service}-${n}`;
      const machine = this.#machines.find((one) => one.name === name);
      if (machine === undefined) return add(name);
      if (!machine.isTaken) return machine;
    }
  }

  #start(machine: TestMachine, options: NodeOptions): Promise<MeshNode> {
    const started = machine.start(options).then(({ node, life }) => {
      this.#lives.set(node, life);
      instrument(this.#recorder, life, node);
      return node;
    });
    return this.#calls.wait(`the start of ${machine.name}`, started);
  }

  #kill(machine: TestMachine, powerLoss: boolean): void {
    this.#isCalm = false;
    machine.kill(powerLoss);
    this.#outside.ended();
  }

  /** `fate`: what becomes of it now. */
  #lifeOf(node: MeshNode, fate?: string): TestLife {
    const life = this.#lives.get(node);
    if (life === undefined) {
      throw new MeshError("INVALID_OPTIONS", "the node is not one of this test mesh");
    }
    if (fate !== undefined) this.#changed(`${life.machine.name} ${fate}`);
    return life;
  }

  #sides(from: Nodes, to: Nodes | undefined): Sides {
    const hostsOf = (nodes: Nodes): string[] =>
      [nodes].flat().map((node) => this.#lifeOf(node as MeshNode).machine.host);
    const there = hostsOf(from);
    const others = this.#machines.map(({ host }) => host).filter((host) => !there.includes(host));
    return { from: there, to: to === undefined ? others : hostsOf(to) };
  }

  #stirring(): string | undefined {
    return stirring(this.#machines, this.#world.network);
  }

  #changed(what: string): void {
    this.#isCalm = false;
    this.#world.changed(what);
  }
}
