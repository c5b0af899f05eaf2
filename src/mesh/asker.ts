/** From a question to its answer: validate, encode, ask one live instance, decode. */
import type { AnyContract } from "../contract/contract.ts";
import { decodeReply } from "../contract/decode-value.ts";
import { encodeValue } from "../contract/encode-value.ts";
import { isContract, untyped } from "../contract/untyped.ts";
import { MeshError } from "../errors.ts";
import { type RequestOptions, resolveRequestOptions } from "../options/request-options.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";
import { envelopeOf } from "../wire/envelope.ts";
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

  async ask(
    contract: AnyContract | string,
    value: unknown,
    given: RequestOptions | undefined,
    cause: Cause | undefined,
  ): Promise<unknown> {
    if (this.stopped) throw new MeshError("STOPPED", "the node has stopped");
    const known = this.#queryOf(contract);
    const options = resolveRequestOptions(given, this.#timeoutMs);
    const { signal, timeoutMs, headers } = options;
    if (signal?.aborted) throw new MeshError("ABORTED", "the caller's signal fired");
    const { env, requests } = this.#runtime;
    env.access?.assertMay("request", known.subject);
    let encoded = encodeValue(known, value as never, env.limits.payloadBytesMax);
    if (encoded instanceof Promise) encoded = await encoded;
    const { payload, contentType } = encoded;
    const envelope = envelopeOf(known["~template"](contentType), {
      time: env.hybrid.now(env.clock.wallMs()),
      payload,
      headers,
      correlationId: cause?.correlationId ?? cause?.id,
      causationId: cause?.id,
    });
    const answer = await new Promise<{ contentType: string; payload: Uint8Array }>(
      (resolve, reject) => {
        const cancel = requests.ask(known.subject, envelope, timeoutMs, (error, got) => {
          signal?.removeEventListener("abort", abort);
          if (error !== undefined) reject(error);
          else if (got !== undefined) resolve(got);
        });
        const abort = (): void => {
          cancel(new MeshError("ABORTED", "the caller's signal fired", { cause: signal?.reason }));
        };
        signal?.addEventListener("abort", abort, { once: true });
      },
    );
    return decodeReply(known, answer.contentType, answer.payload);
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
