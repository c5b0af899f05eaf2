/**
 * What this node listens to, said to every peer and confirmed by each.
 *
 * Problem: a subscription is real for a producer only once the producer has it on disk; the caller wants to
 * know when that is so everywhere, without waiting for ever. Approach: every session begins with the whole
 * list; later changes go to all; `announce` waits for the peers that are linked at the time.
 */
import { MeshError } from "../../errors.ts";
import type { DeclaredFrame, EndedSubscription, SubscriptionRecord } from "../../wire/declare.ts";
import type { Environment } from "../environment.ts";
import type { Link } from "../link/link.ts";

type Waiter = {
  readonly index: number;
  readonly missing: Set<string>;
  readonly done: (unconfirmed: readonly string[], refusal: MeshError | undefined) => void;
};

/** A peer refused a subscription after it was confirmed or while nobody waits. */
export type RefusalHandler = (index: number, refusal: MeshError) => void;

const REFUSALS = new Set([
  "COMMAND_CLAIMED",
  "SUBSCRIPTION_MISMATCH",
  "SUBSCRIPTION_LIMIT",
  "UNAUTHORIZED",
] as const);
type RefusalCode = typeof REFUSALS extends Set<infer Code> ? Code : never;

export class Declarations {
  readonly #env: Environment;
  readonly #links: () => Iterable<{ nodeId: string; link: Link }>;
  readonly #onRefused: RefusalHandler;
  readonly #records = new Map<number, SubscriptionRecord>();
  readonly #draining = new Set<number>();
  readonly #waiters = new Set<Waiter>();
  #nextIndex = 1;

  constructor(
    env: Environment,
    links: () => Iterable<{ nodeId: string; link: Link }>,
    onRefused: RefusalHandler,
  ) {
    this.#env = env;
    this.#links = links;
    this.#onRefused = onRefused;
  }

  get size(): number {
    return this.#records.size;
  }

  newIndex(): number {
    return this.#nextIndex++;
  }

  records(): IterableIterator<SubscriptionRecord> {
    return this.#records.values();
  }

  /** Tells every peer. `done` hears which linked ones did not confirm within `confirmTimeoutMs`. */
  announce(record: SubscriptionRecord, done: Waiter["done"]): void {
    this.#records.set(record.index, record);
    const missing = new Set<string>();
    for (const { nodeId, link } of this.#links()) {
      missing.add(nodeId);
      this.#send(link, { add: [record] });
    }
    const waiter: Waiter = { index: record.index, missing, done };
    if (missing.size === 0) {
      done([], undefined);
      return;
    }
    this.#waiters.add(waiter);
    this.#env.clock.setTimer(this.#env.times.confirmTimeoutMs, () =>
      this.#finish(waiter, undefined),
    );
  }

  /** The member takes nothing more. */
  drain(index: number): void {
    this.#draining.add(index);
    for (const { link } of this.#links()) this.#send(link, { drain: [index] });
  }

  remove(index: number): void {
    this.#records.delete(index);
    this.#draining.delete(index);
    for (const { link } of this.#links()) this.#send(link, { remove: [index] });
  }

  /** A durable subscription ends for good, by name. */
  end(ended: EndedSubscription): void {
    for (const { link } of this.#links()) this.#send(link, { ended: [ended] });
  }

  linkUp(link: Link): void {
    const drain = [...this.#draining];
    this.#send(link, { add: [...this.#records.values()], drain, complete: true });
  }

  linkDown(nodeId: string): void {
    for (const waiter of [...this.#waiters]) this.#confirmed(waiter, nodeId);
  }

  declared(nodeId: string, frame: DeclaredFrame): void {
    for (const { subscription, code, message } of frame.confirmations) {
      const refusal = code === "" ? undefined : refusalOf(code, message);
      const waiters = [...this.#waiters].filter((waiter) => waiter.index === subscription);
      for (const waiter of waiters) {
        if (refusal === undefined) this.#confirmed(waiter, nodeId);
        else this.#finish(waiter, refusal);
      }
      if (refusal !== undefined && waiters.length === 0 && this.#records.has(subscription)) {
        this.#onRefused(subscription, refusal);
      }
    }
  }

  #send(
    link: Link,
    change: {
      add?: readonly SubscriptionRecord[];
      drain?: readonly number[];
      remove?: readonly number[];
      complete?: boolean;
      ended?: readonly EndedSubscription[];
    },
  ): void {
    link.send({
      type: "declare",
      session: link.session,
      add: [],
      drain: [],
      remove: [],
      complete: false,
      ended: [],
      ...change,
    });
  }

  #confirmed(waiter: Waiter, nodeId: string): void {
    waiter.missing.delete(nodeId);
    if (waiter.missing.size === 0) this.#finish(waiter, undefined);
  }

  #finish(waiter: Waiter, refusal: MeshError | undefined): void {
    if (!this.#waiters.delete(waiter)) return;
    waiter.done([...waiter.missing], refusal);
  }
}

const refusalOf = (code: string, message: string): MeshError => {
  const known = REFUSALS.has(code as RefusalCode);
  return new MeshError(known ? (code as RefusalCode) : "SUBSCRIPTION_MISMATCH", message, {
    details: { code },
  });
};
