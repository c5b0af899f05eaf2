/** Says keyed events and commands at a steady rate, and tells what became of each. */
import { MeshError, type MeshNode } from "meshbus";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { nowMs } from "./chaos-record.ts";
import { COMMAND, EVENT, type ProcessSpec } from "./process-spec.ts";
import { tell } from "./teller.ts";

const TICK_MS = 5;
const UNDER_WAY_MAX = 256;
/** After a pause what was missed is not caught up beyond this. */
const BURST_MAX = 20;
const COMMANDS = 0.2;
const PADDING = "x".repeat(64);

export class Source {
  readonly #node: MeshNode;
  readonly #spec: ProcessSpec;
  readonly #random: SeededRandom;
  readonly #accepted: () => void;
  #timer: NodeJS.Timeout | undefined;
  #count = 0;
  #underWay = 0;

  constructor(node: MeshNode, spec: ProcessSpec, accepted: () => void) {
    this.#node = node;
    this.#spec = spec;
    this.#random = new SeededRandom(spec.seed, `${spec.name} ${spec.life}`);
    this.#accepted = accepted;
  }

  get isBusy(): boolean {
    return this.#timer !== undefined || this.#underWay > 0;
  }

  go(): void {
    const perTick = (this.#spec.perSecond * TICK_MS) / 1_000;
    let lastMs = nowMs();
    let due = 0;
    this.#timer ??= setInterval(() => {
      const ms = nowMs();
      due = Math.min(BURST_MAX + perTick, due + ((ms - lastMs) * this.#spec.perSecond) / 1_000);
      lastMs = ms;
      for (; due >= 1 && this.#underWay < UNDER_WAY_MAX; due--) void this.#say();
    }, TICK_MS);
  }

  halt(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #say(): Promise<void> {
    const { name, life, keys } = this.#spec;
    const id = `${name}.${life}.${this.#count++}`;
    // Low keys are more frequent.
    const key = `k${Math.floor(this.#random.fraction() ** 1.5 * keys)}`;
    const isCommand = this.#random.chance(COMMANDS);
    const subject = isCommand ? COMMAND : EVENT;
    const body = { id, padding: PADDING };
    tell({ e: "invoke", atMs: nowMs(), id, kind: isCommand ? "command" : "event", subject, key });
    this.#underWay++;
    try {
      const { position } = isCommand
        ? await this.#node.send(subject, body, { key })
        : await this.#node.publish(subject, body, { key });
      tell({ e: "accepted", atMs: nowMs(), id, ...position });
      this.#accepted();
    } catch (error) {
      const code = MeshError.is(error) ? error.code : String(error);
      tell({ e: "refused", atMs: nowMs(), id, code, unknown: code === "OUTCOME_UNKNOWN" });
    }
    this.#underWay--;
  }
}
