/** One process of the members' run, as the run holds it. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { MemberSaid, MemberSpec } from "./member-said.ts";

const PROGRAM = fileURLToPath(new URL("./member-process.js", import.meta.url));
const STDERR_KEPT = 4_000;

export class MemberChild {
  readonly name: string;
  readonly isBlocked: boolean;
  readonly deaths: Extract<MemberSaid, { e: "dead" }>[] = [];
  id = "";
  address = "";
  linked = 0;
  suspected = 0;
  died = 0;
  /** The longest time for which the process stood still. */
  stoodMs = 0;
  errors = "";
  isGone = false;
  readonly #child: ChildProcess;
  readonly #gone: Promise<void>;

  constructor(spec: MemberSpec) {
    this.name = spec.name;
    this.isBlocked = spec.blockMs > 0;
    const args = [PROGRAM, JSON.stringify(spec)];
    this.#child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "pipe"] });
    this.#gone = new Promise((resolve) => {
      this.#child.once("close", () => {
        this.isGone = true;
        resolve();
      });
    });
    this.#child.stdin?.on("error", () => {}); // it may be gone
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.errors = (this.errors + text).slice(-STDERR_KEPT);
    });
    let text = "";
    this.#child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) this.#heard(JSON.parse(line) as MemberSaid);
    });
  }

  /** It blocks from now on, if it is one that does. */
  begin(): void {
    this.#child.stdin?.write("\n");
  }

  signal(name: "SIGKILL" | "SIGSTOP"): void {
    this.#child.kill(name);
  }

  async end(): Promise<void> {
    this.signal("SIGKILL");
    await this.#gone;
  }

  #heard(said: MemberSaid): void {
    if (said.e === "ready") Object.assign(this, { id: said.id, address: said.address });
    else if (said.e === "linked") this.linked = said.count;
    else if (said.e === "dead") this.deaths.push(said);
    else if (said.e === "count") {
      this.suspected = said.suspected;
      this.died = said.died;
    } else this.stoodMs = Math.max(this.stoodMs, said.ms);
  }
}
