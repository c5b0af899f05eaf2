/**
 * A child process of the bench, called like a function.
 *
 * Problem: what is measured may hang or die, and must neither hang the bench nor stay behind. Approach:
 * every call has a deadline; a child that misses one is killed; `killAll` ends what is left.
 */
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Answer, type Call, NEWS_ID, READY_ID } from "./children/serve.ts";

type Waiting = {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
};

const START_MS = 20_000;
const STOP_MS = 10_000;
const STDERR_KEPT = 2_000;

export class Child {
  readonly #name: string;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #exited: Promise<void>;
  #nextId = READY_ID + 1;
  #stderr = "";
  /** Hears what the child tells unasked. */
  onNews: (news: unknown) => void = () => {};

  /** `name`: the file in children/, without its ending. */
  constructor(name: string, execArgv: readonly string[]) {
    this.#name = name;
    this.#process = fork(fileURLToPath(new URL(`./children/${name}.js`, import.meta.url)), {
      execArgv: [...execArgv],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#process.on("message", (answer: Answer) => this.#answered(answer));
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    this.#exited = new Promise((resolve) => {
      this.#process.once("exit", (code, signal) => {
        this.#failAll(`${name} ended (${signal ?? code}) ${this.#stderr}`.trim());
        if (this.#process.connected) this.#process.once("disconnect", resolve);
        else resolve();
      });
    });
  }

  /** Resolves when the child takes calls. */
  ready(): Promise<void> {
    return this.#wait(READY_ID, "start", START_MS) as Promise<void>;
  }

  /** Rejects when the child fails, ends, or misses the deadline; then it is killed. */
  call<Result>(name: string, args: unknown, deadlineMs: number): Promise<Result> {
    const id = this.#nextId++;
    const answer = this.#wait(id, name, deadlineMs) as Promise<Result>;
    const call: Call = { id, name, args };
    this.#process.send(call, () => {}); // a child that has gone is reported by its exit
    return answer;
  }

  /** Ends in order, or is killed. Never rejects. */
  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      await this.call("stop", undefined, STOP_MS).catch(() => {});
    }
    const timer = setTimeout(() => this.kill(), STOP_MS);
    await this.#exited;
    clearTimeout(timer);
  }

  kill(): void {
    this.#process.kill("SIGKILL");
  }

  /** Resolves when the process has gone; everything it told has been heard then. */
  get gone(): Promise<void> {
    return this.#exited;
  }

  #wait(id: number, name: string, deadlineMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id);
        this.kill();
        reject(new Error(`${this.#name}: "${name}" took more than ${deadlineMs} ms: killed`));
      }, deadlineMs);
      this.#waiting.set(id, { resolve, reject, timer });
    });
  }

  #answered({ id, result, error }: Answer): void {
    if (id === NEWS_ID) this.onNews(result);
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if (error === undefined) waiting.resolve(result);
    else waiting.reject(new Error(`${this.#name}: ${error}`));
  }

  #failAll(message: string): void {
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(new Error(message));
    }
    this.#waiting.clear();
  }
}
