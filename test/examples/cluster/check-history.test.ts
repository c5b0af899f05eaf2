/** The judge of `npm start` must be able to say no: planted histories, each with one fault. */
import { describe, expect, it } from "vitest";
import {
  checkHistory,
  type Effect,
  type Stamp,
  type Verdict,
} from "../../../examples/cluster/check-history.ts";

const CLEAN = { lost: 0, duplicateEffects: 0, outOfOrder: 0, problems: [] };
const SHIPPED = [
  "order.placed",
  "stock.reserved",
  "payment.succeeded",
  "shipment.created",
  "customer.notified",
];
const CANCELLED = [
  "order.placed",
  "stock.reserved",
  "payment.failed",
  "stock.released",
  "order.cancelled",
  "customer.notified",
];

const stampOf = (subject: string, seq: number, atNs: number, rest: Partial<Stamp> = {}): Stamp => ({
  group: "recorder",
  instance: "recorder",
  subject,
  key: "customer-1",
  producer: "node-a",
  epoch: 1,
  seq,
  attempt: 1,
  atNs,
  ...rest,
});

/** The events of an order; the nth order's have position n and are handled at n. */
const pathOf = (n: number, path: readonly string[]): Effect[] =>
  path.map((subject) => ({ orderId: `o-${n}`, subject, stamps: [stampOf(subject, n, n)] }));

const without = (effects: readonly Effect[], orderId: string, subject: string): Effect[] =>
  effects.filter((effect) => effect.orderId !== orderId || effect.subject !== subject);

/** An effect that a handling of the message at `seq` led to. */
const handled = (orderId: string, stamp: Stamp): Effect => ({
  orderId,
  subject: "stock.reserved",
  stamps: [stamp],
});

const HISTORY = [...pathOf(1, SHIPPED), ...pathOf(2, CANCELLED), ...pathOf(3, SHIPPED)];
const ORDERS = ["o-1", "o-2", "o-3"];
const judge = (effects: readonly Effect[]): Verdict => checkHistory(ORDERS, effects);

describe("the checker of the order business", () => {
  it("finds nothing wrong with a history in which nothing is wrong", () => {
    expect(judge(HISTORY)).toEqual({ ...CLEAN, completed: 2, compensated: 1, handlings: 16 });
  });

  it("does not mind in which order effects reach the recorder", () => {
    const verdict = judge([...HISTORY].reverse());
    expect(verdict).toMatchObject({ ...CLEAN, completed: 2, compensated: 1 });
  });

  it.each(SHIPPED)("reports %s of a shipped order as lost when it is missing", (subject) => {
    const verdict = judge(without(HISTORY, "o-3", subject));
    expect(verdict).toMatchObject({ lost: 1, duplicateEffects: 0, completed: 1, compensated: 1 });
    expect(verdict.problems).toEqual([expect.stringContaining(`o-3 lacks ${subject}`)]);
  });

  it.each(CANCELLED.filter((subject) => subject !== "payment.failed"))(
    "reports %s of a cancelled order as lost when it is missing",
    (subject) => {
      const verdict = judge(without(HISTORY, "o-2", subject));
      expect(verdict).toMatchObject({ lost: 1, duplicateEffects: 0, completed: 2, compensated: 0 });
    },
  );

  it("reports an order of which nothing was seen", () => {
    const verdict = checkHistory([...ORDERS, "o-4"], HISTORY);
    expect(verdict).toMatchObject({ lost: SHIPPED.length, completed: 2, compensated: 1 });
  });

  it.each(CANCELLED)("reports a second %s of one order as a duplicate", (subject) => {
    const verdict = judge([...HISTORY, { orderId: "o-2", subject, stamps: [] }]);
    expect(verdict).toMatchObject({ lost: 0, duplicateEffects: 1, outOfOrder: 0 });
    expect(verdict.problems).toEqual([expect.stringContaining(`o-2 has 2 x ${subject}`)]);
  });

  it("reports a payment that both succeeded and failed", () => {
    const verdict = judge([...HISTORY, { orderId: "o-1", subject: "payment.failed", stamps: [] }]);
    expect(verdict).toMatchObject({ lost: 0, duplicateEffects: 1 });
  });

  it("reports the effect of an order that nobody placed", () => {
    const verdict = judge([...HISTORY, { orderId: "o-9", subject: "order.placed", stamps: [] }]);
    expect(verdict).toMatchObject({ lost: 0, duplicateEffects: 1 });
  });

  it("reports a message handled before an earlier one of its producer and key", () => {
    const effects = HISTORY.map((effect) =>
      effect.orderId === "o-1" && effect.subject === "order.placed"
        ? { ...effect, stamps: [stampOf("order.placed", 1, 2.5)] }
        : effect,
    );
    const verdict = judge(effects);
    expect(verdict).toMatchObject({ lost: 0, duplicateEffects: 0, outOfOrder: 1, completed: 2 });
    expect(verdict.problems).toEqual([expect.stringContaining("order.placed node-a/1:2")]);
  });

  it("compares positions by epoch first", () => {
    const earlier = stampOf("inventory.reserve", 9, 20, { epoch: 1 });
    const later = stampOf("inventory.reserve", 1, 10, { epoch: 2 });
    const planted = [handled("o-1", earlier), handled("o-2", later)];
    const effects = HISTORY.filter(({ subject }) => subject !== "stock.reserved");
    const third = handled("o-3", stampOf("stock.reserved", 3, 3));
    expect(judge([...effects, ...planted, third])).toMatchObject({ lost: 0, outOfOrder: 1 });
  });

  it.each([
    ["producers", { producer: "node-b" }],
    ["keys", { key: "customer-2" }],
    ["groups", { group: "audit" }],
    ["subjects", { subject: "other.subject" }],
  ])("expects no order between different %s", (_what, other) => {
    const effects = HISTORY.filter(({ subject }) => subject !== "stock.reserved");
    const planted = [
      handled("o-1", stampOf("inventory.reserve", 1, 20)),
      handled("o-2", stampOf("inventory.reserve", 2, 10, other)),
      handled("o-3", stampOf("inventory.reserve", 3, 30)),
    ];
    expect(judge([...effects, ...planted])).toMatchObject(CLEAN);
  });

  it("counts every message that came too early, not only the first", () => {
    const effects = HISTORY.filter(({ subject }) => subject !== "stock.reserved");
    const planted = [30, 10, 20].map((atNs, at) =>
      handled(`o-${at + 1}`, stampOf("inventory.reserve", at + 1, atNs)),
    );
    expect(judge([...effects, ...planted]).outOfOrder).toBe(2);
  });
});
