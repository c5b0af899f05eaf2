/** A user's function as the runtime calls it: decoded value and context in, an outcome or an answer out. */
import type { AnyContract } from "../contract/contract.ts";
import { assertReads, decodePayload, decodeValue } from "../contract/decode-value.ts";
import { encodeReply } from "../contract/encode-value.ts";
import { hidingHandler } from "../contract/hide-plain.ts";
import { MeshError } from "../errors.ts";
import type { Asked, RequestHandler } from "../runtime/answers.ts";
import { Arrival } from "../runtime/consumer/arrival.ts";
import type { Job } from "../runtime/consumer/job.ts";
import type { JobHandler } from "../runtime/consumer/job-runner.ts";
import { Unrecoverable } from "../runtime/consumer/outcome.ts";
import type { Environment } from "../runtime/environment.ts";
import type { Answer } from "../runtime/requests.ts";
import type { EnvelopeView } from "../wire/envelope.ts";
import { PlainEnvelopes } from "../wire/plain-envelopes.ts";
import { WireError } from "../wire/wire-error.ts";
import { type ContextHost, HandlerContext } from "./handler-context.ts";

export type UserHandler = (data: unknown, ctx: HandlerContext) => unknown;
export type UserReply = (data: unknown, ctx: RequestContext) => unknown;

/** `ctx` of a reply handler. */
export interface RequestContext {
  /** Aborts when the asker gave up, its time ran out, or its link broke. */
  readonly signal: AbortSignal;
  readonly headers: Readonly<Record<string, string>>;
  readonly correlationId: string | undefined;
  /** The node that asks. */
  readonly caller: string;
}

/** A handler of events or commands. */
export const jobHandler = (
  host: ContextHost,
  contract: AnyContract,
  given: UserHandler,
): JobHandler => {
  const handler: UserHandler = hidingHandler(contract.schema, given);
  const reader = new PayloadReader(contract);
  return (message) => {
    const ctx = new HandlerContext(host, message);
    const data =
      message instanceof Arrival
        ? reader.read(message.from.head, message.payload)
        : reader.readJob(message);
    if (data instanceof Promise) return decodedLater(data, handler, ctx);
    const result = handler(data, ctx);
    if (!isThenable(result)) return undefined;
    return (result instanceof Promise ? result : Promise.resolve(result)) as Promise<void>;
  };
};

/** A handler of queries. Only what is asynchronous needs a timer. */
export const requestHandler = (
  env: Environment,
  contract: AnyContract,
  given: UserReply,
  timeoutMs: number,
): RequestHandler => {
  const handler: UserReply = hidingHandler(contract.schema, given);
  const { payloadBytesMax } = env.limits;
  const encode = (value: unknown): Answer | Promise<Answer> =>
    encodeReply(contract, value as never, payloadBytesMax);
  const handled = (data: unknown, asked: Asked): Answer | Promise<Answer> => {
    const result = handler(data, new AskedContext(asked));
    return isThenable(result) ? Promise.resolve(result).then(encode) : encode(result);
  };
  return (asked) => {
    const { contentType, schemaVersion, payload } = asked.envelope;
    const data = decodeValue(contract, contentType, schemaVersion, payload);
    const answer =
      data instanceof Promise ? data.then((value) => handled(value, asked)) : handled(data, asked);
    return answer instanceof Promise ? withTimeout(answer, timeoutMs, env) : answer;
  };
};

/** Reads what a handler asks for, when it does. */
class AskedContext implements RequestContext {
  readonly #asked: Asked;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  get signal(): AbortSignal {
    return this.#asked.signal;
  }

  get headers(): Readonly<Record<string, string>> {
    return this.#asked.envelope.headers;
  }

  get correlationId(): string | undefined {
    return this.#asked.envelope.correlationId;
  }

  get caller(): string {
    return this.#asked.producer;
  }
}

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as { then?: unknown }).then === "function";

/** A message that cannot be read will not be readable the next time either. */
const unreadable = (error: unknown): unknown => {
  if (error instanceof WireError) return new Unrecoverable(`malformed envelope: ${error.reason}`);
  if (MeshError.is(error, "SCHEMA_VIOLATION") || MeshError.is(error, "CONTRACT_MISMATCH")) {
    return new Unrecoverable(`${error.code}: ${error.message}`, { cause: error });
  }
  return error;
};

/** Whether a contract reads what a head says is looked at when it says something else. */
class PayloadReader {
  readonly #contract: AnyContract;
  readonly #envelopes = new PlainEnvelopes();
  #contentType = "";
  #schemaVersion = 0;

  constructor(contract: AnyContract) {
    this.#contract = contract;
  }

  read({ contentType, schemaVersion }: EnvelopeView, payload: Uint8Array): unknown {
    const isKnown = contentType === this.#contentType && schemaVersion === this.#schemaVersion;
    try {
      if (!isKnown) {
        assertReads(this.#contract, contentType, schemaVersion);
        this.#contentType = contentType;
        this.#schemaVersion = schemaVersion;
      }
      return decodePayload(this.#contract, contentType, payload);
    } catch (error) {
      throw unreadable(error);
    }
  }

  /** A view of its envelope is made where the payload is not found without. */
  readJob(job: Job): unknown {
    const { bytes, start, end } = job;
    const envelopes = this.#envelopes;
    const plain = job.head === undefined ? envelopes.payloadOf(bytes, start, end) : undefined;
    if (plain !== undefined && envelopes.head !== undefined)
      return this.read(envelopes.head, plain);
    if (job.head === undefined) envelopes.learn(bytes, start, end);
    const { envelope } = job;
    let payload: Uint8Array;
    try {
      ({ payload } = envelope);
    } catch (error) {
      throw unreadable(error);
    }
    return this.read(envelope, payload);
  }
}

const decodedLater = async (
  data: Promise<unknown>,
  handler: UserHandler,
  ctx: HandlerContext,
): Promise<void> => {
  let value: unknown;
  try {
    value = await data;
  } catch (error) {
    throw unreadable(error);
  }
  if (ctx.signal.aborted) return; // its time ran out meanwhile: the runtime has ended the attempt
  await handler(value, ctx);
};

const withTimeout = (
  result: Promise<Answer>,
  timeoutMs: number,
  env: Environment,
): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const timer = env.clock.setTimer(timeoutMs, () => {
      reject(new MeshError("TIMEOUT", `handler did not finish within timeoutMs ${timeoutMs}`));
    });
    result.then(
      (value) => {
        env.clock.clearTimer(timer);
        resolve(value);
      },
      (error) => {
        env.clock.clearTimer(timer);
        reject(error);
      },
    );
  });
