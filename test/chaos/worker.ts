/** Handles what the sources say: takes its time, fails now and then, writes to the store, sends. */
import type { HandlerContext, MeshNode } from "meshbus";
import { xxh32Bytes } from "../../src/testing/xxh32.ts";
import { nowMs } from "./chaos-record.ts";
import type { StoreClient } from "./fenced-store.ts";
import { COMMAND, EFFECT, EVENT, type ProcessSpec, SUBSCRIPTIONS } from "./process-spec.ts";
import { tell } from "./teller.ts";

const FLAKY = 0.01;
const SLOW = 0.03;
const SLOW_MS = 120;
const QUICK_MS = 6;
const CONCURRENCY = 32;
const RETRY = { attempts: 20, baseMs: 10, capMs: 500 };
/**
 * While a network is parted, the store is reached from both sides, and refuses the side with the smaller fences:
 * its handlers fail until the network is whole.
 */
const PATIENT = { ...RETRY, attempts: 10_000 };

type Body = { readonly id: string };

export class Worker {
  readonly #spec: ProcessSpec;
  readonly #store: StoreClient;
  readonly #ended: () => void;
  #runs = 0;
  #running = 0;

  constructor(spec: ProcessSpec, store: StoreClient, ended: () => void) {
    this.#spec = spec;
    this.#store = store;
    this.#ended = ended;
  }

  get isBusy(): boolean {
    return this.#running > 0;
  }

  async listen(node: MeshNode): Promise<void> {
    const retry = this.#spec.place === undefined ? RETRY : PATIENT;
    const options = { durable: true, concurrency: CONCURRENCY, retry };
    const { worker, tally, order } = SUBSCRIPTIONS;
    await Promise.all([
      node.subscribe(EVENT, this.#handler(worker), options),
      node.subscribe(EVENT, this.#handler(tally), { ...options, group: "tally" }),
      node.handle(COMMAND, this.#handler(order), options),
    ]);
  }

  #handler({ id: subscription, sends }: { readonly id: string; readonly sends: boolean }) {
    return async (data: unknown, ctx: HandlerContext): Promise<void> => {
      const { id } = data as Body;
      const { key = "", attempt, producer, position } = ctx.message;
      const run = `${this.#spec.name}.${this.#spec.life}.${this.#runs++}`;
      const fence = String(ctx.fence);
      const about = { run, subscription, id, producer, ...position, key, attempt, fence };
      tell({ e: "start", atMs: nowMs(), ...about });
      this.#running++;
      let outcome: "ok" | "failed" | "revoked" = "failed";
      try {
        await this.#work(run, subscription, id, ctx, sends);
        outcome = ctx.signal.aborted ? "revoked" : "ok";
      } finally {
        this.#running--;
        tell({ e: "end", atMs: nowMs(), run, outcome });
        this.#ended();
      }
    };
  }

  async #work(
    run: string,
    subscription: string,
    id: string,
    ctx: HandlerContext,
    sends: boolean,
  ): Promise<void> {
    const { key = "", attempt } = ctx.message;
    if (attempt === 1 && fateOf(id, subscription, "flaky") < FLAKY) throw new Error("flaky");
    const isSlow = fateOf(id, subscription, "slow") < SLOW;
    const ms = fateOf(id, subscription, "ms") * (isSlow ? SLOW_MS : QUICK_MS);
    await new Promise((resolve) => setTimeout(resolve, ms));
    if (!sends) return;
    const fence = String(ctx.fence);
    if (!(await this.#store.write({ run, key: `${subscription} ${key}`, fence }))) {
      throw new Error(`the store has seen a larger fence than ${fence}`);
    }
    ctx.publish(EFFECT, { id, run }, { key });
  }
}

/** Depends on the message and the subscription only: whoever handles it, it meets the same fate. */
const fateOf = (id: string, subscription: string, what: string): number =>
  xxh32Bytes(Buffer.from(`${what} ${id} ${subscription}`)) / 0x1_0000_0000;
