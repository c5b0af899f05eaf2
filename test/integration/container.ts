/** The example's container, as a process: its environment, what it prints, and what it answers. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { until } from "./until.ts";

const PROGRAM = fileURLToPath(new URL("../../.build/examples/containers/main.js", import.meta.url));

export type Readiness = {
  readonly ready: boolean;
  readonly reasons: readonly string[];
  readonly node?: string;
  readonly peers?: number;
};

export class Container {
  out = "";
  /** Resolves with the exit code; null: a signal ended it. */
  readonly ended: Promise<number | null>;
  readonly #child: ChildProcess;

  constructor(environment: Readonly<Record<string, string>>) {
    const { PATH = "" } = process.env;
    const child = spawn(process.execPath, [PROGRAM], {
      env: { PATH, ...environment },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    for (const pipe of [child.stdout, child.stderr]) {
      pipe?.setEncoding("utf8").on("data", (text: string) => {
        this.out += text;
      });
    }
    this.ended = new Promise((resolve) => child.once("close", resolve));
  }

  /** Status and body; undefined while nobody answers. */
  async ask(path: string, body?: unknown): Promise<{ status: number; body: unknown } | undefined> {
    const [url] = this.out.match(/http:\S+/) ?? [];
    if (url === undefined) return undefined;
    const how = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    try {
      const answer = await fetch(url + path, { ...how, headers: { connection: "close" } });
      return { status: answer.status, body: await answer.json() };
    } catch (error) {
      if (error instanceof TypeError) return undefined; // it does not listen, or has just ended
      throw error;
    }
  }

  async readiness(): Promise<Readiness | undefined> {
    return (await this.ask("/ready"))?.body as Readiness | undefined;
  }

  /** Waits until it is ready, and linked with so many others. */
  async isReady(peers: number): Promise<Readiness> {
    let last: Readiness | undefined;
    const isSo = async (): Promise<boolean> => {
      last = await this.readiness();
      return last?.ready === true && last.peers === peers;
    };
    await until(`ready with ${peers} peers`, isSo, () => `${this.out}${JSON.stringify(last)}`);
    return last as Readiness;
  }

  signal(name: "SIGTERM" | "SIGKILL"): void {
    this.#child.kill(name);
  }
}
