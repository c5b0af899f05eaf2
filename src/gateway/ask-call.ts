/**
 * Request: questions in, answers out as they come, each with its question's number.
 *
 * Bound: the call is read only while fewer than `underWayMax` questions are unanswered and the client's budget
 * has room. Answers have the size they have: a client that reads none of those it asked for is cut off when
 * they take more than the budget.
 */
import { MeshError } from "../errors.ts";
import type { RequestOptions } from "../options/request-options.ts";
import { wireError } from "./call-errors.ts";
import type { ClientCall } from "./client-call.ts";
import type { AskRequest, Question } from "./gateway-protocol.ts";
import { type Raw, rawOf } from "./raw-contract.ts";
import { checkCount, type SayHost } from "./say-call.ts";

const OVERHEAD = 256;

export class AskCall {
  readonly #call: ClientCall;
  readonly #host: SayHost;
  readonly #underWay = new Map<number, AbortController>();
  #isHalfClosed = false;

  constructor(call: ClientCall, host: SayHost) {
    this.#call = call;
    this.#host = host;
    call.start({
      heard: (message) => this.#heard(message as AskRequest),
      heardLast: () => {
        this.#isHalfClosed = true;
        if (this.#underWay.size === 0) call.finish();
      },
      taken: this.#gate,
      over: () => {
        call.client.said.forget(this.#gate);
        for (const controller of this.#underWay.values()) controller.abort();
      },
    });
  }

  readonly #gate = (): void => {
    const call = this.#call;
    const isFull = this.#underWay.size + call.unsentItems >= this.#host.underWayMax;
    if (isFull || !call.client.said.hasRoom(0, this.#gate)) call.hold();
    else call.release();
  };

  #heard({ questions, cancels }: AskRequest): void {
    checkCount(questions.length, this.#host.underWayMax);
    for (const question of questions) this.#ask(question);
    for (const number of cancels) this.#underWay.get(number)?.abort();
    this.#gate();
  }

  #ask(question: Question): void {
    const { number = 0, payload, subject = "" } = question;
    if (this.#underWay.has(number)) {
      throw new MeshError("INVALID_OPTIONS", `question ${number} has no answer yet`);
    }
    const { said } = this.#call.client;
    const bytes = OVERHEAD + subject.length + (payload?.length ?? 0);
    const controller = new AbortController();
    this.#underWay.set(number, controller);
    said.add(bytes);
    const done = (outcome: object, size: number): void => {
      said.remove(bytes);
      this.#underWay.delete(number);
      this.#answer(number, outcome, OVERHEAD + size);
    };
    this.#answered(question, controller.signal).then(
      (answer) => done({ answer }, answer.payload.length),
      (error: unknown) => {
        const told = wireError(error);
        done({ error: told }, told.message.length + told.details.length);
      },
    );
  }

  async #answered(question: Question, signal: AbortSignal): Promise<Raw> {
    const { subject = "", contractVersion = 0, timeoutMs = 0, headers } = question;
    const raw = rawOf(question.contentType, question.payload);
    const { node, contracts } = this.#host;
    const contract = contracts.get("query", subject, raw.contentType, contractVersion);
    this.#call.client.rights?.assertMay("request", subject);
    const options: RequestOptions = {
      headers,
      signal,
      ...(timeoutMs === 0 ? {} : { timeoutMs }),
    };
    return (await node.request(contract, raw as never, options)) as Raw;
  }

  #answer(number: number, outcome: object, bytes: number): void {
    const call = this.#call;
    call.push("results", { number, ...outcome }, bytes);
    if (call.unsentBytes > call.client.said.bytesMax) call.client.cut();
    if (this.#isHalfClosed && this.#underWay.size === 0) call.finish();
    this.#gate();
  }
}
