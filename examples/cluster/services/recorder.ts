/** Writes down every event of the shop. It is never killed: what it saw is the evidence. */

import type { Effect } from "../check-history.ts";
import { ALL_EVENTS } from "../contracts.ts";
import { stampsIn } from "../handling-trace.ts";
import type { Service } from "./service.ts";

const REPORT_MS = 20;

export const recorder: Service = async (node, { trace, tell }) => {
  let effects: Effect[] = [];
  const report = (): void => {
    if (effects.length > 0) tell({ type: "effects", effects });
    effects = [];
  };

  for (const contract of ALL_EVENTS) {
    await node.subscribe(
      contract,
      ({ orderId }: { orderId: string }, ctx) => {
        const { subject, headers } = ctx.message;
        const stamps = [...stampsIn(headers), ...trace.stampsOf(ctx)];
        effects.push({ orderId, subject, stamps });
      },
      { durable: true },
    );
  }

  const timer = setInterval(report, REPORT_MS);
  void node.closed.then(() => {
    clearInterval(timer);
    report();
  });
};
