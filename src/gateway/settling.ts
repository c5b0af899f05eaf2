/** What a client says of a delivery or a question, as the end of its task. */
import type { AnyContract } from "../contract/contract.ts";
import { MeshError } from "../errors.ts";
import { Deferred, RetryLater, Unrecoverable } from "../runtime/consumer/outcome.ts";
import type { ClientRights } from "./client-rights.ts";
import type { Task } from "./desk.ts";
import type { Answer, Outgoing, Settle } from "./gateway-protocol.ts";
import { type RawContracts, rawOf } from "./raw-contract.ts";
import { publishOptionsOf, rawMessage } from "./say-call.ts";

/** `error` undefined: it succeeded. `refused`: what the client is told, as it meant it otherwise. */
export type Verdict = {
  readonly error: unknown;
  readonly value?: unknown;
  readonly refused?: unknown;
};

const TEXT_MAX = 1_024;
const DETAILS_MAX = 16_384;

/** @throws MeshError INVALID_OPTIONS for a settle without an outcome */
export const settled = (
  settle: Settle,
  task: Task,
  contracts: RawContracts,
  rights: ClientRights | undefined,
): Verdict => {
  const { ack, nack, deadLetter } = settle;
  if (nack) {
    const { delayMs, error = "", untried = false } = nack;
    const why = error.slice(0, TEXT_MAX);
    if (untried) return { error: new Deferred(delayMs ?? 0, why) };
    return { error: new RetryLater(delayMs, why === "" ? "the client asks for a retry" : why) };
  }
  if (deadLetter) {
    const { reason = "" } = deadLetter;
    return { error: new Unrecoverable(reason === "" ? "the client gave no reason" : reason) };
  }
  if (!ack) throw withoutOutcome(settle.number);
  try {
    for (const { subject = "" } of ack.publish) rights?.assertMay("publish", subject);
    for (const { subject = "" } of ack.send) rights?.assertMay("send", subject);
    for (const output of ack.publish) stage("event", output, task, contracts);
    for (const output of ack.send) stage("command", output, task, contracts);
  } catch (error) {
    return { error, refused: error };
  }
  return { error: undefined };
};

/** @throws MeshError INVALID_OPTIONS for an answer without an outcome */
export const answered = ({ number, value, failure }: Answer): Verdict => {
  if (value) return { error: undefined, value: rawOf(value.contentType, value.payload) };
  if (failure) return { error: new ClientFailure(failure) };
  throw withoutOutcome(number);
};

/** What the client's own code failed with; the asker gets its name, message, code and details. */
class ClientFailure extends Error {
  readonly code: string;
  readonly details: unknown;

  constructor({ name, message, code, details }: NonNullable<Answer["failure"]>) {
    super((message ?? "").slice(0, TEXT_MAX));
    this.name = name ? name.slice(0, TEXT_MAX) : "Error";
    this.code = (code ?? "").slice(0, TEXT_MAX);
    this.details = detailsOf(details ?? "");
  }
}

/** Details are for people: what is no JSON is left out. */
const detailsOf = (text: string): unknown => {
  if (text === "" || text.length > DETAILS_MAX) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const stage = (
  kind: "event" | "command",
  output: Outgoing,
  { ctx }: Task,
  contracts: RawContracts,
): void => {
  const { contract, value } = rawMessage(output, kind, contracts);
  const options = publishOptionsOf(output);
  if (kind === "event") ctx?.publish(contract as AnyContract<"event">, value, options);
  else ctx?.send(contract as AnyContract<"command">, value, options);
};

const withoutOutcome = (number: number | undefined): MeshError =>
  new MeshError("INVALID_OPTIONS", `number ${number ?? 0} is settled without an outcome`);
