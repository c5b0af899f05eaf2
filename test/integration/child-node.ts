/** A node in a process of its own, as a test holds it. */
import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LedgerCounts } from "../../src/core/ledger.ts";
import type { DeadLetterEntry } from "../../src/mesh/dead-letter-access.ts";
import type { PeerInfo, StopReport } from "../../src/mesh/node-report.ts";
import type {
  ChildOptions,
  Command,
  FailedCall,
  Happened,
  Listen,
  Said,
  Say,
} from "../children/node-protocol.ts";
import { DEADLINE_MS, until } from "./until.ts";

const PROGRAM = fileURLToPath(new URL("../../.build/test/children/node-child.js", import.meta.url));
const STDERR_KEPT = 8_000;

/** What a call of the node rejected with. */
export class CallFailed extends Error {
  override readonly name = "CallFailed";
  readonly code: string;
  readonly details: unknown;
  readonly original: FailedCall;

  constructor(op: string, failed: FailedCall) {
    super(`${op}: ${failed.name} ${failed.code}: ${failed.message}`);
    this.code = failed.code;
    this.details = failed.details;
    this.original = failed;
  }
}

export type Receipt = {
  readonly id: string;
  readonly position: { readonly epoch: number; readonly seq: number };
};

type Ledger = Readonly<Record<string, LedgerCounts & { readonly pending: number }>>;
type Pending = {
  readonly op: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
};

export class ChildNode {
  readonly service: string;
  readonly events: Happened[] = [];
  /** Resolves with the signal or exit code that ended the process. */
  readonly exited: Promise<NodeJS.Signals | number | null>;
  id = "";
  address = "";
  addresses: readonly string[] = [];
  dataDir = "";
  alive = true;
  /** For the test to say: the process has stopped where it is. */
  frozen = false;
  readonly #child: ChildProcess;
  readonly #calls = new Map<number, Pending>();
  #nextCall = 1;
  #errors = "";

  constructor(service: string) {
    this.service = service;
    this.#child = spawn(process.execPath, [PROGRAM], { stdio: ["pipe", "pipe", "pipe"] });
    this.exited = new Promise((resolve) => {
      // "close", not "exit": everything it wrote has been read then.
      this.#child.once("close", (code, signal) => {
        this.alive = false;
        for (const { op, reject } of this.#calls.values()) {
          reject(new Error(`${service} ended (${signal ?? code}) during ${op}: ${this.#errors}`));
        }
        this.#calls.clear();
        resolve(signal ?? code);
      });
    });
    this.#child.stdin?.on("error", () => {}); // it may be gone; calls hear of that by "close"
    this.#child.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
      this.#errors = (this.#errors + chunk).slice(-STDERR_KEPT);
    });
    let text = "";
    this.#child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) this.#said(JSON.parse(line) as Said);
    });
  }

  /** What the process wrote to stderr last. */
  get errors(): string {
    return this.#errors;
  }

  async create(options: ChildOptions): Promise<void> {
    const info = (await this.call({ op: "create", ...options })) as {
      id: string;
      address: string;
      addresses: string[];
      dataDir: string;
    };
    Object.assign(this, info);
  }

  /** Starts a call; the number names it for `abort`. */
  begin(command: Command): { readonly call: number; readonly answer: Promise<unknown> } {
    const call = this.#nextCall++;
    const answer = new Promise<unknown>((resolve, reject) => {
      if (!this.alive) {
        reject(new Error(`${this.service} has ended: ${this.#errors}`));
        return;
      }
      this.#calls.set(call, { op: command.op, resolve, reject });
      this.#child.stdin?.write(`${JSON.stringify({ id: call, ...command })}\n`);
    });
    return { call, answer };
  }

  call(command: Command): Promise<unknown> {
    return this.begin(command).answer;
  }

  // --- say and listen ------------------------------------------------------------------------

  publish(subject: string, n: number, rest: Omit<Say, "subject" | "data"> = {}): Promise<Receipt> {
    return this.call({ op: "publish", subject, data: { n }, ...rest }) as Promise<Receipt>;
  }

  send(subject: string, n: number, rest: Omit<Say, "subject" | "data"> = {}): Promise<Receipt> {
    return this.call({ op: "send", subject, data: { n }, ...rest }) as Promise<Receipt>;
  }

  emit(subject: string, n: number): Promise<boolean> {
    return this.call({ op: "emit", subject, data: { n } }) as Promise<boolean>;
  }

  request(subject: string, n: number, timeoutMs = DEADLINE_MS): Promise<unknown> {
    return this.call({ op: "request", subject, data: { n }, options: { timeoutMs } });
  }

  listen(listen: Listen): Promise<{ unconfirmed: string[] }> {
    return this.call({ op: "listen", ...listen }) as Promise<{ unconfirmed: string[] }>;
  }

  // --- look ----------------------------------------------------------------------------------

  ledger(): Promise<Ledger> {
    return this.call({ op: "ledger" }) as Promise<Ledger>;
  }

  counters(): Promise<Readonly<Record<string, number>>> {
    return this.call({ op: "counters" }) as Promise<Readonly<Record<string, number>>>;
  }

  async counter(name: string): Promise<number> {
    return (await this.counters())[name] ?? 0;
  }

  peers(): Promise<PeerInfo[]> {
    return this.call({ op: "peers" }) as Promise<PeerInfo[]>;
  }

  deadLetters(group?: string): Promise<DeadLetterEntry[]> {
    const filter = group === undefined ? {} : { group };
    return this.call({ op: "dead-list", ...filter }) as Promise<DeadLetterEntry[]>;
  }

  /** Numbers of the messages whose handler of this subscription did so, in order. */
  numbers(event: Happened["event"], name: string): number[] {
    return this.happened(event, name).map(({ n }) => n as number);
  }

  happened(event: Happened["event"], name: string): Happened[] {
    return this.events.filter((each) => each.event === event && each.name === name);
  }

  // --- wait ----------------------------------------------------------------------------------

  async handled(name: string, count: number): Promise<void> {
    await this.sees(`${count} handled by ${name}`, () => this.numbers("end", name).length >= count);
  }

  /** Each of the numbers was handled at least once. */
  async handledAll(name: string, numbers: readonly number[]): Promise<void> {
    await this.sees(`${numbers} handled by ${name}`, () => {
      const handled = new Set(this.numbers("end", name));
      return numbers.every((n) => handled.has(n));
    });
  }

  async sees(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    await until(`${this.service}: ${what}`, condition, () => {
      return `${JSON.stringify(this.events.slice(-20))} ${this.#errors}`;
    });
  }

  /** Linked with this node. */
  async meets(other: ChildNode): Promise<void> {
    await this.sees(`meets ${other.service}`, async () => {
      const peers = await this.peers();
      return peers.some(({ nodeId, state }) => nodeId === other.id && state === "alive");
    });
  }

  /** Everything this node accepted for the subscription is settled; gives the counts. */
  async settled(subscription: string, accepted: number): Promise<Ledger[string]> {
    let counts: Ledger[string] | undefined;
    const state = () => `${JSON.stringify(counts)} ${this.#errors}`;
    const condition = async () => {
      counts = (await this.ledger())[subscription];
      return counts?.accepted === accepted && counts.pending === 0;
    };
    await until(`${this.service}: ${subscription} settles ${accepted}`, condition, state);
    return counts as Ledger[string];
  }

  // --- end -----------------------------------------------------------------------------------

  stop(): Promise<StopReport> {
    return this.call({ op: "stop" }) as Promise<StopReport>;
  }

  /** The process stands still where it is. */
  freeze(): void {
    this.frozen = true;
    this.#child.kill("SIGSTOP");
  }

  /** Lets a process go on that stands still. */
  thaw(): void {
    this.frozen = false;
    this.#child.kill("SIGCONT");
  }

  async kill(): Promise<void> {
    if (this.alive) this.#child.kill("SIGKILL");
    await this.exited;
  }

  #said(said: Said): void {
    if ("event" in said) {
      this.events.push(said);
      return;
    }
    const pending = this.#calls.get(said.id);
    if (pending === undefined) return;
    this.#calls.delete(said.id);
    if ("error" in said) pending.reject(new CallFailed(pending.op, said.error));
    else pending.resolve(said.value);
  }
}
