/**
 * The answering side of request and reply: runs the handler of a subscription, sends what came of it.
 *
 * Bounds: `requestsMax` under way for each peer, `requestBytesMax` of them, `unreadBytesMax` of answers that it has not
 * taken, and its quota (peer-guard.ts); one more is RATE_LIMITED. A request that the subscription's
 * breaker or rate keeps from starting is refused at once: its asker may ask another instance. A request
 * whose link broke, or that its asker gave up, runs on with its signal aborted; its answer goes nowhere.
 */

import { EnvelopeView } from "../wire/envelope.ts";
import type { RemoteError, RequestFrame } from "../wire/request.ts";
import { describeError } from "./consumer/outcome.ts";
import type { Environment } from "./environment.ts";
import type { FlowLimits } from "./flow-limits.ts";
import type { Link } from "./link/link.ts";
import type { Answer } from "./requests.ts";

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
  /** Of the subscription's breaker, while it runs. */
  permit = 0;
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

/** Answers a request, at once or later; throwing or rejecting sends the error's name, message, code and details, never its stack. */
export type RequestHandler = (asked: Asked) => Answer | Promise<Answer>;

/** What an asker needs the right for: a subject, or, of a query of the nodes' own, a level of administration. */
export type Guarded = string | ((envelope: EnvelopeView) => "read" | "full");

type Local = {
  readonly handler: RequestHandler;
  readonly guarded: Guarded;
  readonly flow: FlowLimits | undefined;
  running: number;
};

/** What one peer has asked. */
type Askers = {
  readonly running: Map<number, AskedRequest>;
  /** Of the envelopes of those that run. */
  bytes: number;
  /** Requests refused since the last that was not. */
  refused: number;
};

/** So many refusals of a peer that does not read are its last. */
const REFUSED_UNREAD_MAX = 1_024;

export class Answers {
  readonly #env: Environment;
  readonly #local = new Map<number, Local>();
  readonly #asked = new Map<Link, Askers>();

  constructor(env: Environment) {
    this.#env = env;
  }

  answer(index: number, guarded: Guarded, handler: RequestHandler, flow?: FlowLimits): void {
    this.#local.set(index, { handler, flow, guarded, running: 0 });
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
    let asker = this.#asked.get(link);
    if (asker === undefined) {
      asker = { running: new Map(), bytes: 0, refused: 0 };
      this.#asked.set(link, asker);
    }
    const { running } = asker;
    if (running.has(frame.id)) {
      this.#env.counters.count("requests.repeated");
      return;
    }
    const bytes = frame.envelope.length;
    const tooMuch = this.#tooMuch(link, asker, bytes);
    if (tooMuch !== undefined) {
      this.#env.counters.count("peer.limited.requests");
      this.#refuse(link, frame.id, "RATE_LIMITED", tooMuch);
      // Who reads no answer and goes on asking: the refusals would gather for ever.
      if (++asker.refused <= REFUSED_UNREAD_MAX || !this.#readsNothing(link)) return;
      link.close("RATE_LIMITED", `${tooMuch}, and ${asker.refused} requests more`);
      return;
    }
    asker.refused = 0;
    const asked = new AskedRequest(frame.envelope, link.peer.nodeId);
    const denied = this.#denied(link, local, asked.envelope);
    if (denied !== undefined) {
      this.#refuse(link, frame.id, "UNAUTHORIZED", denied);
      return;
    }
    const { flow } = local;
    const nowMs = flow === undefined ? 0 : this.#env.clock.monotonicMs();
    const refusal = flow?.refusal(nowMs);
    if (refusal !== undefined) {
      this.#env.counters.count("requests.refused");
      this.#refuse(link, frame.id, refusal.code, refusal.message);
      return;
    }
    flow?.started(asked, nowMs);
    let answer: Answer | Promise<Answer>;
    try {
      answer = local.handler(asked);
    } catch (error) {
      this.#failed(link, frame.id, local, asked, error);
      return;
    }
    if (!(answer instanceof Promise)) {
      this.#answered(link, frame.id, local, asked, answer);
      return;
    }
    running.set(frame.id, asked);
    asker.bytes += bytes;
    local.running++;
    const finish = () => {
      local.running--;
      asker.bytes -= bytes;
      running.delete(frame.id);
    };
    answer.then(
      (later) => {
        finish();
        this.#answered(link, frame.id, local, asked, later);
      },
      (error: unknown) => {
        finish();
        this.#failed(link, frame.id, local, asked, error);
      },
    );
  }

  cancelled(link: Link, id: number): void {
    this.#asked.get(link)?.running.get(id)?.abort();
  }

  linkDown(link: Link): void {
    for (const asked of this.#asked.get(link)?.running.values() ?? []) asked.abort();
    this.#asked.delete(link);
  }

  /** Which limit of one peer this request is above. */
  #tooMuch(link: Link, { running, bytes }: Askers, more: number): string | undefined {
    const { limits, peerLimits } = this.#env;
    if (running.size >= limits.requestsMax) {
      return `limits.requestsMax ${limits.requestsMax} of this peer are under way`;
    }
    if (link.isLocal) return undefined;
    if (link.paced) return "the quota of this peer is used up (peerLimits)";
    if (bytes + more > peerLimits.requestBytesMax && running.size > 0) {
      return `its requests under way have ${bytes} B of peerLimits.requestBytesMax ${peerLimits.requestBytesMax}`;
    }
    if (!this.#readsNothing(link)) return undefined;
    return `it has not read ${link.pieces.untakenBytes} B, above peerLimits.unreadBytesMax`;
  }

  #readsNothing(link: Link): boolean {
    return !link.isLocal && link.pieces.untakenBytes > this.#env.peerLimits.unreadBytesMax;
  }

  #denied(link: Link, { guarded }: Local, envelope: EnvelopeView): string | undefined {
    const { access } = this.#env;
    if (access === undefined) return undefined;
    if (typeof guarded === "string") return access.saying(link, 2, guarded);
    try {
      return access.administering(link, guarded(envelope));
    } catch (error) {
      return `the request cannot be read: ${describeError(error).message}`;
    }
  }

  #answered(link: Link, id: number, { flow }: Local, asked: AskedRequest, answer: Answer): void {
    const { contentType, payload } = answer;
    flow?.succeeded(asked);
    const refusal = link.pieces.refusal(payload.length);
    if (refusal !== undefined) this.#fail(link, id, refusal);
    else link.send({ type: "reply", session: link.session, id, contentType, payload });
  }

  #failed(link: Link, id: number, { flow }: Local, asked: AskedRequest, error: unknown): void {
    flow?.failed(asked, error);
    this.#fail(link, id, error);
  }

  #refuse(link: Link, id: number, code: string, message: string): void {
    const error = { name: "MeshError", message, code, details: "", refused: true };
    this.#sendError(link, id, error);
  }

  #fail(link: Link, id: number, thrown: unknown): void {
    const { name, message } = describeError(thrown);
    const error = (thrown ?? {}) as { code?: unknown; details?: unknown; stack?: unknown };
    const { code, details, stack } = error;
    this.#env.logger.warn("request handler failed", { error: message, stack });
    this.#sendError(link, id, {
      name,
      message,
      code: typeof code === "string" ? code : "",
      details: jsonOf(details),
      refused: false,
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
