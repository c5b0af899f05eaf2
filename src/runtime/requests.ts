/**
 * Request and reply: direct, sent once, to one live instance that answers the subject.
 *
 * Problem: the asker must hear an answer or the reason why not, in bounded time, whatever becomes of the
 * peer. Approach: a request without a handler waits for one until its time-out; one that was sent ends by
 * its reply, its time-out, its signal or the loss of the link. Instances take turns, the less busy first.
 *
 * Bound: `requestsMax` under way in each direction; one more is RATE_LIMITED.
 */
import { MeshError } from "../errors.ts";
import type { Timer } from "../ports/clock.ts";
import type { SubscriptionRecord } from "../wire/declare.ts";
import { EnvelopeView } from "../wire/envelope.ts";
import type { RemoteError, ReplyFrame, RequestFrame } from "../wire/request.ts";
import type { Environment } from "./environment.ts";
import type { Link } from "./link/link.ts";

/** The answer to a request, not decoded. */
export type Answer = { readonly contentType: string; readonly payload: Uint8Array };

export type RequestCallback = (error: MeshError | undefined, answer: Answer | undefined) => void;

/** A request at the node that answers it. */
export interface Asked {
  readonly envelope: EnvelopeView;
  readonly producer: string;
  /** Aborts when the asker gave up, its time ran out, or the link broke. */
  readonly signal: AbortSignal;
}

/** Most handlers never look at the signal, which costs more than the rest: made when asked for. */
class AskedRequest implements Asked {
  readonly envelope: EnvelopeView;
  readonly producer: string;
  #controller: AbortController | undefined;
  #aborted = false;

  constructor(envelope: Uint8Array, producer: string) {
    this.envelope = new EnvelopeView(envelope);
    this.producer = producer;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  abort(): void {
    this.#aborted = true;
    this.#controller?.abort();
  }
}

/** Answers a request; rejecting sends the error's name, message, code and details, never its stack. */
export type RequestHandler = (asked: Asked) => Promise<Answer>;

type Pending = {
  readonly id: number;
  readonly subject: string;
  readonly envelope: Uint8Array;
  readonly deadlineMs: number;
  readonly done: RequestCallback;
  handler: RemoteHandler | undefined;
};

type RemoteHandler = {
  readonly link: Link;
  readonly index: number;
  readonly subject: string;
  pending: number;
  draining: boolean;
};

type Local = { readonly handler: RequestHandler; running: number };

export class Requests {
  readonly #env: Environment;
  readonly #handlers = new Map<string, RemoteHandler[]>();
  readonly #pending = new Map<number, Pending>();
  /** Requests in order of deadline are rare to differ in time-out; one timer serves the earliest. */
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  readonly #waiting = new Map<string, Set<Pending>>();
  readonly #local = new Map<number, Local>();
  readonly #asked = new Map<Link, Map<number, AskedRequest>>();
  #nextId = 1;
  #turn = 0;

  constructor(env: Environment) {
    this.#env = env;
  }

  /** Whether somebody answers this subject now. */
  hasHandler(subject: string): boolean {
    return (this.#handlers.get(subject)?.length ?? 0) > 0;
  }

  // --- asking --------------------------------------------------------------------------------

  /** Sends once, or waits for a handler. `done` is called exactly once, never synchronously. Returns how to cancel. */
  ask(
    subject: string,
    envelope: Uint8Array,
    timeoutMs: number,
    done: RequestCallback,
  ): (error: MeshError) => void {
    const { clock, limits } = this.#env;
    const pending: Pending = {
      id: this.#nextId++,
      subject,
      envelope,
      deadlineMs: clock.monotonicMs() + timeoutMs,
      done,
      handler: undefined,
    };
    if (this.#pending.size >= limits.requestsMax) {
      const message = `${this.#pending.size} requests are under way; requestsMax is ${limits.requestsMax}`;
      clock.setTimer(0, () => done(new MeshError("RATE_LIMITED", message), undefined));
      return () => {};
    }
    this.#pending.set(pending.id, pending);
    this.#arm(pending.deadlineMs);
    const handler = this.#pick(subject);
    if (handler === undefined) this.#wait(pending);
    else this.#send(pending, handler);
    return (error) => this.#cancel(pending, error);
  }

  #wait(pending: Pending): void {
    let waiting = this.#waiting.get(pending.subject);
    if (waiting === undefined) {
      waiting = new Set();
      this.#waiting.set(pending.subject, waiting);
    }
    waiting.add(pending);
  }

  #send(pending: Pending, handler: RemoteHandler): void {
    pending.handler = handler;
    handler.pending++;
    const { link, index } = handler;
    const remainingMs = Math.max(1, Math.ceil(pending.deadlineMs - this.#env.clock.monotonicMs()));
    link.send({
      type: "request",
      session: link.session,
      id: pending.id,
      subscription: index,
      remainingMs,
      envelope: pending.envelope,
    });
  }

  /** Of two instances in turn the one with less under way. */
  #pick(subject: string): RemoteHandler | undefined {
    const handlers = this.#handlers.get(subject);
    if (handlers === undefined || handlers.length === 0) return undefined;
    if (handlers.length === 1) return handlers[0];
    this.#turn = (this.#turn + 1) % handlers.length;
    const first = handlers[this.#turn] as RemoteHandler;
    const second = handlers[(this.#turn + 1) % handlers.length] as RemoteHandler;
    return second.pending < first.pending ? second : first;
  }

  reply(link: Link, frame: ReplyFrame): void {
    const pending = this.#pending.get(frame.id);
    if (pending === undefined || pending.handler?.link !== link) {
      this.#env.counters.count("requests.lateReply");
      return;
    }
    this.#finish(pending);
    if (frame.error === undefined) pending.done(undefined, frame);
    else pending.done(remoteError(pending.subject, frame.error), undefined);
  }

  #cancel(pending: Pending, error: MeshError): void {
    if (!this.#pending.has(pending.id)) return;
    const link = pending.handler?.link;
    this.#finish(pending);
    if (link !== undefined) link.send({ type: "cancel", session: link.session, id: pending.id });
    pending.done(error, undefined);
  }

  #finish(pending: Pending): void {
    this.#pending.delete(pending.id);
    if (pending.handler !== undefined) pending.handler.pending--;
    const waiting = this.#waiting.get(pending.subject);
    if (waiting?.delete(pending) === true && waiting.size === 0) {
      this.#waiting.delete(pending.subject);
    }
  }

  /** One timer for the earliest deadline. */
  #arm(deadlineMs: number): void {
    if (deadlineMs >= this.#timerMs) return;
    const { clock } = this.#env;
    if (this.#timer !== undefined) clock.clearTimer(this.#timer);
    this.#timerMs = deadlineMs;
    this.#timer = clock.setTimer(Math.max(0, deadlineMs - clock.monotonicMs()), () => {
      this.#timer = undefined;
      this.#timerMs = Number.POSITIVE_INFINITY;
      this.#expire();
    });
  }

  #expire(): void {
    const now = this.#env.clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const pending of [...this.#pending.values()]) {
      if (pending.deadlineMs <= now) this.#cancel(pending, timedOut(pending));
      else nextMs = Math.min(nextMs, pending.deadlineMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#arm(nextMs);
  }

  // --- handlers of peers ---------------------------------------------------------------------

  declared(link: Link, record: SubscriptionRecord): void {
    const handlers = this.#handlers.get(record.pattern) ?? [];
    const handler: RemoteHandler = {
      link,
      index: record.index,
      subject: record.pattern,
      pending: 0,
      draining: false,
    };
    this.#handlers.set(record.pattern, [...handlers, handler]);
    link.send({
      type: "declared",
      session: link.session,
      confirmations: [{ subscription: record.index, code: "", message: "" }],
    });
    const waiting = this.#waiting.get(record.pattern);
    this.#waiting.delete(record.pattern);
    for (const pending of waiting ?? []) this.#send(pending, this.#pick(record.pattern) ?? handler);
  }

  /** The instance answers no new request. */
  removed(link: Link, index: number): void {
    this.#forget((handler) => handler.link === link && handler.index === index);
  }

  linkDown(link: Link): void {
    this.#forget((handler) => handler.link === link);
    for (const pending of [...this.#pending.values()]) {
      if (pending.handler?.link !== link) continue;
      this.#finish(pending);
      const message = `the link broke while "${pending.subject}" was under way; it may have been handled`;
      pending.done(new MeshError("PEER_LOST", message), undefined);
    }
    for (const asked of this.#asked.get(link)?.values() ?? []) asked.abort();
    this.#asked.delete(link);
  }

  #forget(gone: (handler: RemoteHandler) => boolean): void {
    for (const [subject, handlers] of this.#handlers) {
      const left = handlers.filter((handler) => !gone(handler));
      if (left.length === handlers.length) continue;
      if (left.length === 0) this.#handlers.delete(subject);
      else this.#handlers.set(subject, left);
    }
  }

  // --- answering -----------------------------------------------------------------------------

  answer(index: number, handler: RequestHandler): void {
    this.#local.set(index, { handler, running: 0 });
  }

  /** Requests of this subscription that run here. */
  running(index: number): number {
    return this.#local.get(index)?.running ?? 0;
  }

  unanswer(index: number): void {
    this.#local.delete(index);
  }

  asked(link: Link, frame: RequestFrame): void {
    const local = this.#local.get(frame.subscription);
    if (local === undefined) {
      this.#refuse(link, frame.id, "NO_HANDLER", "the handler has stopped");
      return;
    }
    let running = this.#asked.get(link);
    if (running === undefined) {
      running = new Map();
      this.#asked.set(link, running);
    }
    if (running.size >= this.#env.limits.requestsMax) {
      const message = `${running.size} requests of this peer are under way`;
      this.#refuse(link, frame.id, "RATE_LIMITED", message);
      return;
    }
    const asked = new AskedRequest(frame.envelope, link.peer.nodeId);
    running.set(frame.id, asked);
    local.running++;
    const finish = () => {
      local.running--;
      running.delete(frame.id);
    };
    let answer: Promise<Answer>;
    try {
      answer = local.handler(asked);
    } catch (error) {
      answer = Promise.reject(error);
    }
    answer.then(
      ({ contentType, payload }) => {
        finish();
        link.send({ type: "reply", session: link.session, id: frame.id, contentType, payload });
      },
      (error: unknown) => {
        finish();
        this.#fail(link, frame.id, error);
      },
    );
  }

  cancelled(link: Link, id: number): void {
    this.#asked.get(link)?.get(id)?.abort();
  }

  /** Everything under way ends with this error. */
  stop(error: MeshError): void {
    if (this.#timer !== undefined) this.#env.clock.clearTimer(this.#timer);
    for (const pending of [...this.#pending.values()]) this.#cancel(pending, error);
  }

  #refuse(link: Link, id: number, code: string, message: string): void {
    const error = { name: "MeshError", message, code, details: "" };
    this.#sendError(link, id, error);
  }

  #fail(link: Link, id: number, thrown: unknown): void {
    const error = thrown instanceof Error ? thrown : new Error(String(thrown));
    const { code, details } = error as { code?: unknown; details?: unknown };
    this.#env.logger.warn("request handler failed", { error: error.message, stack: error.stack });
    this.#sendError(link, id, {
      name: error.name,
      message: error.message,
      code: typeof code === "string" ? code : "",
      details: jsonOf(details),
    });
  }

  #sendError(link: Link, id: number, error: RemoteError): void {
    const { session } = link;
    const payload = new Uint8Array(0);
    link.send({ type: "reply", session, id, error, contentType: "application/json", payload });
  }
}

const DETAILS_MAX = 16_384;

const jsonOf = (details: unknown): string => {
  if (details === undefined) return "";
  try {
    const json = JSON.stringify(details) ?? "";
    return json.length <= DETAILS_MAX ? json : "";
  } catch {
    return ""; // a cycle or a BigInt: the error goes without its details
  }
};

const timedOut = (pending: Pending): MeshError =>
  pending.handler === undefined
    ? new MeshError("NO_HANDLER", `nobody answered "${pending.subject}" before its time-out`)
    : new MeshError("TIMEOUT", `no reply to "${pending.subject}" before its time-out`);

/** Codes of the answering side's runtime that mean the same to the asker. */
const OWN_CODES = new Set(["NO_HANDLER", "RATE_LIMITED"] as const);

const remoteError = (subject: string, error: RemoteError): MeshError => {
  if (error.name === "MeshError" && OWN_CODES.has(error.code as "NO_HANDLER")) {
    return new MeshError(error.code as "NO_HANDLER", error.message);
  }
  const { name, message, code } = error;
  let details: unknown;
  try {
    details = error.details === "" ? undefined : JSON.parse(error.details);
  } catch {
    details = undefined;
  }
  return new MeshError("REMOTE_ERROR", `"${subject}" failed: ${name}: ${message}`, {
    details: { name, message, code, details },
  });
};
