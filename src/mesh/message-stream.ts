/**
 * `node.messages()`: a subscription read with `for await`, each message settled by hand.
 *
 * Bounded by the subscription's `concurrency`: so many messages are out and unsettled at a time. A message
 * not settled within `timeoutMs` has failed that attempt; settling it later throws ALREADY_SETTLED.
 * When the stream ends, what is out and unsettled goes back as not attempted, so that ending waits for
 * nobody's time-out.
 */
import { MeshError } from "../errors.ts";
import { Deferred, RetryLater, Unrecoverable } from "../runtime/consumer/outcome.ts";
import type { HandlerContext } from "./handler-context.ts";
import type { Subscription } from "./subscription.ts";

export class ManualMessage<T> {
  readonly data: T;
  readonly ctx: HandlerContext;
  readonly #settle: (error: unknown) => void;
  #settled = false;

  constructor(data: T, ctx: HandlerContext, settle: (error: unknown) => void) {
    this.data = data;
    this.ctx = ctx;
    this.#settle = settle;
  }

  /** Handled. @throws MeshError ALREADY_SETTLED */
  async ack(): Promise<void> {
    this.#end(undefined);
  }

  /** A failed attempt; tried again after `delayMs` (default: the retry schedule). @throws MeshError ALREADY_SETTLED */
  async nack(options: { readonly delayMs?: number } = {}): Promise<void> {
    this.#end(new RetryLater(options.delayMs));
  }

  /** No retry can help. @throws MeshError ALREADY_SETTLED */
  async deadLetter(reason: string): Promise<void> {
    this.#end(new Unrecoverable(reason));
  }

  /** Gives it back unless it was settled; no attempt. @internal */
  giveBack(): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#settle(new Deferred(0, "the stream ended"));
  }

  #end(error: unknown): void {
    const late = this.ctx.signal.aborted;
    if (late) this.giveBack(); // the key need not wait for this reader any longer
    if (this.#settled || late) {
      const id = this.ctx.message.id;
      throw new MeshError(
        "ALREADY_SETTLED",
        `message ${id} was settled before, or its time is over`,
      );
    }
    this.#settled = true;
    this.#settle(error);
  }
}

export class MessageStream<T> implements AsyncIterableIterator<ManualMessage<T>> {
  readonly #waiting: ManualMessage<T>[] = [];
  /** Waiting or with the reader, and unsettled. */
  readonly #out = new Set<ManualMessage<T>>();
  readonly #readers: ((result: IteratorResult<ManualMessage<T>>) => void)[] = [];
  readonly #subscribe: (
    handler: (data: T, ctx: HandlerContext) => Promise<void>,
  ) => Promise<Subscription>;
  #subscription: Promise<Subscription> | undefined;
  #ended = false;

  constructor(
    subscribe: (handler: (data: T, ctx: HandlerContext) => Promise<void>) => Promise<Subscription>,
  ) {
    this.#subscribe = subscribe;
  }

  /** Subscribes now instead of at the first `next`; resolves as `subscribe` does. */
  start(): Promise<Subscription> {
    this.#subscription ??= this.#subscribe((data, ctx) => this.#take(data, ctx));
    return this.#subscription;
  }

  async next(): Promise<IteratorResult<ManualMessage<T>>> {
    await this.start();
    const message = this.#waiting.shift();
    if (message !== undefined) return { done: false, value: message };
    if (this.#ended) return { done: true, value: undefined };
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  /** Ends the subscription; what was not settled is delivered again, elsewhere or later. */
  async return(): Promise<IteratorResult<ManualMessage<T>>> {
    this.end();
    if (this.#subscription !== undefined) await (await this.#subscription).stop();
    return { done: true, value: undefined };
  }

  end(): void {
    this.#ended = true;
    this.#waiting.length = 0;
    for (const message of this.#out) message.giveBack();
    for (const reader of this.#readers.splice(0)) reader({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #take(data: T, ctx: HandlerContext): Promise<void> {
    return new Promise((resolve, reject) => {
      const message = new ManualMessage(data, ctx, (error) => {
        this.#out.delete(message);
        if (error === undefined) resolve();
        else reject(error);
      });
      if (this.#ended) {
        message.giveBack();
        return;
      }
      this.#out.add(message);
      ctx.signal.addEventListener("abort", () => this.#expired(message), { once: true });
      const reader = this.#readers.shift();
      if (reader !== undefined) reader({ done: false, value: message });
      else this.#waiting.push(message);
    });
  }
  /** Its time is over: nobody needs to see it who has not yet; a reader that has it may still end it. */
  #expired(message: ManualMessage<T>): void {
    this.#out.delete(message);
    const at = this.#waiting.indexOf(message);
    if (at < 0) return;
    this.#waiting.splice(at, 1);
    message.giveBack();
  }
}
