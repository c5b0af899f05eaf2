/**
 * One chaos run: starts the mesh, lets messages flow, does to its processes what the plan says, heals,
 * drains, and judges the history.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ChaosLog } from "./chaos-log.ts";
import { type ChaosPlan, chaosPlanOf, type Fault } from "./chaos-plan.ts";
import { ChaosProcess } from "./chaos-process.ts";
import { drain } from "./drain.ts";
import { judge, type Verdict } from "./judge.ts";
import { knowsSubscriptions } from "./knows-subscriptions.ts";
import type { ProcessSpec } from "./process-spec.ts";

export type ChaosSettings = {
  readonly seconds: number;
  readonly seed: number;
  readonly perSecond: number;
  readonly keys: number;
  readonly signal: AbortSignal;
  /** The history stays, also when nothing is wrong. */
  readonly keep: boolean;
  readonly say: (line: string) => void;
};

export type ChaosOutcome = Verdict & {
  /** Why the run could not be judged to its end. */
  readonly failure: string | undefined;
  /** Where the history is, when it is kept. */
  readonly historyPath: string | undefined;
  readonly seconds: number;
};

export const runChaos = async (settings: ChaosSettings): Promise<ChaosOutcome> => {
  const folder = await mkdtemp(join(tmpdir(), "meshbus-chaos-"));
  const run = new Run(settings, folder);
  try {
    return await run.conduct();
  } finally {
    await run.end();
    await rm(folder, { recursive: true, force: true });
  }
};

class Run {
  readonly #settings: ChaosSettings;
  readonly #plan: ChaosPlan;
  readonly #log: ChaosLog;
  readonly #witness: ChaosProcess;
  readonly #others = new Map<string, ChaosProcess>();
  readonly #startMs = performance.now();

  constructor(settings: ChaosSettings, folder: string) {
    const { seed, seconds, perSecond, keys } = settings;
    this.#settings = settings;
    this.#plan = chaosPlanOf(seed, seconds);
    this.#log = new ChaosLog(join(folder, "history.jsonl"));
    const mesh = `chaos-${randomBytes(4).toString("hex")}`;
    const { sources, workers, guest } = this.#plan;
    const processOf = (role: ProcessSpec["role"], name: string): ChaosProcess => {
      const places = { dataDir: join(folder, name), storePath: join(folder, "store.sock") };
      const work = { perSecond: perSecond / sources.length, keys, seed };
      return new ChaosProcess({ role, name, mesh, ...places, ...work }, this.#log);
    };
    this.#witness = processOf("witness", "witness");
    for (const name of [...workers, guest]) this.#others.set(name, processOf("worker", name));
    for (const name of sources) this.#others.set(name, processOf("source", name));
  }

  async conduct(): Promise<ChaosOutcome> {
    const { seconds } = this.#settings;
    await this.#begin();
    this.#say("all processes are up: messages flow");
    let failure = await this.#storm(seconds * 1_000);
    await this.#heal();
    this.#say("healed: draining");
    failure ??= await drain(this.#log, this.#all(), this.#settings.signal);
    const dead = failure === undefined ? await this.#witness.dead() : undefined;
    failure ??= this.#crash();
    await this.end();
    this.#log.end();
    const verdict = judge(this.#log.records, dead?.letters ?? [], failure === undefined);
    const isClean = failure === undefined && verdict.violations.length === 0;
    return {
      ...verdict,
      failure,
      historyPath: isClean && !this.#settings.keep ? undefined : await this.#keep(),
      seconds: Math.round(performance.now() - this.#startMs) / 1_000,
    };
  }

  async end(): Promise<void> {
    await Promise.all(this.#all().map((one) => one.end()));
  }

  #all(): ChaosProcess[] {
    return [this.#witness, ...this.#others.values()];
  }

  async #begin(): Promise<void> {
    const { sources, workers } = this.#plan;
    await this.#witness.start();
    await Promise.all(workers.map((name) => this.#of(name).start()));
    await Promise.all(sources.map((name) => this.#of(name).start()));
    for (const name of sources) await knowsSubscriptions(this.#of(name), () => this.#canGoOn());
    for (const name of sources) this.#of(name).tell({ op: "go" });
  }

  /** Does what the plan says, until the time is over. */
  async #storm(durationMs: number): Promise<string | undefined> {
    const { signal } = this.#settings;
    const beganMs = performance.now();
    const underWay = new Set<Promise<void>>();
    for (const fault of [...this.#plan.faults].sort((a, b) => a.atMs - b.atMs)) {
      while (performance.now() - beganMs < fault.atMs && this.#canGoOn()) await sleep(5);
      if (!this.#canGoOn()) break;
      const inflicted = this.#inflict(fault).finally(() => underWay.delete(inflicted));
      underWay.add(inflicted);
    }
    while (performance.now() - beganMs < durationMs && this.#canGoOn()) await sleep(20);
    await Promise.all(underWay);
    return signal.aborted ? "interrupted" : this.#crash();
  }

  async #inflict({ kind, target, forMs }: Fault): Promise<void> {
    const victim = this.#of(target);
    const expected = kind === "join" ? "down" : "up";
    if (victim.state !== expected) return; // it takes longer to come up than the plan thought
    this.#say(`${target}: ${kind}, ${forMs} ms`);
    switch (kind) {
      case "kill":
        await victim.kill();
        await sleep(forMs);
        return this.#start(victim);
      case "pause":
        victim.pause(forMs);
        await sleep(forMs);
        return victim.resume();
      case "killPaused":
        victim.pause(forMs);
        await sleep(forMs);
        await victim.kill();
        return this.#start(victim);
      case "leave":
        await victim.leave();
        await sleep(forMs);
        return this.#start(victim);
      case "join":
        await victim.start();
        await sleep(forMs);
        await victim.leave();
    }
  }

  async #start(one: ChaosProcess): Promise<void> {
    await one.start();
    if (one.role === "source" && one.state === "up") one.tell({ op: "go" });
  }

  /** Nobody says anything new; everybody runs, the guest as well: it may hold what others wait for. */
  async #heal(): Promise<void> {
    for (const one of this.#others.values()) {
      if (one.state === "paused") one.resume();
      if (one.role === "source") one.tell({ op: "halt" });
      if (one.state === "down" && one.crash === undefined) await one.start();
    }
  }

  #of(name: string): ChaosProcess {
    return this.#others.get(name) as ChaosProcess;
  }

  #canGoOn(): boolean {
    return !this.#settings.signal.aborted && this.#crash() === undefined;
  }

  #crash(): string | undefined {
    const crashed = this.#all().find(({ crash }) => crash !== undefined);
    return crashed && `${crashed.crash}\n${crashed.errors}`;
  }

  async #keep(): Promise<string> {
    const kept = join(tmpdir(), `meshbus-chaos-${this.#settings.seed}-${Date.now()}.jsonl`);
    await rename(this.#log.path, kept);
    return kept;
  }

  #say(line: string): void {
    const seconds = ((performance.now() - this.#startMs) / 1_000).toFixed(1);
    this.#settings.say(`${seconds} s: ${line}`);
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
