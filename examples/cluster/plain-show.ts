/** The show where nobody watches a terminal: a line a second. */
import { backlogOf, eventsSeen, type Progress, type Show, seenOf } from "./progress.ts";

const LINE_MS = 1_000;

export const plainShow = (write: (line: string) => void): Show => {
  let nextMs = 0;
  return {
    update: (progress) => {
      if (progress.elapsedMs < nextMs) return;
      nextMs = progress.elapsedMs + LINE_MS;
      write(lineOf(progress));
    },
    say: (line) => write(line),
    end: () => {},
  };
};

const lineOf = (progress: Progress): string => {
  const { orders, elapsedMs, instances } = progress;
  const up = instances.filter(({ state }) => state === "up").length;
  return [
    `${(elapsedMs / 1_000).toFixed(1).padStart(6)} s`,
    `${up}/${instances.length} up`,
    `placed ${seenOf(progress, "order.placed")}/${orders}`,
    `reserved ${seenOf(progress, "stock.reserved")}`,
    `paid ${seenOf(progress, "payment.succeeded")}`,
    `declined ${seenOf(progress, "payment.failed")}`,
    `shipped ${seenOf(progress, "shipment.created")}`,
    `cancelled ${seenOf(progress, "order.cancelled")}`,
    `events ${eventsSeen(progress)}`,
    `backlog ${backlogOf(progress)}`,
  ].join("  ");
};
