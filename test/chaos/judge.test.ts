/** The judge is shown runs that break a promise, and ones that keep all of them. */
import { describe, expect, it } from "vitest";
import type { ChaosRecord } from "./chaos-record.ts";
import { judge } from "./judge.ts";
import { SUBSCRIPTIONS } from "./process-spec.ts";

type Lines = ChaosRecord[];
type Run = {
  readonly run: string;
  readonly process: string;
  readonly life?: number;
  readonly subscription: string;
  readonly seq: number;
  readonly fromMs: number;
  /** Undefined: it never ended. */
  readonly toMs?: number;
  readonly fence?: number;
};

const { worker, tally } = SUBSCRIPTIONS;
/** Long after everybody is up. */
const STABLE_MS = 10_000;

const up = (process: string, atMs = 1, life = 1): Lines => [
  { e: "spawn", atMs: atMs - 1, process, life },
  { e: "ready", atMs, node: `node of ${process}`, process, life },
];

const accepted = (seq: number): Lines => {
  const said = { id: `m${seq}`, process: "source", life: 1 };
  const atMs = STABLE_MS + seq;
  return [
    { e: "invoke", atMs, ...said, kind: "event", subject: "work.item", key: "k" },
    { e: "accepted", atMs: atMs + 0.5, ...said, epoch: 1, seq },
  ];
};

const run = (given: Run): Lines => {
  const { run, process, life = 1, subscription, seq, fromMs, toMs, fence = 1 } = given;
  const place = { producer: "node of source", epoch: 1, seq };
  const message = { id: `m${seq}`, ...place, key: "k", fence: String(fence) };
  const at = { process, life };
  const lines: Lines = [
    { e: "start", atMs: fromMs, run, subscription, ...message, attempt: 1, ...at },
  ];
  if (toMs !== undefined) lines.push({ e: "end", atMs: toMs, run, outcome: "ok", ...at });
  return lines;
};

const effect = (name: string, seq: number, place: number, atMs: number): Lines => {
  const from = { producer: "node of a", epoch: 1, seq: place };
  return [{ e: "effect", atMs, id: `m${seq}`, run: name, ...from, process: "witness", life: 1 }];
};

/** Message `seq` is handled for both subscriptions, well, from `fromMs` on. */
const handled = (seq: number, fromMs: number, process = "a"): Lines => [
  ...run({
    ...{ run: `w${seq}`, process, subscription: worker.id, seq, fromMs, toMs: fromMs + 5 },
  }),
  ...run({
    ...{ run: `t${seq}`, process, subscription: tally.id, seq, fromMs, toMs: fromMs + 5 },
  }),
  ...effect(`w${seq}`, seq, seq, fromMs + 8),
];

const everybody = [...up("source"), ...up("a"), ...up("b"), ...up("witness")];
const sound: Lines = [
  ...everybody,
  ...accepted(1),
  ...accepted(2),
  ...handled(1, STABLE_MS + 10),
  ...handled(2, STABLE_MS + 20),
];

const without = (lines: Lines, unwanted: (line: ChaosRecord) => boolean): Lines => {
  const left = lines.filter((line) => !unwanted(line));
  expect(left.length).toBeLessThan(lines.length);
  return left;
};

const zeros = { lost: 0, duplicateEffects: 0, outOfOrder: 0, ownerOverlaps: 0 };

describe("a chaos run", () => {
  it("is clean when every message was handled once for each subscription", () => {
    const { figures, violations } = judge(sound, [], true);
    expect(violations).toEqual([]);
    expect(figures).toMatchObject({ ...zeros, accepted: 2, handled: 4, effects: 2 });
  });

  it("may be read in another order than it happened", () => {
    expect(judge(sound.toReversed(), [], true).violations).toEqual([]);
  });

  it("has lost a message whose effect never reached the witness", () => {
    const lines = without(sound, (line) => line.e === "effect" && line.run === "w2");
    expect(judge(lines, [], true).figures).toMatchObject({ ...zeros, lost: 1 });
  });

  it("has lost a message that one of two subscriptions never handled to the end", () => {
    const lines = without(sound, (line) => line.e === "end" && line.run === "t2");
    expect(judge(lines, [], true).figures).toMatchObject({ ...zeros, lost: 1 });
  });

  it("has not lost what became a dead letter", () => {
    const lines = without(sound, (line) => line.e === "effect" && line.run === "w2");
    const letter = { node: "node of source", subscription: worker.id, epoch: 1, seq: 2 };
    const { figures } = judge(lines, [{ ...letter, reason: "poison", attempts: 1 }], true);
    expect(figures).toMatchObject({ ...zeros, deadLetters: 1 });
  });

  it("is not asked for what was not accepted", () => {
    const lines = without(sound, (line) => "id" in line && line.id === "m2" && line.e !== "invoke");
    const { figures, violations } = judge(lines, [], true);
    expect(violations).toEqual([]);
    expect(figures.accepted).toBe(1);
  });

  it("has a doubled effect when two handlings of one message sent something that left", () => {
    const again = { run: "again", process: "b", subscription: worker.id, seq: 2, fence: 2 };
    const ran = run({ ...again, fromMs: STABLE_MS + 40, toMs: STABLE_MS + 45 });
    const lines = [...sound, ...ran, ...effect("again", 2, 3, STABLE_MS + 50)];
    const { figures } = judge(lines, [], true);
    expect(figures).toMatchObject({ ...zeros, duplicateEffects: 1, handlerRepeats: 1 });
  });

  it("has none when a handling was repeated and only one of them had an effect", () => {
    const again = { run: "again", process: "b", subscription: worker.id, seq: 2 };
    const lines = [...sound, ...run({ ...again, fromMs: STABLE_MS + 40, toMs: STABLE_MS + 45 })];
    const { figures, violations } = judge(lines, [], true);
    expect(violations).toEqual([]);
    expect(figures.handlerRepeats).toBe(1);
  });

  it("is out of order when the second message of a key was handled before the first", () => {
    const base = [...everybody, ...accepted(1), ...accepted(2)];
    const lines = [...base, ...handled(2, STABLE_MS + 10), ...handled(1, STABLE_MS + 20)];
    expect(judge(lines, [], true).figures).toMatchObject({ ...zeros, outOfOrder: 2 });
  });

  it("has invented what nobody said", () => {
    const lines = without(sound, (line) => "id" in line && line.id === "m2" && line.e === "invoke");
    expect(judge(lines, [], true).violations.length).toBeGreaterThan(0);
  });
});

describe("two handlers of one key at a time", () => {
  const at = (process: string, fromMs: number, toMs: number, seq: number): Lines =>
    run({ run: `${process}${seq}`, process, subscription: worker.id, seq, fromMs, toMs });
  const base = [...sound, ...accepted(3), ...accepted(4)];

  it("break the promise while members are stable", () => {
    const lines = [...base, ...at("a", 20_000, 20_100, 3), ...at("b", 20_050, 20_150, 4)];
    const { figures } = judge(lines, [], false);
    expect(figures).toMatchObject({ ...zeros, ownerOverlaps: 1, unstableOverlapMs: 0 });
  });

  it("are reported while members change", () => {
    const change: Lines = [{ e: "pause", atMs: 19_000, process: "a", life: 1 }];
    const back: Lines = [{ e: "resume", atMs: 20_060, process: "a", life: 1 }];
    const runs = [...at("a", 18_999, 20_100, 3), ...at("b", 20_050, 20_150, 4)];
    const { figures } = judge([...base, ...change, ...back, ...runs], [], false);
    expect(figures).toMatchObject({ ...zeros, unstableOverlapMs: 50, pauses: 1 });
  });

  it("are reported when a process had stood still", () => {
    const stalled: Lines = [{ e: "stalled", atMs: 19_000, fromMs: 18_000, process: "a", life: 1 }];
    const runs = [...at("a", 20_000, 20_100, 3), ...at("b", 20_050, 20_150, 4)];
    const { figures } = judge([...base, ...stalled, ...runs], [], false);
    expect(figures).toMatchObject({ ...zeros, unstableOverlapMs: 50 });
  });

  it("break the promise also when they are of two producers", () => {
    const runs = [...at("a", 20_000, 20_100, 3), ...at("b", 20_050, 20_150, 4)];
    const ofTwo = runs.map((line) =>
      line.e === "start" && line.process === "b" ? { ...line, producer: "node of b" } : line,
    );
    expect(judge([...base, ...ofTwo], [], false).figures.ownerOverlaps).toBe(1);
  });

  it("break the promise in one process at any time", () => {
    const change: Lines = [{ e: "pause", atMs: 19_999, process: "b", life: 1 }];
    const runs = [...at("a", 20_000, 20_100, 3), ...at("a", 20_050, 20_150, 4)];
    const { figures } = judge([...base, ...change, ...runs], [], false);
    expect(figures.ownerOverlaps).toBe(1);
  });

  it("do not overlap when the first was killed", () => {
    const kill: Lines = [{ e: "kill", atMs: 20_010, process: "a", life: 1 }];
    const cut = run({
      ...{ run: "cut", process: "a", subscription: worker.id, seq: 3, fromMs: 20_000 },
    });
    const { figures } = judge([...base, ...cut, ...kill, ...at("b", 21_200, 21_300, 3)], [], false);
    expect(figures).toMatchObject({ ...zeros, unstableOverlapMs: 0, kills: 1 });
  });
});

describe("fences", () => {
  const owned = (seq: number, process: string, fence: number): Lines => [
    ...accepted(seq),
    ...run({
      ...{ run: `w${seq}`, process, subscription: worker.id, seq, fence },
      ...{ fromMs: 20_000 + seq * 10, toMs: 20_005 + seq * 10 },
    }),
    ...effect(`w${seq}`, seq, seq, 20_008 + seq * 10),
  ];

  it("grow from owner to owner", () => {
    const lines = [...everybody, ...owned(1, "a", 7), ...owned(2, "a", 7), ...owned(3, "b", 8)];
    expect(judge(lines, [], false).figures).toMatchObject(zeros);
  });

  it("break the promise when an effect is accepted from a smaller one after a larger", () => {
    const lines = [...everybody, ...owned(1, "a", 8), ...owned(2, "b", 7)];
    expect(judge(lines, [], false).figures).toMatchObject({ ...zeros, ownerOverlaps: 1 });
  });

  it("break the promise when two members have effects under the same", () => {
    const lines = [...everybody, ...owned(1, "a", 7), ...owned(2, "b", 7)];
    expect(judge(lines, [], false).figures).toMatchObject({ ...zeros, ownerOverlaps: 1 });
  });
});

describe("a kill", () => {
  const kill: Lines = [
    { e: "kill", atMs: 20_010, process: "a", life: 1 },
    { e: "exit", atMs: 20_011, process: "a", life: 1 },
  ];
  const cut = run({
    ...{ run: "cut", process: "a", subscription: worker.id, seq: 3, fromMs: 20_000 },
  });
  const again = run({
    ...{ run: "again", process: "b", subscription: worker.id, seq: 3 },
    ...{ fromMs: 21_210, toMs: 21_220 },
  });
  const base = [...sound, ...accepted(3), ...cut, ...kill, ...again];

  it("is followed by another handler of what it cut, so much later", () => {
    const { figures } = judge(base, [], false);
    expect(figures).toMatchObject({ failovers: 1, failoverMsP50: 1_200, failoverMsP99: 1_200 });
  });

  it("is not timed when somebody else was away as well", () => {
    const away: Lines = [{ e: "pause", atMs: 20_500, process: "source", life: 1 }];
    const back: Lines = [{ e: "resume", atMs: 20_600, process: "source", life: 1 }];
    expect(judge([...base, ...away, ...back], [], false).figures.failovers).toBe(0);
  });
});
