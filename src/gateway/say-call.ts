/**
 * Publish, Send and Emit: messages in, and for each what became of it.
 *
 * Invariants: messages are handed to the node in the order of their arrival; each is answered once, but for a
 * call that is over; the call is read only while fewer than `underWayMax` messages are unanswered, counting
 * answers the client has not read, and the client's budget has room.
 */
import type { AnyContract } from "../contract/contract.ts";
import { MeshError } from "../errors.ts";
import type { MeshNode } from "../mesh/mesh-node.ts";
import type { Receipt } from "../mesh/receipt.ts";
import type { EmitOptions, PublishOptions } from "../options/publish-options.ts";
import { wireError } from "./call-errors.ts";
import type { ClientCall } from "./client-call.ts";
import type { Outgoing, SayRequest } from "./gateway-protocol.ts";
import { type RawContracts, rawOf } from "./raw-contract.ts";

export type SayVerb = "publish" | "send" | "emit";

/** What every call of the gateway works with. */
export type SayHost = {
  readonly node: MeshNode;
  readonly contracts: RawContracts;
  /** Messages of one call that may be unanswered. */
  readonly underWayMax: number;
};

/** A message beside its payload, and an answer. */
const OVERHEAD = 256;

export const runSayCall = (call: ClientCall, verb: SayVerb, host: SayHost): void => {
  const { said } = call.client;
  let underWay = 0;
  let isHalfClosed = false;
  const gate = (): void => {
    const isFull = underWay + call.unsentItems >= host.underWayMax;
    if (isFull || !said.hasRoom(0, gate)) call.hold();
    else call.release();
  };
  const answer = (number: number | undefined, outcome: object, bytes: number): void => {
    underWay--;
    call.push("results", { number, ...outcome }, bytes);
    if (isHalfClosed && underWay === 0) call.finish();
  };
  const heard = (request: unknown): void => {
    const { messages } = request as SayRequest;
    let left = messages.length;
    if (left === 0) return;
    checkCount(left, host.underWayMax);
    // The payloads are parts of one message, which stays until the last of them is done.
    const bytes = messages.reduce((sum, message) => sum + sizeOf(message), 0);
    said.add(bytes);
    underWay += left;
    const done = (number: number | undefined, outcome: object, size: number): void => {
      answer(number, outcome, size);
      if (--left === 0) said.remove(bytes);
      gate();
    };
    for (const message of messages) {
      const { number } = message;
      accept(message, verb, host, call).then(
        (outcome) => done(number, outcome, OVERHEAD),
        (error: unknown) => {
          const told = wireError(error);
          done(number, { error: told }, OVERHEAD + told.message.length + told.details.length);
        },
      );
    }
    gate();
  };
  const heardLast = (): void => {
    isHalfClosed = true;
    if (underWay === 0) call.finish();
  };
  call.start({ heard, heardLast, taken: gate, over: () => said.forget(gate) });
};

/** @throws MeshError INVALID_OPTIONS */
export const checkCount = (count: number, max: number): void => {
  if (count <= max) return;
  throw new MeshError("INVALID_OPTIONS", `a message has ${count} items, at most ${max}`);
};

const accept = async (
  message: Outgoing,
  verb: SayVerb,
  { node, contracts }: SayHost,
  { signal, client }: ClientCall,
): Promise<object> => {
  const kind = verb === "send" ? "command" : "event";
  const { contract, value } = rawMessage(message, kind, contracts);
  client.rights?.assertMay(verb === "send" ? "send" : "publish", message.subject ?? "");
  if (verb === "emit") {
    const given = emitOptionsOf(message) as EmitOptions;
    return { emitted: { taken: node.emit(contract as AnyContract<"event">, value, given) } };
  }
  const { timeoutMs = 0 } = message;
  const limited =
    timeoutMs === 0 ? signal : AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const options = { ...publishOptionsOf(message), signal: limited };
  const receipt: Receipt =
    verb === "publish"
      ? await node.publish(contract as AnyContract<"event">, value, options)
      : await node.send(contract as AnyContract<"command">, value, options);
  return { accepted: receipt.toJSON() };
};

/** A client's message, as a node takes one. @throws MeshError INVALID_SUBJECT, INVALID_OPTIONS */
export const rawMessage = (
  message: Outgoing,
  kind: "event" | "command",
  contracts: RawContracts,
): { readonly contract: AnyContract<"event"> | AnyContract<"command">; readonly value: never } => {
  const raw = rawOf(message.contentType, message.payload);
  const { subject = "", contractVersion = 0 } = message;
  const contract = contracts.get(kind, subject, raw.contentType, contractVersion);
  return { contract, value: raw as never };
};

/** Empty texts and zeros are absent fields. */
export const publishOptionsOf = (message: Outgoing): PublishOptions => ({
  ...emitOptionsOf(message),
  ...(message.idempotencyKey ? { idempotencyKey: message.idempotencyKey } : {}),
  ...(message.delayMs ? { delayMs: message.delayMs } : {}),
  ...(message.expireAfterMs ? { expireAfterMs: message.expireAfterMs } : {}),
});

const emitOptionsOf = (message: Outgoing): PublishOptions => ({
  ...(message.key ? { key: message.key } : {}),
  ...(message.id ? { id: message.id } : {}),
  ...(hasAny(message.headers) ? { headers: message.headers } : {}),
  ...(message.correlationId ? { correlationId: message.correlationId } : {}),
  ...(message.causationId ? { causationId: message.causationId } : {}),
});

const hasAny = (headers: object): boolean => {
  for (const _ in headers) return true;
  return false;
};

const sizeOf = ({ payload, subject = "" }: Outgoing): number =>
  OVERHEAD + subject.length + (payload?.length ?? 0);
