/**
 * One run: starts the shop, lets orders flow, kills and restarts the victim, waits until all is quiet,
 * stops everything, and judges what the recorder saw.
 */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunOptions } from "./arguments.ts";
import { checkHistory, type Effect, type Verdict } from "./check-history.ts";
import { Cluster, type Instance } from "./cluster.ts";
import { diagnose } from "./diagnosis.ts";
import { INVENTORY_INSTANCES, type KillPlan, killPlanOf } from "./kill-plan.ts";
import type { FromService, InstanceSpec, LedgerSums, Role } from "./messages.ts";
import { orderIdAt } from "./order-book.ts";
import type { Show } from "./progress.ts";

export type Outcome = Verdict & {
  readonly kills: number;
  /** The instance that was killed, or "". */
  readonly killed: string;
  readonly seconds: number;
  readonly effects: number;
  /** Starts of handlers beyond the first of each message: retries, and what a kill interrupted. */
  readonly handlerRepeats: number;
  /** All nodes together: accepted = acked + dead + expired + abandoned + damaged + pending. */
  readonly ledger: LedgerSums;
  /** Empty, or why the run was ended before it was done. */
  readonly diagnosis: readonly string[];
};

export type RunSettings = RunOptions & {
  /** 0: as fast as they are accepted. */
  readonly ordersPerSecond: number;
  /** The run is given up after this. */
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
};

const TICK_MS = 50;
/** Nothing was seen for so long, and nothing is owed: the run is over. */
const QUIET_MS = 500;

export const runCluster = async (settings: RunSettings, show: Show): Promise<Outcome> => {
  const folder = await mkdtemp(join(tmpdir(), "meshbus-cluster-"));
  const run = new Run(settings, show, folder);
  try {
    return await run.conduct();
  } finally {
    await run.cluster.stop();
    await rm(folder, { recursive: true, force: true });
  }
};

class Run {
  readonly cluster: Cluster;
  readonly #settings: RunSettings;
  readonly #show: Show;
  readonly #plan: KillPlan | undefined;
  readonly #startMs = performance.now();
  readonly #effects: Effect[] = [];
  readonly #seen = new Map<string, number>();
  #lastEffectMs = 0;
  #killed: "not yet" | "killing" | "back" = "not yet";
  #flowing = false;
  #crash: string | undefined;

  constructor(settings: RunSettings, show: Show, folder: string) {
    const { kill, orders, seed } = settings;
    this.#settings = settings;
    this.#show = show;
    this.#plan = killPlanOf(kill, orders, seed);
    this.cluster = new Cluster(specsOf(settings, folder), {
      message: (instance, message) => this.#heard(instance, message),
      crashed: (instance, how) => {
        this.#crash ??= `${instance.spec.name} ended by itself: ${how}`;
      },
      log: ({ spec }, line) => show.say(`${spec.name}: ${line}`),
    });
  }

  async conduct(): Promise<Outcome> {
    this.cluster.start();
    let failure: string | undefined;
    while (failure === undefined && !this.#isDone()) {
      await new Promise((resolve) => setTimeout(resolve, TICK_MS));
      this.#show.update(this.#progress());
      failure = this.#failure();
    }
    const seconds = Math.round(performance.now() - this.#startMs) / 1_000;
    const diagnosis =
      failure === undefined ? [] : diagnose(failure, this.#progress(), this.#effects);
    await this.cluster.stop();
    this.#show.update(this.#progress());
    return { ...(await this.#judge()), seconds, diagnosis };
  }

  async #judge(): Promise<Omit<Outcome, "seconds" | "diagnosis">> {
    const { orders } = this.#settings;
    const orderIds = Array.from({ length: orders }, (_, index) => orderIdAt(index));
    const wasKilled = this.#killed !== "not yet";
    return {
      ...checkHistory(orderIds, this.#effects),
      kills: wasKilled ? 1 : 0,
      killed: wasKilled ? (this.#plan?.name ?? "") : "",
      effects: this.#effects.length,
      handlerRepeats: await repeatsIn(this.cluster.instances),
      ledger: sumLedgers(this.cluster.instances),
    };
  }

  #heard(instance: Instance, message: FromService): void {
    if (message.type === "ready") this.#ready(instance);
    if (message.type !== "effects") return;
    for (const effect of message.effects) {
      this.#effects.push(effect);
      this.#seen.set(effect.subject, (this.#seen.get(effect.subject) ?? 0) + 1);
    }
    this.#lastEffectMs = performance.now();
    this.#killWhenDue();
  }

  #ready(instance: Instance): void {
    const { instances } = this.cluster;
    if (this.#flowing) {
      this.#say(`${instance.spec.name} is back, on the same data folder`);
      this.#killed = "back";
      if (instance.spec.role === "orders") this.cluster.tell(instance, { type: "go" });
    } else if (instances.every(({ state }) => state === "up")) {
      this.#flowing = true;
      this.#say("all processes listen: orders flow");
      for (const one of instances) this.cluster.tell(one, { type: "go" });
    }
  }

  #killWhenDue(): void {
    const plan = this.#plan;
    if (plan === undefined || this.#killed !== "not yet") return;
    const count = plan.subjects.reduce((sum, name) => sum + (this.#seen.get(name) ?? 0), 0);
    const victim = this.cluster.instances.find(({ spec }) => spec.name === plan.name);
    if (count < plan.events || victim === undefined) return;
    this.#killed = "killing";
    this.#say(`${plan.name} is killed with SIGKILL after ${count} x ${plan.subjects.join(" or ")}`);
    void this.cluster.kill(victim).then(() => {
      setTimeout(() => {
        if (victim.state === "killed" && !this.#settings.signal.aborted) {
          this.#say(`${plan.name} starts again`);
          this.cluster.restart(victim);
        }
      }, plan.restartAfterMs);
    });
  }

  /** Every order has ended, everybody is up, nothing is owed, and nothing came for a while. */
  #isDone(): boolean {
    if ((this.#seen.get("customer.notified") ?? 0) < this.#settings.orders) return false;
    if (performance.now() - this.#lastEffectMs < QUIET_MS) return false;
    return this.cluster.instances.every(
      ({ state, status, statusAtMs }) =>
        state === "up" && status?.ledger.pending === 0 && statusAtMs > this.#lastEffectMs,
    );
  }

  #failure(): string | undefined {
    const { signal, deadlineMs } = this.#settings;
    if (this.#crash !== undefined) return this.#crash;
    if (signal.aborted) return "interrupted";
    if (performance.now() - this.#startMs < deadlineMs) return undefined;
    return `not done after ${deadlineMs / 1_000} s`;
  }

  #progress() {
    const { orders, seed } = this.#settings;
    const elapsedMs = performance.now() - this.#startMs;
    const { instances } = this.cluster;
    return { orders, seed, elapsedMs, instances, seen: this.#seen };
  }

  #say(line: string): void {
    const seconds = ((performance.now() - this.#startMs) / 1_000).toFixed(2);
    this.#show.say(`${seconds} s: ${line}`);
  }
}

/** Meshes of other names on this network do not meet: each run has its own. */
const specsOf = (settings: RunSettings, folder: string): InstanceSpec[] => {
  const { orders, seed, ordersPerSecond } = settings;
  const mesh = `shop-${randomBytes(4).toString("hex")}`;
  const spec = (role: Role, name: string): InstanceSpec => ({
    role,
    name,
    mesh,
    dataDir: join(folder, name),
    startsFile: join(folder, `${name}.starts`),
    orders,
    seed,
    ordersPerSecond,
  });
  return [
    spec("orders", "orders"),
    ...Array.from({ length: INVENTORY_INSTANCES }, (_, at) =>
      spec("inventory", `inventory-${at + 1}`),
    ),
    spec("payment", "payment"),
    spec("shipping", "shipping"),
    spec("notification", "notification"),
    spec("recorder", "recorder"),
  ];
};

/** Starts of handlers beyond the first per service and message. */
const repeatsIn = async (instances: readonly Instance[]): Promise<number> => {
  let starts = 0;
  const messages = new Set<string>();
  for (const { spec } of instances) {
    const text = await readFile(spec.startsFile, "utf8").catch(() => "");
    for (const line of text.split("\n")) {
      if (line === "") continue;
      starts++;
      messages.add(`${spec.role} ${line}`);
    }
  }
  return starts - messages.size;
};

const sumLedgers = (instances: readonly Instance[]): LedgerSums => {
  const sums = { accepted: 0, acked: 0, dead: 0, expired: 0, abandoned: 0, damaged: 0, pending: 0 };
  for (const { status } of instances) {
    if (status === undefined) continue;
    for (const name of Object.keys(sums) as (keyof LedgerSums)[]) sums[name] += status.ledger[name];
  }
  return sums;
};
