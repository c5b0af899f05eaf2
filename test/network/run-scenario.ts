/**
 * One scenario: a mesh on three hosts, messages that flow, what is done to the network, its end, and the verdict
 * of the same judge as of `npm run chaos`.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ChaosLog } from "../chaos/chaos-log.ts";
import { ChaosProcess } from "../chaos/chaos-process.ts";
import { nowMs } from "../chaos/chaos-record.ts";
import { drain } from "../chaos/drain.ts";
import { judge, type Verdict } from "../chaos/judge.ts";
import { knowsSubscriptions } from "../chaos/knows-subscriptions.ts";
import type { Place, ProcessSpec } from "../chaos/process-spec.ts";
import { Links, type Pair } from "./links.ts";
import { HOSTS, type Host, NetworkBed } from "./network-bed.ts";
import type { Scenario } from "./scenarios.ts";

export type RunSettings = {
  /** How long the fault lasts, or messages flow where there is none. */
  readonly seconds: number;
  readonly seed: number;
  /** Messages a second, all sources together. */
  readonly perSecond: number;
  /** Nodes meet so often; the median counts. */
  readonly rounds: number;
  /** Whether times are judged: not on a machine that has other work. */
  readonly floors: boolean;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
};

export type ScenarioOutcome = Pick<Verdict["figures"], "accepted" | "handled" | "lost"> &
  Pick<Verdict["figures"], "outOfOrder" | "ownerOverlaps" | "unstableOverlapMs" | "deadLetters"> & {
    readonly doubled: number;
    readonly violations: Verdict["violations"];
    /** From the start of the last node until all hosts are linked, of each round. */
    readonly meetMs: readonly number[];
    readonly healMs: number | undefined;
    /** What did not hold, beside violations. */
    readonly failures: readonly string[];
    /** Where the history is, when it is kept. */
    readonly historyPath: string | undefined;
  };

const KEYS = 40;
/** Of the worker on host a, where it is the seed. */
const SEED_PORT = 7400;
const LOOK_MS = 10;
const MEET_MS_MAX = 30_000;
const HEAL_MS_MAX = 60_000;
const NOTICE_MS_MAX = 30_000;
/** Messages flow so long before the fault and after its end. */
const CALM_MS = 2_000;

export const runScenario = async (
  scenario: Scenario,
  settings: RunSettings,
): Promise<ScenarioOutcome> => {
  const folder = await mkdtemp(join(tmpdir(), "meshbus-net-"));
  let bed: NetworkBed | undefined;
  let run: Run | undefined;
  /** Whoever waits for a process then waits no longer. */
  const interrupt = (): void => void run?.end();
  try {
    bed = await NetworkBed.create(scenario.air, settings.seed);
    run = new Run(scenario, settings, bed, folder);
    settings.signal.addEventListener("abort", interrupt);
    return await run.conduct();
  } finally {
    settings.signal.removeEventListener("abort", interrupt);
    await run?.end();
    await bed?.end();
    await rm(folder, { recursive: true, force: true });
  }
};

class Run {
  readonly #scenario: Scenario;
  readonly #settings: RunSettings;
  readonly #bed: NetworkBed;
  readonly #folder: string;
  readonly #log: ChaosLog;
  readonly #links = new Links();
  readonly #hosts = new Map<string, Host>();
  readonly #processes = new Map<string, ChaosProcess>();
  readonly #failures: string[] = [];

  constructor(scenario: Scenario, settings: RunSettings, bed: NetworkBed, folder: string) {
    this.#scenario = scenario;
    this.#settings = settings;
    this.#bed = bed;
    this.#folder = folder;
    this.#log = new ChaosLog(join(folder, "history.jsonl"));
    const mesh = `net-${randomBytes(4).toString("hex")}`;
    const add = (role: ProcessSpec["role"], host: Host): void => {
      const name = `${role}-${host}`;
      const places = { dataDir: join(folder, name), storePath: join(folder, "store.sock") };
      const { perSecond, seed } = settings;
      const work = { perSecond: perSecond / HOSTS.length, keys: KEYS, seed };
      const spec = { role, name, mesh, ...places, ...work, place: this.#placeOf(role, host) };
      this.#hosts.set(name, host);
      this.#processes.set(name, new ChaosProcess(spec, this.#log));
    };
    // On each host a source and a worker; on the first one the witness as well.
    add("witness", "a");
    for (const host of HOSTS) add("worker", host);
    for (const host of HOSTS) add("source", host);
  }

  async conduct(): Promise<ScenarioOutcome> {
    const { seconds } = this.#settings;
    const { multicast, meetFloorMs, cuts, moves, unstable } = this.#scenario;
    if (!multicast) await this.#bed.cutMulticast();
    await this.#start(this.#of("witness")); // it has the store that workers write to
    const meetMs = meetFloorMs === undefined ? [] : await this.#meet(meetFloorMs);
    await this.#begin();
    for (const one of this.#on(unstable)) one.network("apart");
    await this.#flow(CALM_MS);
    let healMs: number | undefined;
    if (cuts.length > 0) healMs = await this.#part();
    else if (moves !== undefined) healMs = await this.#move(moves);
    else await this.#flow(seconds * 1_000);
    await this.#flow(CALM_MS);
    for (const one of this.#on(unstable)) one.network("together");
    const verdict = await this.#verdict();
    const { accepted, handled, lost, duplicateEffects, outOfOrder } = verdict.figures;
    const { ownerOverlaps, unstableOverlapMs, deadLetters } = verdict.figures;
    const isClean = this.#failures.length === 0 && verdict.violations.length === 0;
    return {
      ...{ accepted, handled, lost, doubled: duplicateEffects, outOfOrder, ownerOverlaps },
      ...{ unstableOverlapMs, deadLetters, meetMs, healMs },
      violations: verdict.violations,
      failures: this.#failures,
      historyPath: isClean ? undefined : await this.#keep(),
    };
  }

  async end(): Promise<void> {
    await Promise.all([...this.#processes.values()].map((one) => one.end()));
  }

  // --- what happens --------------------------------------------------------------------------

  /** New nodes on all hosts start at once, again and again: what an earlier one knew is gone with its folder. */
  async #meet(floorMs: number): Promise<number[]> {
    const workers = this.#of("worker");
    const names = workers.map(({ name }) => name);
    const times: number[] = [];
    for (let round = 0; round < this.#settings.rounds && this.#canGoOn(); round++) {
      await Promise.all(workers.map((one) => one.kill()));
      for (const name of names)
        await rm(join(this.#folder, name), { recursive: true, force: true });
      await this.#start(workers);
      const linkedMs = await this.#linked(pairsOf(names), 0, MEET_MS_MAX);
      if (linkedMs !== undefined) times.push(linkedMs - this.#links.lastBeganMs(names));
    }
    this.#settings.say(`met after ${times.map(Math.round).join(", ")} ms`);
    if (times.length > 0) this.#judgeFloor("met", medianOf(times), floorMs);
    return times.map(Math.round);
  }

  async #begin(): Promise<void> {
    await this.#start(this.#of("worker").filter(({ state }) => state === "down"));
    const sources = this.#of("source");
    await this.#start(sources);
    for (const one of sources) await knowsSubscriptions(one, () => this.#canGoOn());
    for (const one of sources) one.tell({ op: "go" });
  }

  async #start(processes: readonly ChaosProcess[]): Promise<void> {
    if (this.#canGoOn()) await Promise.all(processes.map((one) => one.start()));
  }

  async #part(): Promise<number | undefined> {
    const { cuts } = this.#scenario;
    const parted = this.#pairsBetween((one, other) => {
      return cuts.some(([from, to]) => isBoth([one, other], [from, to]));
    });
    const mend = await this.#bed.cut(cuts);
    await this.#flow(this.#settings.seconds * 1_000);
    await this.#noticed(parted);
    const beganMs = nowMs();
    await mend();
    return this.#healed(parted, beganMs, 0);
  }

  /** Links to an address that is gone say nothing for a while before they end. */
  async #move(host: Host): Promise<number | undefined> {
    const parted = this.#pairsBetween((one, other) => (one === host) !== (other === host));
    const beganMs = nowMs();
    await this.#bed.move(host);
    const healMs = await this.#healed(parted, beganMs, beganMs);
    await this.#flow(this.#settings.seconds * 1_000 - (nowMs() - beganMs));
    return healMs;
  }

  /** @param afterMs links that were up before count for nothing */
  async #healed(
    pairs: readonly Pair[],
    beganMs: number,
    afterMs: number,
  ): Promise<number | undefined> {
    const { healFloorMs = HEAL_MS_MAX } = this.#scenario;
    const linkedMs = await this.#linked(pairs, afterMs, HEAL_MS_MAX);
    if (linkedMs === undefined) return undefined;
    const healMs = Math.max(0, Math.round(linkedMs - beganMs));
    this.#settings.say(`whole again after ${healMs} ms`);
    this.#judgeFloor("whole again", healMs, healFloorMs);
    return healMs;
  }

  #judgeFloor(what: string, ms: number, floorMs: number): void {
    if (!this.#settings.floors || ms <= floorMs) return;
    this.#failures.push(`${what} after ${ms} ms, at most ${floorMs} allowed`);
  }

  async #verdict(): Promise<Verdict> {
    for (const one of this.#of("source")) one.tell({ op: "halt" });
    const processes = [...this.#processes.values()];
    const isWhole = this.#canGoOn(); // what stopped it is said already
    const stuck = isWhole ? await drain(this.#log, processes, this.#settings.signal) : undefined;
    if (stuck !== undefined) this.#failures.push(stuck);
    const isQuiet = isWhole && stuck === undefined;
    const dead = isQuiet ? await this.#of("witness")[0]?.dead() : undefined;
    await this.end();
    this.#log.end();
    return judge(this.#log.records, dead?.letters ?? [], isQuiet);
  }

  // --- waiting -------------------------------------------------------------------------------

  /** Messages flow: how long is the scenario's own, and no wait for something to happen. */
  async #flow(forMs: number): Promise<void> {
    const untilMs = nowMs() + forMs;
    while (nowMs() < untilMs && this.#canGoOn()) await sleep(LOOK_MS);
  }

  /** A fault that nobody has noticed yet shows nothing: it lasts until no link over it is left. */
  async #noticed(parted: readonly Pair[]): Promise<void> {
    const deadlineMs = nowMs() + NOTICE_MS_MAX;
    while (this.#canGoOn()) {
      this.#links.update(this.#log.records);
      const still = parted.length - this.#links.missing(parted).length;
      if (still === 0) return;
      if (nowMs() > deadlineMs) {
        this.#failures.push(`${still} pairs are linked over a network that is cut`);
        return;
      }
      await sleep(LOOK_MS);
    }
  }

  /** Since when all these pairs are linked; undefined when they are not in time, which is a failure. */
  async #linked(
    pairs: readonly Pair[],
    afterMs: number,
    patienceMs: number,
  ): Promise<number | undefined> {
    const deadlineMs = nowMs() + patienceMs;
    while (this.#canGoOn()) {
      this.#links.update(this.#log.records);
      const late = pairs.filter((pair) => {
        return (this.#links.linkedSinceMs([pair]) ?? Number.NEGATIVE_INFINITY) < afterMs;
      });
      if (late.length === 0) return this.#links.linkedSinceMs(pairs);
      if (nowMs() > deadlineMs) {
        const who = late.map((pair) => pair.join(" and ")).join(", ");
        this.#failures.push(`not linked after ${patienceMs / 1_000} s: ${who}`);
        return undefined;
      }
      await sleep(LOOK_MS);
    }
    return undefined;
  }

  /** False as well once a process has ended by itself, or the run was interrupted; that is a failure then. */
  #canGoOn(): boolean {
    const crashed = [...this.#processes.values()].find(({ crash }) => crash !== undefined);
    const why = this.#settings.signal.aborted ? "interrupted" : crashed?.crash;
    if (why === undefined) return true;
    const what = crashed === undefined ? why : `${why}\n${crashed.errors}`;
    if (!this.#failures.includes(what)) this.#failures.push(what);
    return false;
  }

  // --- who is where --------------------------------------------------------------------------

  #placeOf(role: ProcessSpec["role"], host: Host): Place {
    const launcher = this.#bed.on(host);
    if (this.#scenario.multicast) return { launcher, port: 0, seeds: [] };
    const isSeed = role === "worker" && host === "a";
    const seeds = [`${this.#bed.addressOf("a")}:${SEED_PORT}`];
    return { launcher, port: isSeed ? SEED_PORT : 0, seeds };
  }

  #of(role: ProcessSpec["role"]): ChaosProcess[] {
    return [...this.#processes.values()].filter((one) => one.role === role);
  }

  #on(hosts: readonly Host[]): ChaosProcess[] {
    return [...this.#processes.values()].filter(({ name }) => hosts.includes(this.#hostOf(name)));
  }

  #pairsBetween(areParted: (one: Host, other: Host) => boolean): Pair[] {
    return pairsOf([...this.#processes.keys()]).filter(([one, other]) => {
      return areParted(this.#hostOf(one), this.#hostOf(other));
    });
  }

  #hostOf(name: string): Host {
    return this.#hosts.get(name) as Host;
  }

  async #keep(): Promise<string> {
    const { name } = this.#scenario;
    const kept = join(tmpdir(), `meshbus-net-${name}-${this.#settings.seed}-${Date.now()}.jsonl`);
    await rename(this.#log.path, kept);
    return kept;
  }
}

const pairsOf = (names: readonly string[]): Pair[] =>
  names.flatMap((one, at) => names.slice(at + 1).map((other): Pair => [one, other]));

const isBoth = (pair: readonly [Host, Host], hosts: readonly [Host, Host]): boolean =>
  pair.join() === hosts.join() || pair.join() === [...hosts].reverse().join();

const medianOf = (times: readonly number[]): number =>
  Math.round([...times].sort((a, b) => a - b)[times.length >> 1] ?? Number.NaN);

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
