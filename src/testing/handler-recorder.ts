/** A user's handler as the test mesh runs it: what it got, what it sent, and how it ended are recorded. */
import type { HandlerContext } from "../mesh/handler-context.ts";
import type { ManualMessage } from "../mesh/message-stream.ts";
import type { Calls } from "./calls.ts";
import type { Facts } from "./facts.ts";
import type { Run } from "./history.ts";
import { lateOutcome } from "./late-outcome.ts";
import type { OutsideWaits } from "./outside-waits.ts";
import type { TestLife } from "./test-machine.ts";
import type { Trace } from "./trace.ts";

export type AnyHandler = (data: unknown, ctx: HandlerContext) => unknown;

export type RecorderHost = {
  readonly facts: Facts;
  readonly trace: Trace;
  readonly calls: Calls;
  readonly outside: OutsideWaits;
  readonly now: () => number;
};

export type Listening = {
  readonly life: TestLife;
  readonly subscription: string;
  readonly group: string;
};

export const recordedHandler =
  (host: RecorderHost, listening: Listening, handler: AnyHandler): AnyHandler =>
  (data, ctx) => {
    const { life } = listening;
    if (!life.process.isAlive) return new Promise(() => {}); // nothing of it runs on
    const run = begin(host, listening, data, ctx);
    try {
      const result = host.outside.call(life.process, () => handler(data, ctx));
      const { staging } = ctx;
      if (isThenable(result) || staging !== undefined) return ending(host, life, run, ctx, result);
    } catch (error) {
      end(host, run, ctx, error);
      throw error;
    }
    end(host, run, ctx);
    return undefined;
  };

/** A message that was taken from a stream and is settled by hand. */
export const recordMessage = (
  host: RecorderHost,
  listening: Listening,
  message: ManualMessage<unknown>,
): void => {
  const { ctx } = message;
  const run = begin(host, listening, message.data, ctx);
  ctx.signal.addEventListener("abort", () => end(host, run, ctx), { once: true });
  const ack = message.ack.bind(message);
  const nack = message.nack.bind(message);
  const deadLetter = message.deadLetter.bind(message);
  message.ack = async () => {
    await ack();
    end(host, run, ctx);
  };
  message.nack = async (options) => {
    await nack(options);
    end(host, run, ctx, new Error("nack"));
  };
  message.deadLetter = async (reason) => {
    await deadLetter(reason);
    end(host, run, ctx, new Error(reason));
  };
};

const ending = async (
  host: RecorderHost,
  life: TestLife,
  run: Run,
  ctx: HandlerContext,
  result: unknown,
): Promise<void> => {
  try {
    await result;
    await ctx.staging; // it has succeeded only when what it sent was valid
  } catch (error) {
    await running(life);
    end(host, run, ctx, error);
    throw error;
  }
  await running(life);
  end(host, run, ctx);
};

/** Real code goes on in a process that is still or dead; what it did is not heard of before the process runs. */
const running = (life: TestLife): Promise<void> | undefined => {
  const { process } = life;
  if (process.isAlive && !process.isStill) return undefined;
  return new Promise((resolve) => process.enter(resolve));
};

const begin = (
  host: RecorderHost,
  { life, subscription, group }: Listening,
  data: unknown,
  ctx: HandlerContext,
): Run => {
  const { message } = ctx;
  const { machine } = life;
  const { id, subject, key, attempt, position, producer } = message;
  const run: Run = {
    subscription,
    member: machine.index,
    life: life.number,
    id,
    producer: host.facts.nodeIds.indexOf(producer),
    epoch: position.epoch,
    seq: position.seq,
    key,
    attempt,
    isReplay: message.replayOf !== undefined,
    startMs: host.now(),
    fence: Number(ctx.fence),
    volatile: position.seq === 0,
    endMs: undefined,
    outcome: "running",
    sent: [],
  };
  const sent: string[] = [];
  host.facts.runs(run, { group, subject, messageId: id, data, sent, error: undefined });
  host.trace.note(`${machine.name} runs ${subject} ${id} for ${subscription}, attempt ${attempt}`);
  recordSends(host, life, ctx, sent);
  return run;
};

const end = (host: RecorderHost, run: Run, ctx: HandlerContext, error?: unknown): void => {
  const outcome = ctx.signal.aborted
    ? lateOutcome(ctx.signal)
    : error === undefined
      ? "ok"
      : "failed";
  host.facts.ran(run, outcome, error);
  host.trace.note(`${outcome} ${run.id} for ${run.subscription}`);
};

const recordSends = (
  { calls }: RecorderHost,
  life: TestLife,
  ctx: HandlerContext,
  sent: string[],
): void => {
  const publish = ctx.publish.bind(ctx);
  const send = ctx.send.bind(ctx);
  const request = ctx.request.bind(ctx);
  ctx.publish = (contract, value, options) => {
    publish(contract, value, options);
    sent.push(subjectOf(contract));
  };
  ctx.send = (contract, value, options) => {
    send(contract, value, options);
    sent.push(subjectOf(contract));
  };
  ctx.request = (contract, value, options) =>
    calls.call(`ctx.request ${subjectOf(contract)}`, life, () => request(contract, value, options));
};

/** Of whatever a user passed: what it is not, the node says. */
export const subjectOf = (contract: unknown): string => {
  if (typeof contract === "string") return contract;
  const { subject } = (contract ?? {}) as { readonly subject?: unknown };
  return String(subject);
};

const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as { then?: unknown }).then === "function";
