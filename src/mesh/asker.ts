/** From a question to its answer: validate, encode, ask one live instance, decode. */
import type { AnyContract } from "../contract/contract.ts";
import { decodeReply } from "../contract/decode-value.ts";
import { type EncodedValue, encodeValue } from "../contract/encode-value.ts";
import { isContract, untyped } from "../contract/untyped.ts";
import { MeshError } from "../errors.ts";
import {
  type RequestOptions,
  type ResolvedRequestOptions,
  resolveRequestOptions,
} from "../options/request-options.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";
import type { Answer } from "../runtime/requests.ts";
import { UnwrittenEnvelope } from "../wire/envelope.ts";
import type { Cause } from "./rare-fields.ts";

export class Asker {
  readonly #runtime: NodeRuntime;
  readonly #timeoutMs: number;
  readonly #untyped = new Map<string, AnyContract<"query">>();
  stopped = false;

  constructor(runtime: NodeRuntime, timeoutMs: number) {
    this.#runtime = runtime;
    this.#timeoutMs = timeoutMs;
  }

  ask(
    contract: AnyContract | string,
    value: unknown,
    given: RequestOptions | undefined,
    cause: Cause | undefined,
  ): Promise<unknown> {
    try {
      if (this.stopped) throw new MeshError("STOPPED", "the node has stopped");
      const known = this.#queryOf(contract);
      const options = resolveRequestOptions(given, this.#timeoutMs);
      const { env } = this.#runtime;
      env.access?.assertMay("request", known.subject);
      const encoded = encodeValue(known, value as never, env.limits.payloadBytesMax);
      return encoded instanceof Promise
        ? encoded.then((ready) => this.#send(known, ready, options, cause))
        : this.#send(known, encoded, options, cause);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #send(
    known: AnyContract<"query">,
    { payload, contentType }: EncodedValue,
    { signal, timeoutMs, headers }: ResolvedRequestOptions,
    cause: Cause | undefined,
  ): Promise<unknown> {
    const { env, requests } = this.#runtime;
    const envelope = new UnwrittenEnvelope(known["~template"](contentType), {
      time: env.hybrid.now(env.clock.wallMs()),
      payload,
      headers,
      correlationId: cause?.correlationId ?? cause?.id,
      causationId: cause?.id,
    });
    return new Promise((resolve, reject) => {
      const answered = (error: MeshError | undefined, answer: Answer | undefined): void => {
        if (answer === undefined) reject(error);
        else resolve(decoded(known, answer));
      };
      if (signal === undefined) {
        requests.ask(known.subject, envelope, timeoutMs, answered);
        return;
      }
      if (signal.aborted) throw aborted(signal);
      const id = requests.ask(known.subject, envelope, timeoutMs, (error, answer) => {
        signal.removeEventListener("abort", abort);
        answered(error, answer);
      });
      const abort = (): void => requests.cancel(id, aborted(signal));
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  #queryOf(contract: AnyContract | string): AnyContract<"query"> {
    if (typeof contract === "string") {
      let made = this.#untyped.get(contract);
      if (made === undefined) {
        made = untyped(contract, "query") as AnyContract<"query">;
        if (this.#untyped.size < 4_096) this.#untyped.set(contract, made);
      }
      return made;
    }
    if (!isContract(contract) || contract.kind !== "query") {
      throw new MeshError("INVALID_OPTIONS", "request takes a query contract or a subject");
    }
    return contract as AnyContract<"query">;
  }
}

const aborted = ({ reason: cause }: AbortSignal): MeshError =>
  new MeshError("ABORTED", "the caller's signal fired", { cause });

const decoded = (contract: AnyContract<"query">, { contentType, payload }: Answer): unknown => {
  try {
    return decodeReply(contract, contentType, payload);
  } catch (error) {
    return Promise.reject(error);
  }
};
