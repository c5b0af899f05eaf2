/**
 * One streaming call of a client: messages in, items out.
 *
 * Problem: grpc-js writes one message a turn of the event loop, buffers sixteen read messages of any size, and
 * keeps for ever what a client does not read. Approach: items gather and leave as one message when the one
 * before has been taken; a message is read only when this side asks for it; every byte that waits is on the
 * client's budget.
 *
 * Invariants: one message at a time is with HTTP/2; what is held back is neither read nor buffered here;
 * `over` is called once, and nothing is called after it; the call's bytes leave the budget when it is over.
 */
import type { ServerDuplexStream } from "@grpc/grpc-js";
import { MeshError } from "../errors.ts";
import type { Clock } from "../ports/clock.ts";
import type { Logger } from "../ports/logger.ts";
import type { ByteBudget } from "./byte-budget.ts";
import { statusOf } from "./call-errors.ts";
import type { GatewayClient } from "./gateway-client.ts";

/** Whoever runs the call. */
export interface CallOwner {
  /** A message. What it throws ends the call. */
  heard(message: unknown): void;
  /** Nothing more is heard: the client sends no more, or the call is to end. */
  heardLast(): void;
  /** The call has ended, by whomever. */
  over(): void;
  /** Items were taken. */
  taken(): void;
}

export type CallHost = { readonly clock: Clock; readonly logger: Logger };

type Item = { readonly field: string; readonly value: unknown; readonly bytes: number };
type Message = Record<string, unknown>;
type Stream = ServerDuplexStream<unknown, unknown>;

const MESSAGE_BYTES = 65_536;
const ITEMS_MAX = 256;

export class ClientCall {
  readonly client: GatewayClient;
  /** Aborts when the call is over. */
  readonly signal: AbortSignal;
  readonly #stream: Stream;
  readonly #budget: ByteBudget;
  readonly #host: CallHost;
  readonly #controller = new AbortController();
  readonly #items: Item[] = [];
  #owner: CallOwner | undefined;
  #unsentBytes = 0;
  #unsentItems = 0;
  #isWriting = false;
  #isScheduled = false;
  #isFinished = false;
  #isOver = false;
  #isHeld = false;
  #wantsRead = false;
  readonly #read: () => void;

  /** What waits to be sent is on `budget`. */
  constructor(stream: Stream, client: GatewayClient, budget: ByteBudget, host: CallHost) {
    this.#stream = stream;
    this.client = client;
    this.#budget = budget;
    this.#host = host;
    this.signal = this.#controller.signal;
    const read = stream._read.bind(stream);
    this.#read = () => read(1);
    stream._read = () => {
      if (this.#isHeld) this.#wantsRead = true;
      else this.#read();
    };
  }

  /** Items and bytes that HTTP/2 has not taken. */
  get unsentItems(): number {
    return this.#unsentItems;
  }

  get unsentBytes(): number {
    return this.#unsentBytes;
  }

  get isFinished(): boolean {
    return this.#isFinished || this.#isOver;
  }

  start(owner: CallOwner): void {
    this.#owner = owner;
    const stream = this.#stream;
    stream.on("data", (message: unknown) => this.#heard(message));
    stream.once("end", () => {
      if (!this.isFinished) owner.heardLast();
    });
    stream.once("cancelled", () => this.#over());
    if (stream.cancelled) this.#over();
  }

  /** Reads nothing more until `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    if (!this.#wantsRead) return;
    this.#wantsRead = false;
    this.#read();
  }

  /** Puts a value in that list of the next message. */
  push(field: string, value: unknown, bytes: number): void {
    if (this.isFinished) return;
    this.#items.push({ field, value, bytes });
    this.#unsentBytes += bytes;
    this.#unsentItems++;
    this.#budget.add(bytes);
    if (this.#isWriting || this.#isScheduled) return;
    this.#isScheduled = true;
    this.#host.clock.endOfTurn(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  /** Sends a message of its own at once, after what waits. */
  say(message: Message): void {
    if (this.isFinished) return;
    while (this.#items.length > 0) this.#write(this.#next());
    this.#write({ message, bytes: 0, items: 0 });
  }

  /** Ends the call after what waits: with OK, or for a reason. */
  finish(error?: unknown): void {
    if (this.isFinished) return;
    while (this.#items.length > 0) this.#write(this.#next());
    this.#isFinished = true;
    this.release(); // so that the client's end is seen
    if (error === undefined) this.#stream.end();
    else this.#stream.emit("error", statusOf(error));
  }

  /** Ends the call, and what runs it, for a reason. */
  abandon(error: unknown): void {
    if (this.isFinished) return;
    this.finish(error);
    this.#owner?.heardLast();
  }

  #heard(message: unknown): void {
    if (this.isFinished) return;
    try {
      this.#owner?.heard(message);
    } catch (error) {
      if (!MeshError.is(error)) {
        this.#host.logger.error("a call of the gateway failed", { error });
      }
      this.abandon(error);
    }
  }

  #flush(): void {
    if (this.#isWriting || this.#isOver || this.#items.length === 0) return;
    this.#write(this.#next());
  }

  /** As many of the items that wait as one message should have; at least one. */
  #next(): { message: Message; bytes: number; items: number } {
    const message: Record<string, unknown[]> = {};
    let bytes = 0;
    let items = 0;
    for (const { field, value, bytes: size } of this.#items) {
      if (items > 0 && (items >= ITEMS_MAX || bytes + size > MESSAGE_BYTES)) break;
      message[field] ??= [];
      message[field].push(value);
      bytes += size;
      items++;
    }
    this.#items.splice(0, items);
    return { message, bytes, items };
  }

  #write({ message, bytes, items }: { message: Message; bytes: number; items: number }): void {
    this.#isWriting = true;
    this.#stream.write(message, () => {
      if (this.#isOver) return;
      this.#isWriting = false;
      this.#unsentBytes -= bytes;
      this.#unsentItems -= items;
      this.#budget.remove(bytes);
      this.#flush();
      this.#owner?.taken();
    });
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#budget.remove(this.#unsentBytes);
    this.#items.length = 0;
    this.#owner?.over();
    this.#controller.abort();
  }
}
