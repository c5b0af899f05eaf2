import { describe, expect, it } from "vitest";
import { Lanes } from "../../src/core/lanes.ts";
import { randomOf } from "./cursor-simulation.ts";

type Job = { readonly keyHash: number; readonly id: number; readonly opening: number };

const job = (keyHash: number, id = 0, opening = 0): Job => ({ keyHash, id, opening });

describe("Lanes", () => {
  it("runs one job of a key at a time, and other keys beside it", () => {
    const lanes = new Lanes<Job>(10);
    const [first, second, other] = [job(1, 1), job(1, 2), job(2, 3)];
    for (const each of [first, second, other]) lanes.push(each);
    expect([lanes.next(), lanes.next(), lanes.next()]).toEqual([first, other, undefined]);
    lanes.done(first);
    expect(lanes.next()).toBe(second);
  });

  it("runs at most `concurrency` jobs, and a suspended one leaves its place to another key", () => {
    const lanes = new Lanes<Job>(1);
    const [first, follower, other] = [job(1, 1), job(1, 2), job(2, 3)];
    for (const each of [first, follower, other]) lanes.push(each);
    expect(lanes.next()).toBe(first);
    expect(lanes.next()).toBeUndefined();
    lanes.suspend(first);
    expect([lanes.running, lanes.suspended]).toEqual([0, 1]);
    expect(lanes.next()).toBe(other);
    lanes.done(other);
    lanes.resume(first);
    expect(lanes.next()).toBeUndefined();
    expect([lanes.running, lanes.suspended]).toEqual([1, 0]);
  });

  it("lets the key go on when a suspended job is abandoned", () => {
    const lanes = new Lanes<Job>(1);
    const [first, follower] = [job(1, 1), job(1, 2)];
    for (const each of [first, follower]) lanes.push(each);
    lanes.next();
    lanes.suspend(first);
    lanes.resume(first);
    lanes.done(first);
    expect([lanes.running, lanes.suspended]).toEqual([0, 0]);
    expect(lanes.next()).toBe(follower);
  });

  it("serves keyed and keyless jobs in turn", () => {
    const lanes = new Lanes<Job>(10);
    for (let id = 0; id < 3; id++) lanes.push(job(-1, id));
    for (let id = 3; id < 6; id++) lanes.push(job(id, id));
    const kinds = Array.from({ length: 6 }, () => (lanes.next() as Job).keyHash < 0);
    expect(kinds).toEqual([true, false, true, false, true, false]);
  });

  it("keeps no lane of a key whose jobs were taken out before they ran", () => {
    const lanes = new Lanes<Job>(10);
    lanes.push(job(1, 1));
    lanes.push(job(2, 2));
    expect(lanes.takeKey(1, () => true)).toHaveLength(1);
    expect(lanes.takeAll(() => true)).toHaveLength(1);
    expect(lanes.next()).toBeUndefined();
    expect([lanes.keys, lanes.waiting]).toEqual([0, 0]);
  });

  it("agrees with a plain list under 1,000 random scripts", () => {
    for (let seed = 0; seed < 1_000; seed++) script(seed);
  });
});

/** The oracle: everything not ended, in order of arrival. */
const script = (seed: number): void => {
  const random = randomOf(seed);
  const below = (bound: number): number => Math.floor(random() * bound);
  const lanes = new Lanes<Job>(1 + below(4));
  let waiting: Job[] = [];
  const running: Job[] = [];
  const suspended: Job[] = [];
  const busy = (keyHash: number): boolean =>
    [...running, ...suspended].some((other) => other.keyHash === keyHash);
  const same = (found: unknown, expected: unknown): void => {
    if (found !== expected) expect(found, `seed ${seed}`).toBe(expected);
  };
  const start = (): void => {
    const next = lanes.next();
    const free = lanes.concurrency - running.length;
    const runnable = waiting.some(({ keyHash }) => keyHash < 0 || !busy(keyHash));
    same(next === undefined, free <= 0 || !runnable);
    if (next === undefined) return;
    same(next.keyHash >= 0 && busy(next.keyHash), false);
    const first = waiting.find(({ keyHash }) => keyHash === next.keyHash);
    same(next, first);
    waiting = waiting.filter((other) => other !== next);
    running.push(next);
  };
  const take = (from: Job[]): Job | undefined => from.splice(below(from.length), 1)[0];
  const remove = (taken: Job[], expected: (other: Job) => boolean): void => {
    const ids = (jobs: Job[]): number[] => jobs.map(({ id }) => id).sort((a, b) => a - b);
    same(`${ids(taken)}`, `${ids(waiting.filter(expected))}`);
    waiting = waiting.filter((other) => !expected(other));
  };
  for (let step = 0; step < 80; step++) {
    const pick = below(8);
    if (pick < 2) {
      const fresh = job(below(5) - 1, step, below(2));
      waiting.push(fresh);
      lanes.push(fresh);
    } else if (pick < 4) start();
    else if (pick === 4) {
      const ended = take(running);
      if (ended !== undefined) lanes.done(ended);
    } else if (pick === 5) {
      const pausing = take(running);
      if (pausing === undefined) continue;
      lanes.suspend(pausing);
      suspended.push(pausing);
    } else if (pick === 6) {
      if (running.length >= lanes.concurrency) continue;
      const back = take(suspended);
      if (back === undefined) continue;
      lanes.resume(back);
      if (random() < 0.5) running.push(back);
      else lanes.done(back);
    } else if (random() < 0.5) {
      const keyHash = below(4);
      const opening = below(2);
      const taken = lanes.takeKey(keyHash, (other) => other.opening === opening);
      remove(taken, (other) => other.keyHash === keyHash && other.opening === opening);
    } else {
      const opening = below(2);
      remove(
        lanes.takeAll((other) => other.opening === opening),
        (other) => other.opening === opening,
      );
    }
    same(lanes.waiting, waiting.length);
    same(lanes.running, running.length);
    same(lanes.suspended, suspended.length);
  }
  for (const each of suspended.splice(0)) {
    lanes.resume(each);
    lanes.done(each);
  }
  for (let left = 1_000; left > 0 && waiting.length + running.length > 0; left--) {
    start();
    const ended = take(running);
    if (ended !== undefined) lanes.done(ended);
  }
  expect(lanes.next()).toBeUndefined();
  expect([lanes.keys, lanes.waiting, lanes.running, lanes.suspended]).toEqual([0, 0, 0, 0]);
};
