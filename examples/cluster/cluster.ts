/** The service processes: starts, kills, restarts and stops them, and leaves none behind. */
import { type ChildProcess, fork } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { FromService, InstanceSpec, InstanceStatus, ToService } from "./messages.ts";

export type InstanceState = "starting" | "up" | "killed" | "restarting" | "stopped";

export type Instance = {
  readonly spec: InstanceSpec;
  state: InstanceState;
  status: InstanceStatus | undefined;
  /** When the status came, by performance.now(). */
  statusAtMs: number;
  child: ChildProcess | undefined;
};

export type ClusterEvents = {
  message(instance: Instance, message: FromService): void;
  /** A process ended although nobody told it to. */
  crashed(instance: Instance, how: string): void;
  /** A line that a process wrote: warnings and errors. */
  log(instance: Instance, line: string): void;
};

const PROCESS_FILE = fileURLToPath(new URL("./service-process.js", import.meta.url));
/** A process that has not ended so long after it was told to is killed. */
const STOP_MS = 6_000;

export class Cluster {
  readonly instances: readonly Instance[];
  readonly #events: ClusterEvents;

  constructor(specs: readonly InstanceSpec[], events: ClusterEvents) {
    this.#events = events;
    this.instances = specs.map((spec) => ({
      spec,
      state: "stopped",
      status: undefined,
      statusAtMs: 0,
      child: undefined,
    }));
  }

  start(): void {
    for (const instance of this.instances) this.#spawn(instance, "starting");
  }

  /** SIGKILL: no goodbye, nothing is flushed. Resolves when the process is gone. */
  kill(instance: Instance): Promise<void> {
    instance.state = "killed";
    const gone = ended(instance.child);
    instance.child?.kill("SIGKILL");
    return gone;
  }

  /** On the same data folder. */
  restart(instance: Instance): void {
    this.#spawn(instance, "restarting");
  }

  tell(instance: Instance, message: ToService): void {
    if (instance.child?.connected) instance.child.send(message);
  }

  /** Resolves when no process is left. */
  async stop(): Promise<void> {
    await Promise.all(
      this.instances.map(async (instance) => {
        const { child } = instance;
        if (instance.state !== "killed") instance.state = "stopped";
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
        const gone = ended(child);
        this.tell(instance, { type: "stop" });
        const impatience = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
        await gone;
        clearTimeout(impatience);
      }),
    );
  }

  #spawn(instance: Instance, state: InstanceState): void {
    instance.state = state;
    instance.status = undefined;
    const child = fork(PROCESS_FILE, [JSON.stringify(instance.spec)], {
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      execArgv: [],
    });
    instance.child = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream === null) continue;
      createInterface({ input: stream }).on("line", (line) => this.#events.log(instance, line));
    }
    child.on("message", (message: FromService) => {
      if (message.type === "ready") instance.state = "up";
      if (message.type === "status" || message.type === "stopped") {
        instance.status = message.status;
        instance.statusAtMs = performance.now();
      }
      this.#events.message(instance, message);
    });
    child.on("error", (error) => this.#events.log(instance, error.message));
    child.on("exit", (code, signal) => {
      if (instance.child !== child || instance.state === "stopped") return;
      if (instance.state === "killed") return;
      this.#events.crashed(instance, signal ?? `exit code ${code}`);
    });
  }
}

const ended = (child: ChildProcess | undefined): Promise<void> => {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) {
    return Promise.resolve();
  }
  return new Promise((resolve) => child.once("exit", () => resolve()));
};
