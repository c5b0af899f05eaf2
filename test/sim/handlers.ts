/** What handlers of the simulated services do: succeed, fail, hang, take their time, send. */
import type { HandlerContext } from "../../src/mesh/handler-context.ts";
import { Unrecoverable } from "../../src/runtime/consumer/outcome.ts";
import type { Run } from "../../src/testing/history.ts";
import { lateOutcome } from "../../src/testing/late-outcome.ts";
import { xxh32Bytes } from "../../src/testing/xxh32.ts";
import { EFFECT, type SubscriptionPlan } from "./plan.ts";
import type { SimNode } from "./sim-node.ts";
import type { World } from "./world.ts";

const HOPS_MAX = 3;

/** A fraction that depends on the message and the subscription only: retries meet the same fate. */
const fateOf = (id: string, subscription: string, what: string): number =>
  xxh32Bytes(Buffer.from(`${what} ${id} ${subscription}`)) / 0x1_0000_0000;

export const handle = (
  world: World,
  at: SimNode,
  plan: SubscriptionPlan,
  subscription: string,
  data: { readonly id: string },
  ctx: HandlerContext,
): unknown => {
  const { message } = ctx;
  const { epoch, seq } = message.position;
  const isVolatile = seq === 0;
  const run: Run = {
    subscription,
    member: at.index,
    life: at.life,
    id: data.id,
    producer: world.producerOf(message.producer, epoch, seq, data.id),
    epoch,
    seq,
    key: message.key,
    attempt: message.attempt,
    isReplay: message.replayOf !== undefined,
    startMs: world.time.nowMs,
    fence: Number(ctx.fence),
    volatile: isVolatile,
    endMs: undefined,
    outcome: "running",
    sent: [],
  };
  world.started(run);
  const fate = (what: string): number => fateOf(data.id, subscription, what);
  const fail = (error: Error): never => {
    world.ended(run, "failed");
    throw error;
  };
  const finish = (late: boolean): void => {
    if (late && ctx.signal.aborted) {
      world.ended(run, lateOutcome(ctx.signal));
      beLate(world, data.id, ctx, run);
      if (fate("stubborn") < 0.5) return; // a success that comes too late
      throw new Error("too late");
    }
    send(world, plan, subscription, data.id, ctx, run, fate("sends"));
    if (plan.failover === "wait" && !isVolatile) count(ctx, run);
    world.ended(run, "ok");
  };
  if (!world.isHealing) {
    const isCured = run.isReplay && world.plan.replaysSucceed === true;
    if (fate("poison") < plan.poison && !isCured) {
      if (fate("kind") < 0.3) fail(new Unrecoverable("beyond help"));
      fail(new Error("poisoned"));
    }
    if (fate("flaky") < plan.flaky && message.attempt <= 1 + Math.floor(fate("times") * 3)) {
      if (fate("sendsAndFails") < 0.3)
        send(world, plan, subscription, data.id, ctx, { ...run, sent: [] }, 0);
      fail(new Error("flaky"));
    }
    if (fate("hang") < plan.hang && message.attempt === 1) {
      world.cover("handlerHangs");
      return fate("kind") < 0.5 ? new Promise(() => {}) : untilAborted(world, ctx, run);
    }
  }
  if (fate("slow") < plan.slow) {
    const ms = plan.slowMs * (0.5 + fate("how long"));
    return new Promise<void>((resolve, reject) => {
      at.process?.post(ms, () => {
        try {
          finish(true);
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  }
  return finish(false);
};

const send = (
  world: World,
  plan: SubscriptionPlan,
  subscription: string,
  id: string,
  ctx: HandlerContext,
  run: Run,
  fate: number,
): void => {
  // What goes round in a circle ends somewhere.
  if (plan.effect !== undefined && id.split("|").length > HOPS_MAX * 2) return;
  if (fate >= plan.sends || ctx.message.position.seq === 0) return;
  const count = 1 + Math.floor((fate / plan.sends) * 3);
  for (let n = 0; n < count; n++) {
    const effect = `${id}|${subscription}|${n}`;
    run.sent.push(effect);
    // A delay is kept as wall time: a clock that jumps an hour makes it an hour.
    const isSteady = world.plan.faults.clockJumpMs === 0 && world.plan.clockIsWrong !== true;
    const isLate = fate / plan.sends > 0.9 && n === 0 && isSteady;
    const options = isLate ? { delayMs: 400 } : {};
    const key = ctx.message.key ?? "none";
    if (plan.effect === undefined) {
      ctx.publish(EFFECT, { id: effect }, { ...options, key });
    } else {
      const pad = "x".repeat(Math.floor((fate / plan.sends) * world.plan.work.bytesMax));
      ctx.publish(plan.effect, { id: effect, pad }, { ...options, key });
    }
  }
};

/** Counts in `ctx.state` how often this message was handled; read at the end. */
const count = ({ state }: HandlerContext, run: Run): void => {
  const { subscription, producer, epoch, seq } = run;
  const key = `${producer} ${epoch}:${seq}`;
  const before = state.get<{ times: number }>(key)?.times ?? 0;
  state.put(key, { subscription, producer, epoch, seq, times: before + 1 });
};

/** After its time-out: nothing of the context works any more. */
const beLate = (world: World, id: string, ctx: HandlerContext, run: Run): void => {
  try {
    ctx.publish(EFFECT, { id: `${id}|late` });
  } catch {
    return;
  }
  world.found("C4", `${run.subscription}: ${id} could send after its time-out`);
};

const untilAborted = (world: World, ctx: HandlerContext, run: Run): Promise<void> =>
  new Promise((_, reject) => {
    ctx.signal.addEventListener("abort", () => {
      world.ended(run, lateOutcome(ctx.signal));
      reject(new Error("told to stop"));
    });
  });
