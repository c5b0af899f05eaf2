/** Each checker is shown histories that break its promise, and one that keeps every promise. */
import { describe, expect, it } from "vitest";
import { check } from "../../src/testing/checkers/check.ts";
import {
  type Dead,
  History,
  type Known,
  type Run,
  type Said,
  type StateOf,
  type Stored,
  type Tended,
} from "../../src/testing/history.ts";

const SUBSCRIPTION = "event g ev.*";

const known: Known = {
  id: SUBSCRIPTION,
  role: "events",
  pattern: "ev.*",
  durable: true,
  keyed: true,
  holds: false,
  filter: {},
  moves: true,
  fromStart: false,
  births: [{ ms: 0, counter: 0 }],
};

const said = (seq: number, change: Partial<Said> = {}): Said => ({
  id: `m${seq}`,
  node: 0,
  kind: "event",
  subject: "ev.a",
  key: "k",
  order: seq,
  invokedMs: seq,
  expires: false,
  delayed: false,
  filtered: false,
  outcome: "ok",
  position: { epoch: 1, seq },
  ...change,
});

const stored = (seq: number, change: Partial<Stored> = {}): Stored => ({
  node: 0,
  epoch: 1,
  seq,
  id: `m${seq}`,
  kind: "event",
  subject: "ev.a",
  key: "k",
  target: undefined,
  timeMs: seq,
  timeCounter: 0,
  expires: false,
  headers: {},
  atMs: seq,
  state: "ok",
  ...change,
});

const run = (seq: number, change: Partial<Run> = {}): Run => ({
  subscription: SUBSCRIPTION,
  member: 1,
  life: 1,
  id: `m${seq}`,
  producer: 0,
  epoch: 1,
  seq,
  key: "k",
  attempt: 1,
  isReplay: false,
  startMs: seq * 10,
  fence: 1,
  volatile: false,
  endMs: seq * 10 + 5,
  outcome: "ok",
  sent: [],
  ...change,
});

const dead = (seq: number): Dead => {
  const place = { node: 0, subscription: SUBSCRIPTION, epoch: 1, seq };
  return { ...place, reason: "1 attempts failed", attempts: 1, atMs: seq * 10 + 5 };
};

const tended = (seq: number): Omit<Tended, "how"> => ({
  node: 0,
  subscription: SUBSCRIPTION,
  epoch: 1,
  seq,
  holds: false,
  atMs: seq * 10 + 8,
});

const stateOf = (seq: number, times: number): StateOf => ({
  member: 1,
  subscription: SUBSCRIPTION,
  producer: 0,
  epoch: 1,
  seq,
  times,
});

/** Three messages said, stored and handled in order; the first sent one effect. */
const good = (): History => {
  const history = new History();
  history.isQuiet = true;
  history.isWhole = true;
  history.isCalm = true;
  history.known.set(SUBSCRIPTION, { ...known });
  for (const seq of [1, 2, 3]) {
    history.said.push(said(seq));
    history.stored.push(stored(seq));
    history.runs.push(run(seq, seq === 1 ? { sent: ["m1|x|0"] } : {}));
  }
  history.stored.push(stored(1, { node: 1, id: "m1|x|0", subject: "fx.out" }));
  for (const one of history.said) history.saidById.set(one.id, one);
  const counts = { accepted: 3, acked: 3, dead: 0, expired: 0, abandoned: 0, damaged: 0 };
  history.ledgers.push({ node: 0, subscription: SUBSCRIPTION, ...counts, pending: 0 });
  return history;
};

const brokenBy = (change: (history: History) => void): string[] => {
  const history = good();
  change(history);
  return [...new Set(check(history).map((violation) => violation.check))].sort();
};

/** What a change does to a good history, and the checks that must see it. */
const BAD: readonly (readonly [what: string, seenBy: string, change: (h: History) => void])[] = [
  ["an accepted message is in no journal", "C1", (h) => void h.stored.shift()],
  ["a message is never handled", "C1", (h) => void h.runs.splice(1, 1)],
  [
    "a message only ever fails",
    "C1",
    (h) => Object.assign(h.runs[2] as Run, { outcome: "failed" }),
  ],
  [
    "its only place was taken back",
    "C1",
    (h) => Object.assign(h.stored[1] as Stored, { state: "burnt" }),
  ],
  [
    "a message is never handled, and the block of another is damaged",
    "C1",
    (h) => {
      h.bitFlips = 1;
      h.runs.splice(1, 1);
      Object.assign(h.stored[2] as Stored, { isDamaged: true });
      Object.assign(h.ledgers[0] as object, { acked: 2, damaged: 1 });
    },
  ],
  ["a handler gets what nobody stored", "C2", (h) => void h.runs.push(run(9))],
  [
    "a handler gets another message than is stored",
    "C2",
    (h) => Object.assign(h.runs[1] as Run, { id: "m9" }),
  ],
  ["a stored message was said by nobody", "C2", (h) => void h.saidById.delete("m2")],
  [
    "a refused message is stored",
    "C2",
    (h) => Object.assign(h.said[1] as Said, { outcome: "refused" }),
  ],
  ["a message is stored twice", "C2", (h) => void h.stored.push(stored(7, { id: "m2" }))],
  [
    "an effect left and no handler sent it",
    "C2",
    (h) => Object.assign(h.runs[0] as Run, { sent: [] }),
  ],
  [
    "the second message ends before the first",
    "C3",
    (h) => Object.assign(h.runs[1] as Run, { startMs: 1, endMs: 2 }),
  ],
  [
    "a message ends before an earlier one, which becomes a dead letter later",
    "C3",
    (h) => {
      Object.assign(h.runs[0] as Run, { endMs: 100 });
      h.dead.push({ ...dead(1), atMs: 200 });
    },
  ],
  [
    "a message ends before an earlier one, whose dead letter holds the key",
    "C3",
    (h) => {
      h.known.set(SUBSCRIPTION, { ...known, holds: true });
      Object.assign(h.runs[0] as Run, { endMs: 100 });
      h.dead.push(dead(1));
    },
  ],
  [
    "a later call stands before an earlier one",
    "C3",
    (h) => Object.assign(h.said[0] as Said, { position: { epoch: 1, seq: 8 } }),
  ],
  [
    "an effect leaves twice",
    "C4",
    (h) => void h.stored.push(stored(2, { node: 1, id: "m1|x|0", subject: "fx.out" })),
  ],
  ["an effect never leaves", "C4", (h) => void h.stored.pop()],
  [
    "two members run one key at a time in a stable mesh",
    "C5",
    (h) => Object.assign(h.runs[1] as Run, { member: 2, startMs: 14 }),
  ],
  [
    "two members run one key of two producers at a time, long after the last change",
    "C5",
    (h) => {
      h.isCalm = false;
      h.changesMs.push(14);
      const late = { startMs: 20_000, endMs: 20_005 };
      Object.assign(h.runs[0] as Run, { ...late, producer: 7, seq: 9 });
      Object.assign(h.runs[1] as Run, { ...late, member: 2, startMs: 20_004 });
    },
  ],
  [
    "a later message counts under a smaller fence",
    "C5",
    (h) => {
      Object.assign(h.runs[0] as Run, { fence: 6 });
      Object.assign(h.runs[1] as Run, { fence: 5 });
    },
  ],
  [
    "one member runs one key twice at a time",
    "C5",
    (h) => {
      h.isCalm = false;
      Object.assign(h.runs[1] as Run, { startMs: 14 });
    },
  ],
  [
    "a request never ends",
    "C7",
    (h) => void h.asked.push({ invokedMs: 1, timeoutMs: 9, endedMs: undefined, cut: false }),
  ],
  [
    "a request ends late, although its process did not stand still for as long",
    "C7",
    (h) =>
      void h.asked.push({ invokedMs: 1, timeoutMs: 9, endedMs: 40_001, stoodMs: 5, cut: false }),
  ],
  ["a message becomes a dead letter twice", "C8", (h) => void h.dead.push(dead(2), dead(2))],
  ["a dead letter is not counted", "C8", (h) => void h.dead.push(dead(2))],
  [
    "a message is dead after more attempts than there were",
    "C8",
    (h) => {
      Object.assign(h.runs[1] as Run, { outcome: "failed" });
      h.dead.push({ ...dead(2), attempts: 2 });
    },
  ],
  [
    "a failed attempt does not count",
    "C8",
    (h) => {
      const failed = { outcome: "failed", startMs: 18, endMs: 19 } as const;
      h.runs.splice(1, 0, run(2, failed));
    },
  ],
  [
    "a replayed dead letter is not tried again",
    "C8",
    (h) => {
      h.dead.push(dead(2));
      h.tended.push({ ...tended(2), how: "replayed" });
    },
  ],
  [
    "a key goes on while a dead letter holds it",
    "C3",
    (h) => {
      h.known.set(SUBSCRIPTION, { ...known, holds: true });
      Object.assign(h.runs[1] as Run, { outcome: "failed" });
      h.dead.push(dead(2));
      h.tended.push({ ...tended(2), how: "discarded", atMs: 40 });
    },
  ],
  [
    "one member runs a message without a key twice at a time",
    "C5",
    (h) => {
      h.isCalm = false;
      Object.assign(h.runs[1] as Run, { key: undefined });
      h.runs.push(run(2, { key: undefined, startMs: 22, endMs: 28 }));
    },
  ],
  ["a message changes a state twice", "C4", (h) => void h.states.push(stateOf(2, 2))],
  [
    "a message changes no state",
    "C4",
    (h) => {
      h.known.set(SUBSCRIPTION, { ...known, moves: false });
      h.states.push(stateOf(1, 1), stateOf(2, 1));
    },
  ],
  [
    "a message expires under its handler",
    "ledger",
    (h) => {
      for (const seq of [2, 3]) h.stored[seq - 1] = stored(seq, { expires: true });
      Object.assign(h.ledgers[0] as object, { acked: 1, expired: 2 });
    },
  ],
  [
    "the ledger does not add up",
    "ledger",
    (h) => Object.assign(h.ledgers[0] as object, { acked: 2 }),
  ],
  [
    "the ledger counts less than is owed",
    "ledger",
    (h) => Object.assign(h.ledgers[0] as object, { accepted: 2, acked: 2 }),
  ],
  [
    "the ledger counts more than there is",
    "ledger",
    (h) => Object.assign(h.ledgers[0] as object, { accepted: 4, acked: 4 }),
  ],
  [
    "more was settled than accepted",
    "ledger",
    (h) => Object.assign(h.ledgers[0] as object, { acked: 4, pending: -1 }),
  ],
];

describe("the checkers", () => {
  it("find nothing in a history that keeps every promise", () => {
    expect(check(good())).toEqual([]);
  });

  it.each(BAD)("see that %s", (_what, seenBy, change) => {
    expect(brokenBy(change)).toContain(seenBy);
  });

  it("accept that a paused member ends a message well after its dead letter was on disk", () => {
    expect(
      brokenBy((h) => {
        h.isCalm = false;
        h.changesMs.push(0);
        Object.assign(h.runs[0] as Run, { member: 2, endMs: 100 });
        h.dead.push(dead(1));
        Object.assign(h.ledgers[0] as object, { acked: 2, dead: 1 });
      }),
    ).toEqual([]);
  });

  it("accept amid faults that a member ends a message well which may have expired, and only then", () => {
    const late = (h: History): void => {
      h.stored[0] = stored(1, { expires: true });
      Object.assign(h.runs[0] as Run, { member: 2, endMs: 100 });
    };
    const amidFaults = (h: History): void => {
      h.isCalm = false;
      h.changesMs.push(0);
      late(h);
    };
    expect(brokenBy(amidFaults)).toEqual([]);
    expect(brokenBy(late)).toContain("C3");
    expect(
      brokenBy((h) => {
        amidFaults(h);
        Object.assign(h.runs[2] as Run, { startMs: 1, endMs: 2 });
      }),
    ).toEqual(["C3"]);
  });

  it("accept the loss of what lay in a damaged block, whether or not a ledger could count it", () => {
    const lost = (h: History): void => {
      h.bitFlips = 1;
      h.runs.splice(1, 1);
      Object.assign(h.stored[1] as Stored, { isDamaged: true });
    };
    expect(brokenBy(lost)).toEqual([]);
    expect(
      brokenBy((h) => {
        lost(h);
        Object.assign(h.ledgers[0] as object, { accepted: 2, acked: 2 });
      }),
    ).toEqual([]);
  });

  it("accept a request that ends when the process that asks turns again", () => {
    const asked = { invokedMs: 1, timeoutMs: 9, endedMs: 40_001, stoodMs: 39_990, cut: false };
    expect(brokenBy((h) => void h.asked.push(asked))).toEqual([]);
  });

  it("accept a gap that a dead letter leaves, and an expiry", () => {
    const gap = (h: History): void => {
      Object.assign(h.runs[1] as Run, { outcome: "failed" });
      h.dead.push(dead(2));
      Object.assign(h.ledgers[0] as object, { acked: 2, dead: 1 });
    };
    expect(brokenBy(gap)).toEqual([]);
    const expiry = (h: History): void => {
      h.runs.splice(1, 1);
      h.stored[1] = stored(2, { expires: true });
      Object.assign(h.ledgers[0] as object, { acked: 2, expired: 1 });
    };
    expect(brokenBy(expiry)).toEqual([]);
  });

  describe("where an older copy of a folder took the place of the folder", () => {
    /** The copy had the first message; the third place was given again, to another message. */
    const restored = (before: (history: History) => void = () => {}): History => {
      const history = good();
      before(history);
      history.restore({ node: 0, copiedMs: 1, atMs: 100 });
      const again = said(3, { id: "m9", order: 9, invokedMs: 110 });
      history.said.push(again);
      history.saidById.set(again.id, again);
      history.stored.push(stored(3, { id: "m9", atMs: 111 }));
      history.ledgers = history.ledgers.map((counts) => ({ ...counts, accepted: 2, acked: 2 }));
      return history;
    };

    it("accept what is lost with the disk, and a second handling", () => {
      const history = restored();
      history.runs.push(run(3, { id: "m9", startMs: 200, endMs: 205 }));
      history.runs.push(run(1, { startMs: 210, endMs: 215, sent: ["m1|x|0"] }));
      history.stored.push(stored(2, { node: 1, id: "m1|x|0", subject: "fx.out" }));
      expect(check(history)).toEqual([]);
    });

    it("accept what a handler sends again that was lost, and that is handled", () => {
      const effect = { id: "m1|y|0", key: undefined };
      const sends = { member: 0, sent: [effect.id], key: undefined };
      const history = restored((before) => {
        before.stored.push(stored(4, { ...effect, atMs: 66 }));
        before.runs.push(run(1, { ...sends, startMs: 60, endMs: 65 }));
        before.runs.push(run(4, { ...effect, startMs: 70, endMs: 75 }));
      });
      history.runs.push(run(3, { id: "m9", startMs: 200, endMs: 205 }));
      history.runs.push(run(1, { ...sends, startMs: 210, endMs: 215 }));
      history.stored.push(stored(4, { ...effect, atMs: 216 }));
      history.runs.push(run(4, { ...effect, startMs: 220, endMs: 225 }));
      history.ledgers = history.ledgers.map((counts) => ({ ...counts, accepted: 3, acked: 3 }));
      expect(check(history)).toEqual([]);
    });

    it("find a message taken for handled, because its place was handled before", () => {
      expect([...new Set(check(restored()).map((violation) => violation.check))]).toEqual(["C1"]);
    });

    /** The second message failed for good, which stopped its key. */
    const holdsTheSecond = (history: History): void => {
      history.known.set(SUBSCRIPTION, { ...known, holds: true });
      Object.assign(history.runs[1] as Run, { outcome: "failed" });
      history.dead.push(dead(2));
    };

    it("accept a key that goes on when the letter that held it is lost with the disk", () => {
      const history = restored((before) => {
        holdsTheSecond(before);
        before.runs.pop();
      });
      history.runs.push(run(3, { id: "m9", startMs: 200, endMs: 205 }));
      expect(check(history)).toEqual([]);
    });

    it("find a key that goes on before that", () => {
      const history = restored(holdsTheSecond);
      history.runs.push(run(3, { id: "m9", startMs: 200, endMs: 205 }));
      expect(check(history).map((violation) => violation.check)).toEqual(["C3"]);
    });

    it("find a key that goes on while a letter holds it that is not lost", () => {
      const history = restored((before) => {
        before.known.set(SUBSCRIPTION, { ...known, holds: true });
        before.runs.pop();
      });
      history.runs.push(run(3, { id: "m9", outcome: "failed", startMs: 200, endMs: 205 }));
      history.dead.push({ ...dead(3), atMs: 210 });
      history.stored.push(stored(4, { id: "m10", atMs: 212 }));
      history.said.push(said(4, { id: "m10", order: 10, invokedMs: 211 }));
      history.saidById.set("m10", history.said.at(-1) as Said);
      history.runs.push(run(4, { id: "m10", startMs: 220, endMs: 225 }));
      history.ledgers = history.ledgers.map((counts) => ({ ...counts, accepted: 3 }));
      Object.assign(history.ledgers[0] as object, { dead: 1 });
      expect(check(history).map((violation) => violation.check)).toEqual(["C3"]);
    });

    it("find a message that never came to its end but for a letter that is lost", () => {
      const history = restored((before) => {
        Object.assign(before.runs[0] as Run, { outcome: "failed", sent: [] });
        before.dead.push(dead(1));
        before.stored.pop();
      });
      history.runs.push(run(3, { id: "m9", startMs: 200, endMs: 205 }));
      expect(check(history).map((violation) => violation.check)).toEqual(["C1"]);
    });

    it("find a second effect of a node that was not restored", () => {
      expect(
        brokenBy((history) => {
          history.restore({ node: 5, copiedMs: 1, atMs: 100 });
          history.stored.push(stored(2, { node: 1, id: "m1|x|0", subject: "fx.out" }));
        }),
      ).toEqual(["C4"]);
    });
  });

  it("accept that a key goes on where a copy of the folder buried what another copy did not", () => {
    const withLetter = (copyOf: number): string[] =>
      brokenBy((history) => {
        history.isCalm = false;
        history.copies.set(3, copyOf);
        Object.assign(history.runs[1] as Run, { startMs: 90, endMs: 95 });
        history.dead.push({ ...dead(2), node: 3, attempts: 0 });
      });
    expect(withLetter(0)).toEqual([]);
    expect(withLetter(1)).toEqual(["C3"]);
  });

  it("accept that a copy handed out what its original took back after the copy was made", () => {
    const withBurnt = (isCopied: boolean): string[] =>
      brokenBy((history) => {
        const taken = { ...stored(4, { id: "m9", state: "unknown" }) };
        history.stored.push(taken);
        if (isCopied) history.copied(3, 0);
        taken.state = "burnt";
        history.runs.push(run(4, { id: "m9" }));
      });
    expect(withBurnt(true)).toEqual([]);
    expect(withBurnt(false)).toEqual(["C2"]);
  });

  it("accept that an effect waits for ever at a member that never runs again, and at no other", () => {
    const withSecondRun = (member: number): string[] =>
      brokenBy((history) => {
        history.retired.add(3);
        history.stored.pop();
        history.runs.push(run(1, { member, startMs: 100, endMs: 105, sent: ["m1|x|0"] }));
      });
    expect(withSecondRun(3)).toEqual([]);
    expect(withSecondRun(2)).toEqual(["C4"]);
  });

  it("accept that members on copies of one folder run a key at a time, and no others", () => {
    const withOverlap = (copies: readonly (readonly [number, number])[]): string[] =>
      brokenBy((history) => {
        history.isCalm = false;
        for (const [copy, of] of copies) history.copies.set(copy, of);
        history.runs.push(run(1, { member: 3, startMs: 12, endMs: 14 }));
      });
    expect(withOverlap([[3, 1]])).toEqual([]);
    expect(withOverlap([[5, 4]])).toEqual(["C5"]);
  });

  it("count the attempts at what came with a copied folder, and no others", () => {
    const withLetter = (copyOf: number): string[] =>
      brokenBy((history) => {
        history.copies.set(3, copyOf);
        history.dead.push({ ...dead(2), node: 3 });
      });
    expect(withLetter(0)).toEqual([]);
    expect(withLetter(1)).toEqual(["C8"]);
    const withOwn = brokenBy((history) => {
      history.copies.set(3, 0);
      history.retired.add(3);
      history.saidById.set("m9", said(2, { node: 3, id: "m9" }));
      history.stored.push(stored(2, { node: 3, id: "m9" }));
      history.dead.push({ ...dead(2), node: 3 });
    });
    expect(withOwn).toEqual(["C8"]);
  });

  it("accept what waits for ever on the disk of a node that never runs again, and no other", () => {
    const withUnhandled = (retired: number): string[] =>
      brokenBy((history) => {
        history.retired.add(retired);
        history.runs.pop();
      });
    expect(withUnhandled(0)).toEqual([]);
    expect(withUnhandled(1)).toEqual(["C1"]);
  });

  it("count a handler that was timed out as an attempt, and not one whose message went back", () => {
    const withLate = (outcome: "revoked" | "surrendered"): string[] =>
      brokenBy((history) => {
        history.runs.splice(1, 0, run(2, { outcome, startMs: 18, endMs: 19 }));
      });
    expect(withLate("surrendered")).toEqual([]);
    expect(withLate("revoked")).toEqual(["C8"]);
  });

  it("accept that an effect is lost where an older disk of a member that handled its message is back", () => {
    const withoutEffect = (member: number): string[] =>
      brokenBy((history) => {
        history.mayRepeat.add(3);
        history.runs.push(run(1, { member, startMs: 40, endMs: 45, sent: ["m1|x|0"] }));
        history.stored.pop();
      });
    expect(withoutEffect(3)).toEqual([]);
    expect(withoutEffect(1)).toContain("C4");
  });
});
