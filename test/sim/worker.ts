/** The user of one node: says things, one after the other or all at once, and notes what became of them. */
import { MeshError } from "../../src/errors.ts";
import type { MeshNode } from "../../src/mesh/mesh-node.ts";
import type { PublishOptions } from "../../src/options/publish-options.ts";
import type { Asked, Said } from "../../src/testing/history.ts";
import type { SeededRandom } from "../../src/testing/seeded-random.ts";
import type { VirtualProcess } from "../../src/testing/virtual-process.ts";
import { COMMANDS, EVENTS } from "./plan.ts";
import type { SimNode } from "./sim-node.ts";
import type { World } from "./world.ts";

export class Worker {
  readonly #world: World;
  readonly #index: number;
  readonly #random: SeededRandom;
  readonly #pending = new Set<Said>();
  readonly #asking = new Set<Asked>();
  #process: VirtualProcess | undefined;
  #left: number;
  #order = 0;
  #asks = 0;

  constructor(world: World, index: number, random: SeededRandom) {
    this.#world = world;
    this.#index = index;
    this.#random = random;
    this.#left = random.chance(0.15) ? 0 : world.plan.work.messages;
  }

  get isBusy(): boolean {
    return this.#left > 0 || this.#pending.size > 0 || this.#asking.size > 0;
  }

  /** What is still to be said, or has no outcome yet. */
  get left(): number {
    return this.#left + this.#pending.size + this.#asking.size;
  }

  begin(at: SimNode, process: VirtualProcess): void {
    this.#process = process;
    const next = (): void => {
      const { node } = at;
      if (this.#left <= 0 || node === undefined || at.state !== "up") return;
      const { work } = this.#world.plan;
      const said = this.#act(node);
      const waits = said !== undefined && this.#random.chance(work.awaited);
      const pause = (): void => {
        process.post(this.#random.exponential(work.everyMs), next);
      };
      if (waits) said.then(pause, pause);
      else pause();
    };
    process.post(this.#random.between(0, 20), next);
  }

  /** The process died: what was under way has no outcome. */
  cut(): void {
    for (const said of this.#pending) said.outcome = "unknown";
    this.#pending.clear();
    for (const asked of this.#asking) asked.cut = true;
    this.#asking.clear();
  }

  #act(node: MeshNode): Promise<unknown> | undefined {
    const { work } = this.#world.plan;
    const random = this.#random;
    this.#left--;
    if (random.chance(work.emits)) {
      const subject = random.pick(EVENTS);
      const taken = node.emit(subject, { id: this.#id("e") }, { key: this.#key() });
      this.#world.cover(taken ? "emitTaken" : "emitDropped");
      return undefined;
    }
    if (random.chance(work.requests)) return this.#ask(node);
    if (random.chance(work.many)) return this.#sayMany(node);
    return this.#say(node);
  }

  #say(node: MeshNode): Promise<unknown> {
    const { work } = this.#world.plan;
    const random = this.#random;
    const isCommand = random.chance(work.commands);
    const subject = random.pick(isCommand ? COMMANDS : (work.subjects ?? EVENTS));
    const key = random.chance(work.keyless) ? undefined : this.#key();
    const delayed = random.chance(work.delayed);
    const expires = random.chance(work.expiring);
    const filtered = random.chance(0.5);
    const delayMs = delayed ? random.integer(1, 1_500) : 0;
    const id = this.#id("m");
    const options: PublishOptions = {
      ...(key === undefined ? {} : { key }),
      ...(delayed ? { delayMs } : {}),
      ...(expires ? { expireAfterMs: delayMs + random.integer(1, 2_000) } : {}),
      ...(filtered ? { headers: { pick: "me" } } : {}),
    };
    const kind = isCommand ? "command" : "event";
    const said = this.#note({ id, kind, subject, key, expires, delayed, filtered });
    const again = random.chance(work.idempotent) ? id : undefined;
    return this.#call(
      node,
      said,
      again === undefined ? options : { ...options, idempotencyKey: id },
      again !== undefined,
    );
  }

  async #call(node: MeshNode, said: Said, options: PublishOptions, again: boolean): Promise<void> {
    const body = this.#body(said.id);
    for (let tries = 0; ; tries++) {
      try {
        const receipt =
          said.kind === "command"
            ? await node.send(said.subject, body, options)
            : await node.publish(said.subject, body, options);
        this.#accepted(said, receipt.position);
        if (again) await this.#sayAgain(node, said, options);
        return;
      } catch (error) {
        if (again && tries < 3 && MeshError.is(error, "OUTCOME_UNKNOWN")) {
          this.#world.cover("saidAgain");
          said.outcome = "pending";
          continue;
        }
        this.#refused(said, error);
        return;
      }
    }
  }

  /** A caller that did not hear the answer: the same message again gets the first receipt. */
  async #sayAgain(node: MeshNode, said: Said, options: PublishOptions): Promise<void> {
    const { id, kind, subject, position } = said;
    const body = { id, pad: "" };
    try {
      const again =
        kind === "command"
          ? await node.send(subject, body, options)
          : await node.publish(subject, body, options);
      this.#world.cover("saidAgain");
      if (again.duplicate && again.position.seq === position?.seq) return;
      this.#world.found("C2", `${id} was accepted again at ${JSON.stringify(again.position)}`);
    } catch (error) {
      this.#world.trace.note(`n${this.#index} did not hear of ${id} again: ${String(error)}`);
    }
  }

  async #sayMany(node: MeshNode): Promise<void> {
    const subject = this.#random.pick(this.#world.plan.work.subjects ?? EVENTS);
    const key = this.#key();
    const all: Said[] = [];
    for (let n = this.#random.integer(1, 6); n > 0; n--) {
      const what = { kind: "event", subject, key, expires: false, delayed: false } as const;
      all.push(this.#note({ ...what, id: this.#id("b"), filtered: false }));
    }
    try {
      const bodies = all.map((said) => this.#body(said.id));
      const receipts = await node.publishMany(subject, bodies, { key });
      for (const [at, said] of all.entries()) this.#accepted(said, receipts[at]?.position);
    } catch (error) {
      for (const said of all) this.#refused(said, error);
    }
  }

  async #ask(node: MeshNode): Promise<void> {
    const timeoutMs = this.#random.integer(50, 1_000);
    const invokedMs = this.#world.time.nowMs;
    const asked: Asked = { invokedMs, timeoutMs, endedMs: undefined, cut: false };
    this.#world.history.asked.push(asked);
    this.#asking.add(asked);
    const process = this.#process;
    const stoodMs = process?.stoodMs ?? 0;
    try {
      // Now and then a query that nobody answers.
      const subject = ++this.#asks % 8 === 0 ? "q.nobody" : "q.echo";
      await node.request(subject, { id: "q" }, { timeoutMs });
      this.#world.cover("answered");
    } catch (error) {
      this.#world.cover(`request.${MeshError.is(error) ? error.code : "error"}`);
    }
    asked.endedMs = this.#world.time.nowMs;
    asked.stoodMs = (process?.stoodMs ?? 0) - stoodMs;
    this.#asking.delete(asked);
  }

  #accepted(said: Said, position: Said["position"]): void {
    this.#pending.delete(said);
    said.outcome = "ok";
    said.position = position;
    this.#world.trace.note(
      `n${this.#index} accepted ${said.id} ${said.subject} key ${said.key} at ${position?.epoch}:${position?.seq}`,
    );
    if (!said.delayed) this.#checkStored(said);
    this.#world.accepted(said);
  }

  /** C10: accepted means synced, at this very moment. */
  #checkStored(said: Said): void {
    const { position } = said;
    // From the end: it is among the newest.
    const record = this.#world.history.stored.findLast(
      ({ node, seq, epoch, state }) =>
        node === this.#index &&
        seq === position?.seq &&
        epoch === position.epoch &&
        state !== "unknown" &&
        state !== "burnt",
    );
    if (record === undefined)
      this.#world.found("C10", `${said.id} was accepted and is not on the disk`);
  }

  #refused(said: Said, error: unknown): void {
    this.#pending.delete(said);
    const known = MeshError.is(error) ? error : undefined;
    const isUnknown = known?.code === "OUTCOME_UNKNOWN" && known.details.written !== false;
    said.outcome = isUnknown ? "unknown" : "refused";
    this.#world.cover(`refused.${known?.code ?? "error"}`);
    this.#world.trace.note(`n${this.#index} refused ${said.id}: ${String(error)}`);
    if (known === undefined) this.#world.found("threw", `publish rejected with ${String(error)}`);
  }

  #note(
    what: Pick<Said, "id" | "kind" | "subject" | "key" | "expires" | "delayed" | "filtered">,
  ): Said {
    const said: Said = {
      ...what,
      node: this.#index,
      order: this.#order++,
      invokedMs: this.#world.time.nowMs,
      outcome: "pending",
      position: undefined,
    };
    this.#world.history.said.push(said);
    this.#world.history.saidById.set(said.id, said);
    this.#pending.add(said);
    return said;
  }

  #id(prefix: string): string {
    return `${prefix}${this.#index}-${this.#order}-${this.#left}`;
  }

  /** Low keys are more frequent. */
  #key(): string {
    const { keys, keyNames } = this.#world.plan.work;
    if (keyNames !== undefined) return this.#random.pick(keyNames);
    return `k${Math.floor(this.#random.fraction() ** 2 * keys)}`;
  }

  #body(id: string): { id: string; pad: string } {
    const { bytesMax } = this.#world.plan.work;
    return { id, pad: "x".repeat(Math.floor(this.#random.fraction() * bytesMax)) };
  }
}
