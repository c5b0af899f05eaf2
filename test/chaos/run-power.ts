/**
 * Power loss on real processes: nodes on disks whose power is cut, at moments that the seed draws, right after
 * an acknowledgement or a handler's end, or while they start; mounted again, started again on what is left,
 * drained and judged.
 *
 * Three disks, as three machines: one with a source and a worker, one with a source, one with a worker.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { ChaosLog } from "./chaos-log.ts";
import { ChaosProcess } from "./chaos-process.ts";
import { drain } from "./drain.ts";
import { judge, type Verdict } from "./judge.ts";
import { LoopDisk } from "./loop-disk.ts";
import { type ControlFigures, runControls } from "./power-controls.ts";
import type { ProcessSpec } from "./process-spec.ts";

export type PowerSettings = {
  readonly cuts: number;
  readonly seed: number;
  readonly perSecond: number;
  readonly keys: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
};

export type PowerOutcome = Verdict & {
  readonly controls: ControlFigures;
  readonly cuts: number;
  readonly failure: string | undefined;
  readonly historyPath: string | undefined;
};

type Machine = { readonly disk: LoopDisk; readonly processes: readonly ChaosProcess[] };

const DISK_BYTES = 512 * 2 ** 20;
const AFTER_MAX = 150;
const DELAY_MS_MAX = 4;
/** How long nodes live on without their disk, sometimes. */
const LINGER_MS = 250;
/** About as long as a node takes to start. */
const STARTING_MS_MAX = 600;
const CUT_PATIENCE_MS = 60_000;

/** Process names by machine. */
const MACHINES = [["source-1", "worker-1"], ["source-2"], ["worker-2"]] as const;

export const runPower = async (settings: PowerSettings): Promise<PowerOutcome> => {
  const folder = await mkdtemp(join(tmpdir(), "meshbus-power-"));
  const run = new PowerRun(settings, folder);
  try {
    return await run.conduct(await runControls(folder));
  } finally {
    await run.end();
    await rm(folder, { recursive: true, force: true });
  }
};

class PowerRun {
  readonly #settings: PowerSettings;
  readonly #folder: string;
  readonly #random: SeededRandom;
  readonly #log: ChaosLog;
  readonly #witness: ChaosProcess;
  readonly #machines: Machine[] = [];
  readonly #mesh = `power-${randomBytes(4).toString("hex")}`;
  #cuts = 0;

  constructor(settings: PowerSettings, folder: string) {
    this.#settings = settings;
    this.#folder = folder;
    this.#random = new SeededRandom(settings.seed, "power");
    this.#log = new ChaosLog(join(folder, "history.jsonl"));
    this.#witness = this.#process("witness", "witness", join(folder, "witness"));
  }

  async conduct(controls: ControlFigures): Promise<PowerOutcome> {
    await this.#begin();
    let failure: string | undefined;
    while (failure === undefined && this.#cuts < this.#settings.cuts) {
      failure = await this.#cutOne(this.#random.pick(this.#machines));
    }
    for (const one of this.#all()) if (one.role === "source") one.tell({ op: "halt" });
    failure ??= await drain(this.#log, this.#all(), this.#settings.signal);
    const dead = failure === undefined ? await this.#witness.dead() : undefined;
    await this.end();
    this.#log.end();
    const verdict = judge(this.#log.records, dead?.letters ?? [], failure === undefined);
    const isClean = failure === undefined && verdict.violations.length === 0;
    const historyPath = isClean ? undefined : await this.#keep();
    return { ...verdict, controls, cuts: this.#cuts, failure, historyPath };
  }

  async end(): Promise<void> {
    await Promise.all(this.#all().map((one) => one.end()));
    for (const { disk } of this.#machines) await disk.unmount();
  }

  #all(): ChaosProcess[] {
    return [this.#witness, ...this.#machines.flatMap(({ processes }) => processes)];
  }

  async #begin(): Promise<void> {
    await this.#witness.start();
    for (const [at, names] of MACHINES.entries()) {
      const disk = await LoopDisk.create(join(this.#folder, `machine-${at + 1}`), DISK_BYTES);
      const processes = names.map((name) => {
        const role = name.startsWith("source") ? "source" : "worker";
        return this.#process(role, name, join(disk.folder, name));
      });
      const machine = { disk, processes };
      this.#machines.push(machine);
      if (this.#random.chance(0.5)) await this.#cutWhileStarting(machine);
      await this.#powerOn(machine);
    }
  }

  async #powerOn({ disk, processes }: Machine): Promise<void> {
    await disk.mount(this.#random.chance(0.6) ? 0 : this.#random.between(0, DELAY_MS_MAX));
    await Promise.all(processes.map((one) => one.start(disk.pipe)));
    for (const one of processes) if (one.role === "source") one.tell({ op: "go" });
  }

  /** Undefined when it went as it should. */
  async #cutOne(machine: Machine): Promise<string | undefined> {
    const { disk, processes } = machine;
    const after = this.#random.integer(1, AFTER_MAX);
    const trigger = this.#random.pick(processes);
    const lingers = this.#random.chance(0.3);
    trigger.tell({ op: "arm", after });
    const failure = await this.#within(disk.cut, `${trigger.name} has not had the power cut`);
    if (failure !== undefined) return failure;
    if (lingers) await sleep(LINGER_MS);
    await this.#powerOff(machine, "power cut");
    if (this.#random.chance(0.25)) await this.#cutWhileStarting(machine);
    await this.#powerOn(machine);
    const crashed = this.#all().find(({ crash }) => crash !== undefined);
    return crashed && `${crashed.crash}\n${crashed.errors}`;
  }

  /** Recovery, or the first start in an empty folder, is cut as well. */
  async #cutWhileStarting(machine: Machine): Promise<void> {
    const { disk, processes } = machine;
    await disk.mount(0);
    const starts = processes.map((one) => one.start());
    await sleep(this.#random.between(0, STARTING_MS_MAX));
    disk.pipe.write("!");
    await disk.cut;
    await this.#powerOff(machine, "power cut while starting");
    await Promise.all(starts);
  }

  async #powerOff({ disk, processes }: Machine, how: string): Promise<void> {
    await Promise.all(processes.map((one) => one.powerLost()));
    await disk.unmount();
    this.#cuts++;
    this.#settings.say(`${processes.map(({ name }) => name).join(", ")}: ${how}`);
  }

  async #within(done: Promise<void>, what: string): Promise<string | undefined> {
    const { signal } = this.#settings;
    const deadlineMs = performance.now() + CUT_PATIENCE_MS;
    let outcome: string | undefined | "waiting" = "waiting";
    done.then(
      () => {
        outcome = undefined;
      },
      (error: Error) => {
        outcome = error.message;
      },
    );
    while (outcome === "waiting") {
      if (signal.aborted) return "interrupted";
      if (performance.now() > deadlineMs) return what;
      await sleep(2);
    }
    return outcome;
  }

  #process(role: ProcessSpec["role"], name: string, dataDir: string): ChaosProcess {
    const { perSecond, keys, seed } = this.#settings;
    const storePath = join(this.#folder, "store.sock");
    const spec = { role, name, mesh: this.#mesh, dataDir, storePath, perSecond: perSecond / 2 };
    return new ChaosProcess({ ...spec, keys, seed }, this.#log);
  }

  async #keep(): Promise<string> {
    const kept = join(tmpdir(), `meshbus-power-${this.#settings.seed}-${Date.now()}.jsonl`);
    await rename(this.#log.path, kept);
    return kept;
  }
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
