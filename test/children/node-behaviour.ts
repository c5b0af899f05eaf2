/** Handlers of the test node: they say what happens to them, and do as they are told. */

import { existsSync } from "node:fs";
import type { HandlerContext } from "../../src/mesh/handler-context.ts";
import type { RequestContext } from "../../src/mesh/user-handlers.ts";
import { RetryLater, Unrecoverable } from "../../src/runtime/consumer/outcome.ts";
import { shrunk } from "./large-data.ts";
import { killItself } from "./node-kill-rule.ts";
import type { Behaviour, Happened, Listen } from "./node-protocol.ts";

const BLOCK_STEP_MS = 50;

type Tell = (happened: Happened) => void;

/** Thrown by handlers that are told to fail; its fields travel to an asker, its stack does not. */
class PlannedFailure extends Error {
  override readonly name = "PlannedFailure";
  readonly code = "PLANNED";
  readonly details = { planned: true };
}

export const handlerOf = (listen: Listen, tell: Tell) => {
  const { name, forward = [] } = listen;
  return async (data: unknown, ctx: HandlerContext): Promise<void> => {
    const n = numberOf(data);
    const { key, attempt, id: messageId, causationId, replayOf, producer } = ctx.message;
    const { textBytes } = shrunk(data) as { textBytes?: number };
    const told = {
      name,
      n,
      ...(textBytes === undefined ? {} : { textBytes }),
      attempt,
      messageId,
      producer,
      fence: String(ctx.fence),
      ...(key === undefined ? {} : { key }),
      ...(causationId === undefined ? {} : { causationId }),
      ...(replayOf === undefined ? {} : { replayOf }),
    };
    const send = (): void => {
      const options = key === undefined ? {} : { key };
      for (const { verb, subject } of forward) {
        if (verb === "publish") ctx.publish(subject, { n }, options);
        else ctx.send(subject, { n }, options);
      }
    };
    tell({ event: "start", ...told, atMs: nowMs() });
    const behaviour = choose(listen.behaviour, n, attempt);
    if (behaviour?.type === "late") {
      await wait(behaviour.ms);
      try {
        send();
      } catch (error) {
        tell({ event: "failed", ...told, code: (error as { code: string }).code });
      }
    } else {
      send();
      await perform(behaviour, ctx.signal);
      if (behaviour?.type === "retry") throw new RetryLater(behaviour.ms);
      if (ctx.signal.aborted) tell({ event: "aborted", ...told });
    }
    tell({ event: "end", ...told, atMs: nowMs() });
  };
};

export const replierOf = (listen: Listen, tell: Tell) => {
  const { name } = listen;
  return async (data: unknown, ctx: RequestContext): Promise<unknown> => {
    const n = numberOf(data);
    tell({ event: "start", name, n });
    const behaviour = choose(listen.behaviour, n, 1);
    await perform(behaviour, ctx.signal);
    if (ctx.signal.aborted) tell({ event: "aborted", name, n });
    const { text } = data as { text?: string };
    if (text !== undefined) return { n: n * 2, of: n, text };
    return behaviour?.type === "garbage" ? 10n : { n: n * 2 };
  };
};

const nowMs = (): number => performance.timeOrigin + performance.now();

const numberOf = (data: unknown): number => (data as { n: number }).n;

const choose = (
  behaviours: readonly Behaviour[] | undefined,
  n: number,
  attempt: number,
): Behaviour | undefined =>
  behaviours?.find(
    ({ only, attempts }) =>
      (only === undefined || only.includes(n)) && (attempts === undefined || attempt <= attempts),
  );

const perform = async (behaviour: Behaviour | undefined, signal: AbortSignal): Promise<void> => {
  switch (behaviour?.type) {
    case "throw":
      throw new PlannedFailure("told to fail");
    case "dead":
      throw new Unrecoverable("told to give up");
    case "kill":
      return killItself();
    case "freeze":
      process.kill(process.pid, "SIGSTOP");
      return undefined;
    case "need":
      if (!existsSync(behaviour.path ?? "")) throw new PlannedFailure("the dependency is down");
      return undefined;
    case "block":
      return block(behaviour);
    case "hang":
      return new Promise(() => {});
    case "slow":
      return wait(behaviour.ms);
    case "obey":
      return new Promise((resolve) => {
        if (signal.aborted) resolve();
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    default:
      return undefined;
  }
};

/** The event loop stands as in a long computation, and other processes have the processor meanwhile. */
const block = ({ ms = 0, path }: Behaviour): void => {
  const endMs = performance.now() + ms;
  const never = new Int32Array(new SharedArrayBuffer(4));
  while (performance.now() < endMs || (path !== undefined && !existsSync(path))) {
    Atomics.wait(never, 0, 0, BLOCK_STEP_MS);
  }
};

const wait = (ms = 0): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
