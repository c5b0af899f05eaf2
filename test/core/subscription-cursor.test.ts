import { describe, expect, it } from "vitest";
import { type Entry, IN_FLIGHT, newEntry, PARKED, READY, STOPPED } from "../../src/core/entry.ts";
import type { Member } from "../../src/core/member.ts";
import { SubscriptionCursor } from "../../src/core/subscription-cursor.ts";
import { CursorSimulation, type Settings } from "./cursor-simulation.ts";

const simulate = (seeds: number, settings: Settings, steps = 250): CursorSimulation[] =>
  Array.from({ length: seeds }, (_, seed) => {
    const simulation = new CursorSimulation(seed, settings);
    try {
      simulation.run(steps);
      simulation.auditEnd();
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error });
    }
    return simulation;
  });

const usual = { keyed: true, holdOnDead: false, faults: true, poison: false, messages: 60 };

describe("a cursor and consumers that follow the protocol, in any weather", () => {
  it("keeps order and counts, and settles everything, without faults", () => {
    const simulations = simulate(200, { ...usual, faults: false });
    for (const { ended } of simulations) {
      expect([...ended.values()].every((how) => how === "acked")).toBe(true);
    }
  });

  it("keeps order and counts, and settles everything, through retries, losses, deaths and moves", () => {
    const simulations = simulate(600, usual);
    const ways = new Set(simulations.flatMap(({ ended }) => [...ended.values()]));
    expect([...ways].sort()).toEqual(["acked", "dead", "expired"]);
  });

  it("does so when dead letters stop their keys", () => {
    simulate(400, { ...usual, holdOnDead: true });
  });

  it("does so when messages have no owner", () => {
    simulate(200, { ...usual, keyed: false });
  });

  it("finds messages that kill their process and never blames another", () => {
    const simulations = simulate(400, { ...usual, poison: true, messages: 40 });
    const killers = simulations.flatMap((simulation) =>
      simulation.killers.map((entry) => simulation.poison.has(entry)),
    );
    expect(killers.length).toBeGreaterThan(100);
  });
});

const setUp = (options: { keyed?: boolean } = {}) => {
  const cursor = new SubscriptionCursor(
    { epoch: 1, seq: 0 },
    { keyed: options.keyed ?? true, windowMax: 100_000, lookAheadMax: 100 },
  );
  let seq = 0;
  const add = (keyHash: number): Entry => {
    const entry = cursor.add(1, ++seq, 0, keyHash, 10, -1);
    cursor.read({ epoch: 1, seq });
    return entry;
  };
  return { cursor, add, a: connect(cursor, "a") };
};

const connect = (cursor: SubscriptionCursor, id: string): Member => {
  const member = cursor.join(id, id.charCodeAt(0) * 0x9e37_79b1, 1);
  cursor.open(member).grant(1_000_000, 100_000_000);
  return member;
};

/** Sends all that may be sent. */
const send = (cursor: SubscriptionCursor, member: Member): number[] => {
  const seqs: number[] = [];
  for (let entry = cursor.next(member); entry !== undefined; entry = cursor.next(member)) {
    cursor.sent(member, entry);
    seqs.push(entry.seq);
  }
  return seqs;
};

/** A settle of this entry has come. */
const take = (member: Member, entry: Entry): Entry => {
  expect(member.opening?.take(entry.number)).toBe(entry);
  return entry;
};

describe("SubscriptionCursor", () => {
  it("sends the messages behind a failed one after it, and lifts the stop of the key with it", () => {
    const { cursor, add, a } = setUp();
    const [first, second] = [add(1), add(1)];
    expect(send(cursor, a)).toEqual([1, 2]);
    cursor.retry(a, take(a, first), 100);
    cursor.giveBack([take(a, second)]);
    add(1);
    const other = add(2);
    expect([send(cursor, a), cursor.parked, cursor.nextDueMs]).toEqual([[4], 3, 100]);
    expect([cursor.wake(99), cursor.wake(100)]).toEqual([0, 1]);
    expect([cursor.next(a), cursor.sent(a, first), first.resume]).toEqual([first, true, true]);
    expect(send(cursor, a)).toEqual([]);
    expect([cursor.settle(take(a, first)), cursor.settle(first)]).toEqual([true, false]);
    expect(send(cursor, a)).toEqual([2, 3]);
    expect(cursor.floor).toEqual({ epoch: 1, seq: 1 });
    expect(other.resume).toBe(false);
  });

  it("sends nothing of a key whose failed message expired until all it had in flight is back", () => {
    const { cursor, add, a } = setUp();
    const [first, second] = [add(1), add(1)];
    send(cursor, a);
    cursor.retry(a, take(a, first), 100);
    const third = add(1);
    cursor.settle(first); // expired, while the return of the second is on its way
    expect(cursor.next(a)).toBeUndefined();
    cursor.giveBack([take(a, second)]);
    expect(send(cursor, a)).toEqual([2, 3]);
    expect(third.state).toBe(IN_FLIGHT);
  });

  it("sends what is pinned of a key behind what was sent before a dead message's end", () => {
    const { cursor, add, a } = setUp();
    const entries = [1, 1, 1, 1].map((key) => add(key));
    const [dead, second, third, pinned] = entries as [Entry, Entry, Entry, Entry];
    expect(send(cursor, a)).toEqual([1, 2, 3, 4]);
    cursor.lose(a);
    cursor.open(a).grant(3, 1_000);
    expect(send(cursor, a)).toEqual([1, 2, 3]);
    expect(pinned.state).toBe(READY);
    cursor.stop(a, take(a, dead));
    cursor.settle(dead);
    a.opening?.grant(100, 1_000);
    expect(send(cursor, a)).toEqual([]);
    cursor.giveBack([take(a, second)]);
    expect(send(cursor, a)).toEqual([]);
    cursor.giveBack([take(a, third)]);
    const next = cursor.next(a) as Entry;
    expect(next).toBe(second);
    expect(cursor.sent(a, next)).toBe(true);
    expect(send(cursor, a)).toEqual([3, 4]);
  });

  it("keeps a failed message's delay when an earlier one of its key is acked after it failed", () => {
    const { cursor, add, a } = setUp();
    const [first, second, third] = [add(1), add(1), add(1)];
    send(cursor, a);
    cursor.retry(a, take(a, second), 100); // the ack of the first waits for its sync
    cursor.giveBack([take(a, third)]);
    cursor.settle(take(a, first));
    expect(send(cursor, a)).toEqual([]);
    expect([second.state, second.dueMs, cursor.wake(100)]).toEqual([PARKED, 100, 1]);
    expect(send(cursor, a)).toEqual([2]);
  });

  it("sends nothing of a key while an earlier message of it still runs and may fail", () => {
    const { cursor, add, a } = setUp();
    const [running, returned] = [add(1), add(1)];
    send(cursor, a);
    cursor.retry(a, take(a, returned), 50); // untried: there was no room for it
    cursor.wake(50);
    expect(send(cursor, a)).toEqual([]);
    cursor.retry(a, take(a, running), 100);
    cursor.wake(100);
    expect([send(cursor, a), running.resume]).toEqual([[1], true]);
    cursor.settle(take(a, running));
    expect([send(cursor, a), returned.resume]).toEqual([[2], false]);
  });

  it("knows that a message whose return was lost has not started, and keeps it behind earlier ones", () => {
    const { cursor, add, a } = setUp();
    const [first, second] = [add(1), add(1)];
    send(cursor, a);
    cursor.giveBack([take(a, first)]); // and so was the second, but its link was lost
    cursor.lose(a);
    const b = cursor.join("b", 7, 1_000_000);
    cursor.open(b).grant(10, 100);
    cursor.open(a).grant(10, 100);
    expect([send(cursor, a), send(cursor, b)]).toEqual([[], [1, 2]]);
    expect(second.pinnedTo).toBe("");
  });

  it("puts what comes back before what waits of its key", () => {
    const { cursor, add, a } = setUp();
    const [first, second] = [add(1), add(1)];
    send(cursor, a);
    add(1);
    add(2);
    cursor.giveBack([take(a, second), take(a, first)]);
    expect(send(cursor, a)).toEqual([1, 2, 3, 4]);
  });

  it("tells the consumer of a draining member nothing new, but gives back what was pinned to it", () => {
    const { cursor, add, a } = setUp();
    const first = add(1);
    send(cursor, a);
    add(1);
    cursor.lose(a);
    cursor.open(a).grant(100, 1_000);
    cursor.drain(a);
    expect(send(cursor, a)).toEqual([1]);
    const b = connect(cursor, "b");
    expect(send(cursor, b)).toEqual([]);
    cursor.settle(take(a, first));
    expect([send(cursor, a), send(cursor, b)]).toEqual([[], [2]]);
  });

  it("hands over what is in flight, pinned and queued, in order, when its member leaves", () => {
    const { cursor, add, a } = setUp();
    for (let left = 0; left < 4; left++) add(1);
    cursor.sent(a, cursor.next(a) as Entry);
    cursor.sent(a, cursor.next(a) as Entry);
    cursor.lose(a);
    cursor.open(a).grant(1, 10);
    send(cursor, a);
    const b = connect(cursor, "b");
    cursor.leave(a, false);
    expect(send(cursor, b)).toEqual([1, 2, 3, 4]);
    expect(cursor.unsettled().map(({ pinnedTo }) => pinnedTo)).toEqual(["", "", "", ""]);
  });

  it("blames a message for the third death of a process, when it was alone in it", () => {
    const { cursor, add, a } = setUp();
    const [killer, innocent] = [add(1), add(2)];
    for (let death = 1; death <= 2; death++) {
      expect(send(cursor, a)).toEqual([1, 2]);
      cursor.lose(a);
      expect([cursor.died(a), cursor.died(a)]).toEqual([[], []]);
      cursor.open(a).grant(100, 1_000);
    }
    expect([send(cursor, a), killer.deaths, innocent.deaths]).toEqual([[1], 2, 2]);
    cursor.lose(a);
    expect(cursor.leave(a, true)).toEqual([killer]);
  });

  it("counts messages that expire behind a stopped one no longer", () => {
    const { cursor, add, a } = setUp();
    const first = add(1);
    send(cursor, a);
    cursor.stop(a, take(a, first));
    for (let round = 0; round < 1_000; round++) cursor.settle(add(1));
    expect([cursor.parked, first.state, cursor.room > 0]).toEqual([1, STOPPED, true]);
    const last = add(1);
    expect([cursor.resume(first), cursor.resume(first)]).toEqual([true, false]);
    expect(send(cursor, a)).toEqual([1]);
    cursor.settle(take(a, first));
    expect(send(cursor, a)).toEqual([last.seq]);
  });

  it("keeps nothing that expired in the queue of a member that stays away", () => {
    const { cursor, add, a } = setUp();
    cursor.lose(a);
    for (let round = 0; round < 10_000; round++) cursor.settle(add(1));
    expect(a.queue.length).toBeLessThan(300);
    const last = add(1);
    cursor.open(a).grant(10, 100);
    expect(send(cursor, a)).toEqual([last.seq]);
  });

  it("gives neither keyed nor keyless messages precedence", () => {
    const { cursor, add, a } = setUp();
    for (const keyHash of [1, -1, 2, -1, 1]) add(keyHash);
    expect(send(cursor, a)).toEqual([1, 2, 3, 4, 5]);
  });

  it("changes between owned and free keys while messages wait and are in flight", () => {
    const { cursor, add, a } = setUp();
    const [failed, , inFlight] = [add(1), add(1), add(2)];
    send(cursor, a);
    cursor.retry(a, take(a, failed), 100);
    add(1);
    expect([cursor.setKeyed(false), cursor.heldKeys, cursor.parked]).toEqual([true, 0, 1]);
    expect(send(cursor, a)).toEqual([4]);
    cursor.settle(take(a, inFlight)); // counted at the gate no more
    expect([cursor.setKeyed(true), cursor.heldKeys, failed.state]).toEqual([true, 1, PARKED]);
    const b = connect(cursor, "b");
    cursor.leave(a, false);
    cursor.wake(100);
    expect(send(cursor, b)).toEqual([1]);
    cursor.settle(take(b, failed));
    expect(send(cursor, b)).toEqual([2, 4]);
  });

  it("refuses to give keys owners while two members have some of one shard", () => {
    const { cursor, add, a } = setUp({ keyed: false });
    const b = connect(cursor, "b");
    const first = add(1);
    cursor.sent(a, cursor.next(a) as Entry);
    add(1);
    send(cursor, b);
    expect(cursor.setKeyed(true)).toBe(false);
    cursor.settle(take(a, first));
    expect(cursor.setKeyed(true)).toBe(true);
  });

  it("restores what waited and what stopped its key, and the messages behind them", () => {
    const { cursor, a } = setUp();
    const stopped = newEntry(1, 2, 0, 2, 10, -1);
    cursor.addParked(newEntry(1, 1, 0, 1, 10, -1), 50);
    cursor.addStopped(stopped);
    for (const [seq, keyHash] of [3, 4, 5].map((seq) => [seq, seq - 2] as const)) {
      cursor.add(1, seq, 0, keyHash, 10, -1);
    }
    cursor.read({ epoch: 1, seq: 9 });
    expect([send(cursor, a), cursor.parked, cursor.unsent]).toEqual([[5], 4, 0]);
    cursor.wake(50);
    cursor.resume(stopped);
    expect([stopped.state, send(cursor, a)]).toEqual([READY, [1, 2]]);
    for (const entry of cursor.unsettled()) cursor.settle(entry);
    expect([cursor.floor, cursor.find(1, 2)]).toEqual([{ epoch: 1, seq: 9 }, undefined]);
  });
});
