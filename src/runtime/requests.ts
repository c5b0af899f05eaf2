/**
 * The asking side of request and reply: direct, sent once, to one live instance that answers the subject.
 *
 * Problem: the asker must hear an answer or the reason why not, in bounded time, whatever becomes of the
 * peer. Approach: a request without a handler waits for one until its time-out; one that was sent ends by
 * its reply, its time-out, its signal or the loss of the link. Instances take turns, the less busy first. One
 * that refuses has not begun: another is asked, each once, so that an instance that refuses everything, and
 * is never busy, does not draw all requests to itself.
 *
 * Bounds: `requestsMax` under way, one more is RATE_LIMITED; `subscriptionsMax` handlers of each peer.
 */
import { MeshError } from "../errors.ts";
import type { Timer } from "../ports/clock.ts";
import type { SubscriptionRecord } from "../wire/declare.ts";
import type { UnwrittenEnvelope } from "../wire/envelope.ts";
import { envelopeBytesOf, type RemoteError, type ReplyFrame } from "../wire/request.ts";
import type { Environment } from "./environment.ts";
import type { Link } from "./link/link.ts";

/** The answer to a request, not decoded. */
export type Answer = { readonly contentType: string; readonly payload: Uint8Array };

export type RequestCallback = (error: MeshError | undefined, answer: Answer | undefined) => void;

type Pending = {
  readonly id: number;
  readonly subject: string;
  readonly envelope: UnwrittenEnvelope;
  readonly deadlineMs: number;
  readonly done: RequestCallback;
  handler: RemoteHandler | undefined;
  /** Those that did not begin to handle it. */
  refusedBy: Set<RemoteHandler> | undefined;
};

type RemoteHandler = {
  readonly link: Link;
  readonly index: number;
  pending: number;
};

export class Requests {
  readonly #env: Environment;
  readonly #handlers = new Map<string, RemoteHandler[]>();
  readonly #pending = new Map<number, Pending>();
  /** Requests in order of deadline are rare to differ in time-out; one timer serves the earliest. */
  #timer: Timer | undefined;
  #timerMs = Number.POSITIVE_INFINITY;
  readonly #waiting = new Map<string, Set<Pending>>();
  /** What each link declared: bounds it, and tells repeats. */
  readonly #declared = new Map<Link, Set<number>>();
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

  /** Sends once, or waits for a handler. `done` is called exactly once, never synchronously. Returns what `cancel` takes. */
  ask(
    subject: string,
    envelope: UnwrittenEnvelope,
    timeoutMs: number,
    done: RequestCallback,
  ): number {
    const { clock, limits } = this.#env;
    const pending: Pending = {
      id: this.#nextId++,
      subject,
      envelope,
      deadlineMs: clock.monotonicMs() + timeoutMs,
      done,
      handler: undefined,
      refusedBy: undefined,
    };
    if (this.#pending.size >= limits.requestsMax) {
      const message = `${this.#pending.size} requests are under way; requestsMax is ${limits.requestsMax}`;
      clock.setTimer(0, () => done(new MeshError("RATE_LIMITED", message), undefined));
      return pending.id;
    }
    this.#pending.set(pending.id, pending);
    this.#arm(pending.deadlineMs);
    const handler = this.#pick(subject);
    if (handler === undefined) this.#wait(pending);
    else this.#send(pending, handler);
    return pending.id;
  }

  /** The asker has given up; nothing happens when it is over. */
  cancel(id: number, error: MeshError): void {
    const pending = this.#pending.get(id);
    if (pending !== undefined) this.#cancel(pending, error);
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
    const { link, index } = handler;
    const refusal = link.pieces.refusal(envelopeBytesOf(pending.envelope));
    if (refusal !== undefined) {
      this.#env.clock.setTimer(0, () => this.cancel(pending.id, refusal));
      return;
    }
    pending.handler = handler;
    handler.pending++;
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

  /** It was refused: whether another instance is asked instead. */
  #askAnother(pending: Pending): boolean {
    const { handler, subject } = pending;
    if (handler === undefined) return false;
    pending.refusedBy ??= new Set();
    pending.refusedBy.add(handler);
    const another = this.#pick(subject, pending.refusedBy);
    if (another === undefined) return false;
    left(handler, pending.id);
    this.#env.counters.count("requests.askedAnother");
    this.#send(pending, another);
    return true;
  }

  /** Of two instances in turn the one with less under way; one whose event loop is blocked last. */
  #pick(subject: string, refusedBy?: ReadonlySet<RemoteHandler>): RemoteHandler | undefined {
    let handlers = this.#handlers.get(subject);
    if (refusedBy !== undefined) handlers = handlers?.filter((one) => !refusedBy.has(one));
    if (handlers === undefined || handlers.length <= 1) return handlers?.[0];
    const awake = handlers.some(isStalled) ? handlers.filter((one) => !isStalled(one)) : handlers;
    const among = awake.length === 0 ? handlers : awake;
    this.#turn = (this.#turn + 1) % among.length;
    const first = among[this.#turn] as RemoteHandler;
    const second = among[(this.#turn + 1) % among.length] as RemoteHandler;
    return second.pending < first.pending ? second : first;
  }

  reply(link: Link, frame: ReplyFrame): void {
    const pending = this.#pending.get(frame.id);
    if (pending === undefined || pending.handler?.link !== link) {
      this.#env.counters.count("requests.lateReply");
      return;
    }
    if (frame.error?.refused === true && this.#askAnother(pending)) return;
    this.#finish(pending);
    if (frame.error === undefined) pending.done(undefined, frame);
    else pending.done(remoteError(pending.subject, frame.error), undefined);
  }

  #cancel(pending: Pending, error: MeshError): void {
    const link = pending.handler?.link;
    this.#finish(pending);
    if (link !== undefined) link.send({ type: "cancel", session: link.session, id: pending.id });
    pending.done(error, undefined);
  }

  #finish(pending: Pending): void {
    const { id, handler } = pending;
    this.#pending.delete(id);
    if (handler !== undefined) left(handler, id);
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
    const { index, pattern } = record;
    const declared = this.#declared.get(link) ?? new Set();
    this.#declared.set(link, declared);
    if (declared.has(index)) return;
    const denied = this.#env.access?.taking(link, record);
    if (denied !== undefined) {
      this.#confirm(link, index, "UNAUTHORIZED", denied);
      return;
    }
    const { subscriptionsMax } = link.isLocal ? this.#env.limits : this.#env.peerLimits;
    if (declared.size >= subscriptionsMax) {
      if (!link.isLocal) this.#env.counters.count("peer.limited.subscriptions");
      const message = `${link.isLocal ? "limits" : "peerLimits"}.subscriptionsMax ${subscriptionsMax} reached`;
      this.#confirm(link, index, "SUBSCRIPTION_LIMIT", message);
      return;
    }
    declared.add(index);
    const handlers = this.#handlers.get(pattern) ?? [];
    const handler: RemoteHandler = { link, index, pending: 0 };
    this.#handlers.set(pattern, [...handlers, handler]);
    this.#confirm(link, index, "", "");
    const waiting = this.#waiting.get(record.pattern);
    this.#waiting.delete(record.pattern);
    for (const pending of waiting ?? []) this.#send(pending, this.#pick(record.pattern) ?? handler);
  }

  /** The instance answers no new request. */
  removed(link: Link, index: number): void {
    if (this.#declared.get(link)?.delete(index) !== true) return;
    this.#forget((handler) => handler.link === link && handler.index === index);
  }

  /** What the peer may not answer any more is not asked of it. */
  rightsChanged(link: Link): void {
    for (const [pattern, handlers] of [...this.#handlers]) {
      const index = handlers.find((one) => one.link === link)?.index;
      if (index === undefined) continue;
      const denied = this.#env.access?.taking(link, { role: "queries", pattern });
      if (denied === undefined) continue;
      this.removed(link, index);
      this.#confirm(link, index, "UNAUTHORIZED", denied);
    }
  }

  linkDown(link: Link): void {
    this.#forget((handler) => handler.link === link);
    for (const pending of [...this.#pending.values()]) {
      if (pending.handler?.link !== link) continue;
      this.#finish(pending);
      const message = `the link broke while "${pending.subject}" was under way; it may have been handled`;
      pending.done(new MeshError("PEER_LOST", message), undefined);
    }
    this.#declared.delete(link);
  }

  #confirm(link: Link, subscription: number, code: string, message: string): void {
    const confirmations = [{ subscription, code, message }];
    link.send({ type: "declared", session: link.session, confirmations });
  }

  #forget(gone: (handler: RemoteHandler) => boolean): void {
    for (const [subject, handlers] of this.#handlers) {
      const left = handlers.filter((handler) => !gone(handler));
      if (left.length === handlers.length) continue;
      if (left.length === 0) this.#handlers.delete(subject);
      else this.#handlers.set(subject, left);
    }
  }

  /** Everything under way ends with this error. */
  stop(error: MeshError): void {
    if (this.#timer !== undefined) this.#env.clock.clearTimer(this.#timer);
    for (const pending of [...this.#pending.values()]) this.#cancel(pending, error);
  }
}

/** It has nothing to do with the request any more, and reads nothing of its payload. */
const left = (handler: RemoteHandler, id: number): void => {
  handler.pending--;
  if (handler.link.isUp) handler.link.pieces.settled(id);
};

const isStalled = ({ link }: RemoteHandler): boolean => link.stalled;

const timedOut = (pending: Pending): MeshError =>
  pending.handler === undefined
    ? new MeshError("NO_HANDLER", `nobody answered "${pending.subject}" before its time-out`)
    : new MeshError("TIMEOUT", `no reply to "${pending.subject}" before its time-out`);

/** Why an instance refuses: these mean the same to the asker. */
const REFUSALS = new Set(["NO_HANDLER", "RATE_LIMITED", "CIRCUIT_OPEN", "UNAUTHORIZED"] as const);
type Refusal = typeof REFUSALS extends Set<infer Code> ? Code : never;

const remoteError = (subject: string, error: RemoteError): MeshError => {
  if (error.refused && REFUSALS.has(error.code as Refusal)) {
    return new MeshError(error.code as Refusal, error.message);
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
