/** A broker that runs: where it listens, what it uses, and its end. */
import type { Child } from "../child.ts";
import { figuresOf, type ProcessFigures } from "../process-figures.ts";
import type { Command, Launch } from "./server-kinds.ts";

const START_MS = 60_000;

export class Server {
  readonly #keeper: Child;
  readonly #launch: Launch;
  #pids: readonly number[] = [];

  constructor(keeper: Child, launch: Launch) {
    this.#keeper = keeper;
    this.#launch = launch;
  }

  get port(): number {
    return this.#launch.port;
  }

  /** Resolves with how long it took to answer, in milliseconds. Also after a crash, on the same data. */
  async start(): Promise<number> {
    const startMs = performance.now();
    this.#pids = await this.#keeper.call<number[]>("start", this.#launch, START_MS);
    return performance.now() - startMs;
  }

  /** SIGKILL to the server itself. */
  async crash(): Promise<void> {
    const main = this.#launch.commands.at(-1) as Command;
    await this.#keeper.call("crash", { file: main.file }, START_MS);
  }

  figures(): ProcessFigures {
    return figuresOf(this.#pids);
  }

  stop(): Promise<void> {
    return this.#keeper.stop();
  }

  /** Takes no processor time until `goOn`. */
  rest(): void {
    this.#signal("SIGSTOP");
  }

  goOn(): void {
    this.#signal("SIGCONT");
  }

  /** At once, without a word to anybody. */
  kill(): void {
    this.#signal("SIGKILL");
    this.#keeper.kill();
  }

  #signal(signal: NodeJS.Signals): void {
    for (const pid of this.#pids) {
      try {
        process.kill(-pid, signal);
      } catch {
        // gone already
      }
    }
  }
}
