/**
 * A process of the mesh, through all its lives: started, killed, paused, told to leave, started again on the
 * same folder. Everything it writes, and everything done to it, goes into the history.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Writable } from "node:stream";
import { fileURLToPath } from "node:url";
import type { ChaosLog } from "./chaos-log.ts";
import { type Done, nowMs, type Order, type Told } from "./chaos-record.ts";
import type { ProcessSpec } from "./process-spec.ts";

export type ProcessState = "down" | "starting" | "up" | "paused" | "leaving";

type StatusLine = Extract<Told, { e: "status" }>;
type DeadLine = Extract<Told, { e: "dead" }>;

const STDERR_KEPT = 4_000;
/** A node that is not up, or gone, so long after it was told to will never be. */
const PATIENCE_MS = 60_000;

export class ChaosProcess {
  readonly name: string;
  /** Lines that it wrote to stderr in all its lives; the last of them. */
  errors = "";
  state: ProcessState = "down";
  /** It ended and nobody had told it to. */
  crash: string | undefined;
  readonly #spec: Omit<ProcessSpec, "life">;
  readonly #log: ChaosLog;
  readonly #program: string;
  readonly #calls = new Map<number, (line: StatusLine | DeadLine) => void>();
  #life = 0;
  #child: ChildProcess | undefined;
  #ready: Promise<void> = Promise.resolve();
  #gone: Promise<void> = Promise.resolve();
  #onReady: () => void = () => {};
  #nextCall = 1;

  constructor(spec: Omit<ProcessSpec, "life">, log: ChaosLog) {
    this.name = spec.name;
    this.#spec = spec;
    this.#log = log;
    const file = spec.role === "witness" ? "./witness-process.js" : "./node-process.js";
    this.#program = fileURLToPath(new URL(file, import.meta.url));
  }

  get role(): ProcessSpec["role"] {
    return this.#spec.role;
  }

  /** Resolves when its node is up, or the process has ended. It may write to `cutPipe`. */
  start(cutPipe?: Writable): Promise<void> {
    this.#life++;
    this.state = "starting";
    const spec: ProcessSpec = { ...this.#spec, life: this.#life };
    const self = [process.execPath, this.#program, JSON.stringify(spec)];
    const [command = "", ...args] = [...(spec.place?.launcher ?? []), ...self];
    const child = spawn(command, args, {
      stdio: ["pipe", "pipe", "pipe", cutPipe ?? "ignore"],
    });
    this.#child = child;
    this.#done("spawn");
    const life = this.#life;
    this.#ready = new Promise((resolve) => {
      this.#onReady = resolve;
    });
    this.#gone = new Promise((resolve) => {
      // "close", not "exit": everything it wrote has been read then.
      child.once("close", (code, signal) => {
        if (this.state === "starting" || this.state === "up") {
          this.crash ??= `${this.name} ended by itself: ${signal ?? `exit code ${code}`}`;
        }
        this.state = "down";
        this.#calls.clear();
        this.#log.add({ e: "exit", atMs: nowMs(), process: this.name, life });
        this.#onReady();
        resolve();
      });
    });
    child.stdin?.on("error", () => {}); // it may be gone
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors = (this.errors + text).slice(-STDERR_KEPT);
    });
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const lines = text.split("\n");
      text = lines.pop() ?? ""; // a killed process leaves half a line: it did not say it
      for (const line of lines) this.#heard(JSON.parse(line) as Told, life);
    });
    return this.#within(this.#ready, "come up");
  }

  /** No goodbye, nothing is flushed. Resolves when it is gone. */
  kill(): Promise<void> {
    this.state = "down";
    this.#done("kill");
    this.#child?.kill("SIGKILL");
    return this.#gone;
  }

  /** Its disk is gone. However it may have ended of that, it is killed as a machine without power would be. */
  async powerLost(): Promise<void> {
    this.state = "down";
    this.#done("cut");
    this.#child?.kill("SIGKILL");
    await this.#gone;
    this.crash = undefined;
  }

  pause(longestMs: number): void {
    this.state = "paused";
    this.#done("pause");
    this.#child?.kill("SIGSTOP");
    // A stopped process cannot end by itself. Should this one die first, somebody lets it go on.
    const wake = `sleep ${Math.ceil(longestMs / 1_000) + 1}; kill -CONT ${this.#child?.pid}`;
    spawn("sh", ["-c", wake], { detached: true, stdio: "ignore" }).unref();
  }

  resume(): void {
    this.state = "up";
    this.#done("resume");
    this.#child?.kill("SIGCONT");
  }

  /** Nothing happens to the process: its host's network fails it, or does no longer. */
  network(how: "apart" | "together"): void {
    this.#done(how);
  }

  /** Stops its node, as an operator would. Resolves when it is gone. */
  leave(): Promise<void> {
    this.state = "leaving";
    this.#done("leave");
    this.tell({ op: "stop" });
    return this.#within(this.#gone, "stop");
  }

  /** The run is over: its end is no part of the history. */
  async end(): Promise<void> {
    if (this.state === "down") return;
    this.state = "down";
    this.#child?.kill("SIGKILL");
    await this.#gone;
  }

  tell(order: Order): void {
    this.#child?.stdin?.write(`${JSON.stringify(order)}\n`);
  }

  /** Undefined when it ends before it answers. */
  async status(): Promise<StatusLine | undefined> {
    return (await this.#ask("status")) as StatusLine | undefined;
  }

  async dead(): Promise<DeadLine | undefined> {
    return (await this.#ask("dead")) as DeadLine | undefined;
  }

  async #within(done: Promise<void>, what: string): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const impatience = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        this.crash ??= `${this.name} did not ${what} within ${PATIENCE_MS / 1_000} s`;
        resolve();
      }, PATIENCE_MS);
    });
    await Promise.race([done, impatience]);
    clearTimeout(timer);
  }

  #ask(op: "status" | "dead"): Promise<StatusLine | DeadLine | undefined> {
    const call = this.#nextCall++;
    const answer = new Promise<StatusLine | DeadLine>((resolve) => this.#calls.set(call, resolve));
    this.tell({ op, call });
    return Promise.race([answer, this.#gone.then(() => undefined)]);
  }

  #heard(told: Told, life: number): void {
    if (told.e === "status" || told.e === "dead") {
      this.#calls.get(told.call)?.(told);
      this.#calls.delete(told.call);
      return;
    }
    this.#log.add({ ...told, process: this.name, life });
    if (told.e !== "ready") return;
    if (this.state === "starting") this.state = "up";
    this.#onReady();
  }

  #done(e: Done["e"]): void {
    this.#log.add({ e, atMs: nowMs(), process: this.name, life: this.#life });
  }
}
