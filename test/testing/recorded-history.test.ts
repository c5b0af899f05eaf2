/** What a test mesh saw, broken on purpose: the checkers find it, and nothing in what is whole. */
import { beforeEach, describe, expect, it } from "vitest";
import { messageId, type NodeId } from "../../src/core/ids.ts";
import { check } from "../../src/testing/checkers/check.ts";
import { Facts } from "../../src/testing/facts.ts";
import type { LedgerCount, Run, Said, Stored } from "../../src/testing/history.ts";
import { recordedHistory } from "../../src/testing/recorded-history.ts";
import { EnvelopeView, encodeEnvelope } from "../../src/wire/envelope.ts";

const SUBSCRIPTION = "event billing order.placed";
const NODES = ["n79sxk8gqd5jkmkpha35", "bpd1hh6eahb5bfq92dqz", "2eaz9tqmbp2xh7qwppmr"] as const;
const idAt = (node: number, seq: number): string => messageId(NODES[node] as NodeId, 1, seq);

let nowMs = 0;
let facts: Facts;

type More = { readonly causationId?: string; readonly replayOf?: string; readonly id?: string };

const store = (node: number, seq: number, subject: string, more: More = {}): Stored => {
  const time = { ms: seq, counter: 0 };
  const payload = Uint8Array.of(seq);
  const bytes = encodeEnvelope({ kind: 0, subject, key: "k", time, payload, ...more });
  const at = { epoch: 1, seq };
  const record: Stored = {
    node,
    ...at,
    id: facts.stored(node, at, new EnvelopeView(bytes)),
    kind: "event",
    subject,
    key: "k",
    target: more.replayOf === undefined ? undefined : SUBSCRIPTION,
    timeMs: seq,
    timeCounter: 0,
    expires: false,
    headers: {},
    atMs: nowMs,
    state: "ok",
  };
  facts.history.stored.push(record);
  return record;
};

const call = (subject = "order.placed"): Said =>
  facts.says({ node: 0, kind: "event", subject, expires: false, delayed: false });

/** Said at the first node and stored there. */
const say = (seq: number): Said => {
  const said = call();
  store(0, seq, "order.placed");
  facts.accepted(said, { epoch: 1, seq }, idAt(0, seq));
  return said;
};

/** Handled at a member, which sends so many invoices. */
const run = (member: number, seq: number, sends: number, id = idAt(0, seq)): Run => {
  const began: Run = {
    subscription: SUBSCRIPTION,
    member,
    life: 1,
    id,
    producer: 0,
    epoch: 1,
    seq,
    key: "k",
    attempt: 1,
    isReplay: false,
    startMs: nowMs++,
    fence: 1,
    volatile: false,
    endMs: undefined,
    outcome: "running",
    sent: [],
  };
  const sent = Array.from({ length: sends }, () => "invoice.sent");
  const detail = { group: "billing", subject: "order.placed", messageId: id, data: 0 };
  facts.runs(began, { ...detail, sent, error: undefined });
  facts.ran(began, "ok");
  return began;
};

const ledger = (accepted: number, change: Partial<LedgerCount> = {}): LedgerCount => ({
  node: 0,
  subscription: SUBSCRIPTION,
  accepted,
  acked: accepted,
  dead: 0,
  expired: 0,
  abandoned: 0,
  damaged: 0,
  pending: 0,
  ...change,
});

const found = (ledgers: readonly LedgerCount[]): string[] =>
  check(recordedHistory(facts, { isQuiet: true, isCalm: true, ledgers })).map(
    ({ check: name, message }) => `${name} ${message}`,
  );

beforeEach(() => {
  nowMs = 1;
  facts = new Facts(() => nowMs++);
  facts.nodeIds.push(...NODES);
  facts.history.known.set(SUBSCRIPTION, {
    id: SUBSCRIPTION,
    role: "events",
    pattern: "order.placed",
    durable: true,
    keyed: true,
    holds: false,
    filter: {},
    moves: true,
    fromStart: false,
    births: [{ ms: 0, counter: 0 }],
  });
});

describe("a history that was recorded", () => {
  it("is whole when everything said was stored, handled and settled, and its output left", () => {
    for (const seq of [1, 2]) say(seq);
    for (const seq of [1, 2]) run(1, seq, 2);
    for (const seq of [1, 2, 3, 4]) {
      store(1, seq, "invoice.sent", { causationId: idAt(0, Math.ceil(seq / 2)) });
    }
    expect(found([ledger(2)])).toEqual([]);
  });

  it("may hold what a call without an outcome left, once", () => {
    facts.refused(call(), "unknown");
    store(0, 1, "order.placed");
    run(1, 1, 0);
    expect(found([ledger(1)])).toEqual([]);
    store(0, 2, "order.placed");
    run(1, 2, 0);
    expect(found([ledger(2)])).toEqual([
      expect.stringMatching(/^C2 n0 1:2 is stored and nobody said it/),
    ]);
  });

  it("knows a delayed message and a replay again by their ids", () => {
    const delayed = facts.says({
      node: 0,
      kind: "event",
      subject: "order.placed",
      expires: false,
      delayed: true,
    });
    facts.accepted(delayed, { epoch: 1, seq: 1 }, idAt(0, 1));
    store(0, 2, "order.placed", { id: idAt(0, 1) });
    run(1, 2, 0, idAt(0, 1));
    store(0, 3, "order.placed", { replayOf: idAt(0, 1) });
    run(1, 3, 0);
    expect(found([ledger(2)])).toEqual([]);
  });

  it("shows a message that was accepted and is on no disk", () => {
    const said = call();
    facts.accepted(said, { epoch: 1, seq: 1 }, idAt(0, 1));
    expect(found([])).toEqual([expect.stringMatching(/^C1 call 0 was accepted/)]);
    expect(facts.history.found).toEqual([
      { check: "C10", message: "n0 1:1 was accepted and is not on the disk" },
    ]);
  });

  it("shows a message that its subscription never handled", () => {
    say(1);
    expect(found([ledger(1)])).toEqual([
      expect.stringMatching(/^C1 call 0 at n0 1:1 never came to an end/),
    ]);
  });

  it("shows a handler that got another message than is stored", () => {
    say(1);
    run(1, 1, 0, idAt(0, 9));
    expect(found([ledger(1)])).toEqual([
      expect.stringMatching(/^C2 n0 1:1 is call 0, handled was/),
    ]);
  });

  it("shows output that left twice, at one member or at two", () => {
    say(1);
    run(1, 1, 1);
    run(2, 1, 1);
    store(1, 1, "invoice.sent", { causationId: idAt(0, 1) });
    expect(found([ledger(1)])).toEqual([]);
    store(2, 1, "invoice.sent", { causationId: idAt(0, 1) });
    expect(found([ledger(1)])).toContainEqual(`C4 n0 1:1|${SUBSCRIPTION}|0 left 2 times`);
    facts.history.stored.pop();
    store(1, 2, "invoice.sent", { causationId: idAt(0, 1) });
    expect(found([ledger(1)])).toContainEqual(`C4 n0 1:1|${SUBSCRIPTION}|0 left 2 times`);
  });

  it("shows output that never left", () => {
    say(1);
    run(1, 1, 2);
    store(1, 1, "invoice.sent", { causationId: idAt(0, 1) });
    expect(found([ledger(1)])).toEqual([`C4 n0 1:1|${SUBSCRIPTION}|1 never left`]);
  });

  it("shows messages of a key handled out of order", () => {
    for (const seq of [1, 2]) say(seq);
    run(1, 2, 0);
    run(1, 1, 0);
    expect(found([ledger(2)])).toEqual([expect.stringMatching(/^C3 .*call 1 at 1:2 ended/)]);
  });

  it("shows books that do not add up", () => {
    say(1);
    run(1, 1, 0);
    expect(found([ledger(1, { acked: 0 })])).toEqual([
      expect.stringMatching(/^ledger n0 .*does not add up/),
    ]);
  });
});
