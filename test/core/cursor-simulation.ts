/**
 * A producer's cursor and a few consumer processes that follow the protocol, under random faults.
 *
 * Consumers are as the library's: deliveries and settles travel in order on a link and are lost with it;
 * acks leave after the sync of their mark, nacks at once; after a nack a key is stopped until a delivery says
 * "resume"; handlers outlive a session, and a redelivery joins them; a process that dies loses what was not
 * synced. The oracle is a plain list of messages with the way each one ended.
 */
import { type Entry, IN_FLIGHT, PARKED, READY, STOPPED } from "../../src/core/entry.ts";
import { Lanes } from "../../src/core/lanes.ts";
import type { Member } from "../../src/core/member.ts";
import type { Opening } from "../../src/core/opening.ts";
import { SubscriptionCursor } from "../../src/core/subscription-cursor.ts";

export type Random = () => number;

export const randomOf = (seed: number): Random => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b_79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 0x1_0000_0000;
  };
};

type Delivery = { number: number; entry: Entry; resume: boolean };
type Nack = { number: number; how: "retry" | "dead" | "return"; delayMs: number };
type Frame = { acks: number[]; nacks: Nack[] };
type Session = {
  opening: Opening;
  down: Delivery[];
  up: Frame[];
  stopped: Set<number>;
  marked: number[];
  ready: number[];
  nacks: Nack[];
  expected: number;
  granted: number;
};
type Job = { session: Session; number: number; entry: Entry; keyHash: number };

type Process = {
  readonly id: string;
  readonly hash: number;
  member: Member | undefined;
  session: Session | undefined;
  lanes: Lanes<Job>;
  running: Job[];
  suspended: Job[];
  /** Positions marked as handled; `synced` survives a death. */
  marks: Set<number>;
  synced: Set<number>;
  draining: boolean;
};

export type Settings = {
  readonly keyed: boolean;
  readonly holdOnDead: boolean;
  readonly faults: boolean;
  readonly poison: boolean;
  readonly messages: number;
};

/** Two keys share a shard, one message in eight has no key. */
const KEYS = [1, 2, 3, 4097, 500, 1700, -1, 2900];
const ATTEMPTS_MAX = 4;

export class CursorSimulation {
  readonly cursor: SubscriptionCursor;
  readonly entries: Entry[] = [];
  readonly ended = new Map<Entry, string>();
  readonly killers: Entry[] = [];
  readonly poison = new Set<Entry>();
  /** Dead, and in the way of their keys until that is on disk. */
  readonly #burying = new Set<Entry>();
  readonly #random: Random;
  readonly #settings: Settings;
  readonly #processes: Process[];
  #nowMs = 0;
  #seq = 0;
  #faults: boolean;

  constructor(seed: number, settings: Settings) {
    this.#random = randomOf(seed);
    this.#settings = settings;
    this.#faults = settings.faults;
    this.cursor = new SubscriptionCursor(
      { epoch: 1, seq: 0 },
      { keyed: settings.keyed, windowMax: 64, lookAheadMax: 24 },
    );
    this.#processes = ["a", "b", "c"].map((id, at) => ({
      id,
      hash: (at + 1) * 0x9e37_79b1,
      member: undefined,
      session: undefined,
      lanes: new Lanes<Job>(1 + this.#below(3)),
      running: [],
      suspended: [],
      marks: new Set(),
      synced: new Set(),
      draining: false,
    }));
  }

  run(steps: number): void {
    for (let step = 0; step < steps; step++) {
      this.#step();
      if (step % 4 === 0) this.audit();
    }
    this.finish();
  }

  /** Faults end; everything that was added settles. */
  finish(): void {
    this.#faults = false;
    for (let round = 0; round < 4_000 && this.#unfinished(); round++) {
      for (const process of this.#processes) {
        if (process.member === undefined || process.session === undefined || process.draining) {
          if (process.member !== undefined && process.session !== undefined) this.#leave(process);
          this.#connect(process);
        }
      }
      this.#step();
      for (const entry of this.cursor.unsettled()) {
        if (this.#burying.has(entry)) this.#bury(entry);
        else if (entry.state === STOPPED) this.cursor.resume(entry);
      }
      if (round % 16 === 0) this.audit();
    }
    this.audit();
  }

  #unfinished(): boolean {
    if (this.entries.length < this.#settings.messages) return true;
    return this.ended.size < this.entries.length;
  }

  // --- steps ---------------------------------------------------------------------------------

  #step(): void {
    const pick = this.#random();
    const process = this.#processes[this.#below(3)] as Process;
    if (pick < 0.15) this.#add();
    else if (pick < 0.4) this.#pump(process);
    else if (pick < 0.55) this.#deliver(process);
    else if (pick < 0.8) this.#work(process);
    else if (pick < 0.92) this.#settle(process);
    else if (pick < 0.95) this.#passTime();
    else if (pick < 0.96) this.#operate();
    else if (this.#faults) this.#fault(process);
    else this.#connect(process);
  }

  #add(): void {
    for (let left = 1 + this.#below(6); left > 0 && this.cursor.room > 0; left--) {
      if (this.entries.length >= this.#settings.messages) return;
      const skip = this.#below(3);
      this.#seq += skip + 1;
      const keyHash = KEYS[this.#below(KEYS.length)] as number;
      const entry = this.cursor.add(1, this.#seq, skip, keyHash, 10, -1);
      if (this.#settings.poison && this.#random() < 0.02) this.poison.add(entry);
      this.entries.push(entry);
      this.cursor.read({ epoch: 1, seq: this.#seq });
    }
  }

  #pump(process: Process): void {
    const { member, session } = process;
    if (member === undefined || session === undefined) return;
    for (let left = 1 + this.#below(4); left > 0; left--) {
      const entry = this.cursor.next(member);
      if (entry === undefined) return;
      check(entry.state === READY, "next gives what is ready");
      if (this.#faults && entry.pinnedTo === "" && this.#random() < 0.01) {
        this.#end(entry, "expired");
        continue;
      }
      this.#checkAlone(process, entry);
      const resume = this.cursor.sent(member, entry);
      session.down.push({ number: entry.number, entry, resume });
    }
  }

  #checkAlone({ member }: Process, entry: Entry): void {
    for (const other of this.cursor.members.values()) {
      for (const flying of other.opening?.unsettledEntries() ?? []) {
        if (other === member) {
          const beside = `${entry.seq} sent beside ${flying.seq}`;
          check(entry.deaths < 2 && flying.deaths < 2, `${beside}, one of them suspect`);
        } else if (this.#settings.keyed && entry.keyHash >= 0) {
          check(flying.keyHash !== entry.keyHash, `key of ${entry.seq} in flight at two members`);
        }
      }
    }
  }

  #deliver(process: Process): void {
    const { session } = process;
    for (let left = 1 + this.#below(4); left > 0; left--) {
      const delivery = session?.down.shift();
      if (session === undefined || delivery === undefined) return;
      check(delivery.number === session.expected++, "numbers have no gaps");
      this.#take(process, session, delivery);
    }
  }

  #take(process: Process, session: Session, { number, entry, resume }: Delivery): void {
    if (process.marks.has(entry.seq)) {
      session.marked.push(number);
      return;
    }
    const run = [...process.running, ...process.suspended].find((job) => job.entry === entry);
    if (run !== undefined) {
      run.session = session;
      run.number = number;
      return;
    }
    const keyHash = this.#settings.keyed ? entry.keyHash : -1;
    if (resume) session.stopped.delete(keyHash);
    if (session.stopped.has(keyHash) || process.draining) {
      session.nacks.push({ number, how: "return", delayMs: 0 });
    } else if (this.#faults && this.#random() < 0.02) {
      this.#nack(process, { session, number, entry, keyHash }, "return", 50);
    } else process.lanes.push({ session, number, entry, keyHash });
  }

  #work(process: Process): void {
    const { lanes } = process;
    if (lanes.running < lanes.concurrency && this.#random() < 0.5) {
      const waiting = takeOne(process.suspended, this.#random);
      if (waiting !== undefined) {
        lanes.resume(waiting);
        if (!this.#start(process, waiting)) return;
      }
    }
    for (let job = lanes.next(); job !== undefined; job = lanes.next()) {
      if (!this.#start(process, job)) return;
    }
    const job = takeOne(process.running, this.#random);
    if (job !== undefined) this.#return(process, job);
  }

  /** False: the process died of it. */
  #start(process: Process, job: Job): boolean {
    const { session, entry } = job;
    if (session !== process.session) {
      process.lanes.done(job); // tried in place, and its session is over
    } else if (entry.attempts >= ATTEMPTS_MAX) {
      this.#nack(process, job, "dead", 0);
      process.lanes.done(job);
    } else if (this.poison.has(entry)) {
      this.#die(process);
      return false;
    } else process.running.push(job);
    return true;
  }

  #return(process: Process, job: Job): void {
    const pick = this.#faults ? this.#random() : 1;
    if (pick < 0.1) {
      process.lanes.suspend(job);
      process.suspended.push(job);
      return;
    }
    if (pick < 0.25) this.#nack(process, job, "retry", this.#below(200));
    else if (pick < 0.3) this.#nack(process, job, "dead", 0);
    else {
      process.marks.add(job.entry.seq);
      if (job.session === process.session) job.session.marked.push(job.number);
    }
    process.lanes.done(job);
  }

  #nack(process: Process, job: Job, how: Nack["how"], delayMs: number): void {
    const { session, number, keyHash } = job;
    if (session !== process.session) return;
    session.nacks.push({ number, how, delayMs });
    if (keyHash < 0) return;
    session.stopped.add(keyHash);
    for (const behind of process.lanes.takeKey(keyHash, (other) => other.session === session)) {
      session.nacks.push({ number: behind.number, how: "return", delayMs: 0 });
    }
  }

  #settle(process: Process): void {
    const { session } = process;
    if (session === undefined) return;
    if (this.#random() < 0.6) {
      for (const seq of process.marks) process.synced.add(seq);
      session.ready.push(...session.marked.splice(0));
    }
    if (session.ready.length + session.nacks.length > 0) {
      session.up.push({ acks: session.ready.splice(0), nacks: session.nacks.splice(0) });
    }
    const frame = this.#random() < 0.8 ? session.up.shift() : undefined;
    if (frame !== undefined) this.#settled(process, session, frame);
    if (this.#random() < 0.7) session.granted = session.opening.next + this.#below(12);
    session.opening.grant(session.granted, 10 * session.granted);
  }

  #settled(process: Process, session: Session, frame: Frame): void {
    const { opening } = session;
    const member = process.member as Member;
    const acked: Entry[] = [];
    for (const number of frame.acks) {
      const entry = opening.take(number);
      if (entry === undefined) continue;
      this.#end(entry, "acked");
      acked.push(entry);
    }
    const back: Entry[] = [];
    for (const { number, how, delayMs } of frame.nacks) {
      const entry = opening.take(number);
      if (entry === undefined) continue;
      if (how === "dead") {
        const holds = this.#settings.holdOnDead && this.#settings.keyed && entry.keyHash >= 0;
        this.cursor.stop(member, entry);
        if (!holds) this.#burying.add(entry);
      } else if (how === "retry" || delayMs > 0) {
        if (how === "retry") entry.attempts++;
        this.cursor.retry(member, entry, this.#nowMs + delayMs);
      } else back.push(entry);
    }
    this.cursor.giveBack(back);
    for (const entry of acked) this.#checkOrder(entry);
  }

  #checkOrder({ keyHash, seq }: Entry): void {
    if (!this.#settings.keyed || keyHash < 0) return;
    for (const other of this.cursor.unsettled()) {
      if (other.seq >= seq) break;
      check(other.keyHash !== keyHash, `${seq} accepted before ${other.seq}`);
    }
  }

  #end(entry: Entry, how: string): void {
    check(!this.ended.has(entry), `${entry.seq} ended twice`);
    check(this.cursor.settle(entry), `${entry.seq} settles once`);
    check(!this.cursor.settle(entry), `${entry.seq} settles only once`);
    this.ended.set(entry, how);
  }

  /** Its dead letter is on disk: its key goes on. */
  #bury(entry: Entry): void {
    this.#burying.delete(entry);
    this.#end(entry, "dead");
  }

  #passTime(): void {
    this.#nowMs += this.#below(150);
    this.cursor.wake(this.#nowMs);
    const due = this.cursor.nextDueMs;
    check(due === undefined || due > this.#nowMs, "nothing due is left");
  }

  /** An operator replays or discards a dead letter; what waits expires. */
  #operate(): void {
    const waiting = this.cursor
      .unsettled()
      .filter(({ state }) => [READY, PARKED, STOPPED].includes(state as 0));
    const entry = waiting[this.#below(waiting.length)];
    if (entry === undefined || !this.#faults) return;
    if (this.#burying.has(entry)) this.#bury(entry);
    else if (entry.state === STOPPED && this.#random() < 0.7) this.cursor.resume(entry);
    else if (entry.pinnedTo === "") this.#end(entry, "expired");
  }

  // --- faults --------------------------------------------------------------------------------

  #fault(process: Process): void {
    const pick = this.#random();
    if (pick < 0.25) this.#lose(process);
    else if (pick < 0.35) this.#die(process);
    else if (pick < 0.45) this.#giveUp(process, false);
    else if (pick < 0.55) this.#drain(process);
    else if (pick < 0.6) this.#leave(process);
    else this.#connect(process);
  }

  #connect(process: Process): void {
    if (process.session !== undefined) return;
    process.draining = false;
    const member = this.cursor.join(process.id, process.hash, 1 + this.#below(2));
    const opening = this.cursor.open(member);
    process.member = member;
    process.session = {
      opening,
      down: [],
      up: [],
      stopped: new Set(),
      marked: [],
      ready: [],
      nacks: [],
      expected: 1,
      granted: 4,
    };
    opening.grant(4, 40);
  }

  #lose(process: Process): void {
    const { session, member } = process;
    if (session === undefined || member === undefined) return;
    process.session = undefined;
    process.lanes.takeAll((job) => job.session === session);
    this.cursor.lose(member);
  }

  /** The process is gone, with all it had in memory; the producer learns of it now or at its return. */
  #die(process: Process): void {
    this.#lose(process);
    process.lanes = new Lanes<Job>(1 + this.#below(3));
    process.running = [];
    process.suspended = [];
    process.marks = new Set(process.synced);
    if (process.member === undefined) return;
    if (this.#random() < 0.3) {
      this.#blame(this.cursor.died(process.member));
      check(this.cursor.died(process.member).length === 0, "a death counts once");
    } else this.#giveUp(process, true);
  }

  #giveUp(process: Process, died: boolean): void {
    if (process.member === undefined || process.session !== undefined) return;
    this.#blame(this.cursor.leave(process.member, died));
    process.member = undefined;
  }

  #blame(killers: readonly Entry[]): void {
    for (const entry of killers) {
      entry.attempts++;
      this.killers.push(entry);
    }
  }

  #drain(process: Process): void {
    const { session, member } = process;
    if (session === undefined || member === undefined || process.draining) return;
    process.draining = true;
    for (const job of process.lanes.takeAll(() => true)) {
      if (job.session === session) {
        session.nacks.push({ number: job.number, how: "return", delayMs: 0 });
      }
    }
    this.cursor.drain(member);
  }

  #leave(process: Process): void {
    const { member } = process;
    if (process.session === undefined || member === undefined) return;
    this.#lose(process);
    this.cursor.leave(member, false);
    process.member = undefined;
  }

  // --- audit ---------------------------------------------------------------------------------

  /** Everything the cursor counts, counted again the slow way. */
  audit(): void {
    const { cursor } = this;
    const counts = [0, 0, 0, 0, 0];
    const unsettled = cursor.unsettled();
    for (const { state } of unsettled) counts[state] = (counts[state] as number) + 1;
    check(cursor.unsent === counts[READY], `unsent ${cursor.unsent}, counted ${counts[READY]}`);
    const waiting = (counts[PARKED] as number) + (counts[STOPPED] as number);
    check(cursor.parked === waiting, `parked ${cursor.parked}, counted ${waiting}`);
    check(cursor.windowLength <= 64, `the window is ${cursor.windowLength} long`);
    check(cursor.room === (waiting >= 24 ? 0 : 64 - cursor.windowLength), "room");
    const flying = [...cursor.members.values()].flatMap(
      ({ opening }) => opening?.unsettledEntries() ?? [],
    );
    check(new Set(flying).size === flying.length, "nothing is in flight twice");
    check(flying.length === counts[IN_FLIGHT], "what is in flight is in an opening");
    const open = this.entries.filter((entry) => !this.ended.has(entry));
    check(open.length === unsettled.length, "everything that has not ended is unsettled");
    check(
      open.every((entry, at) => unsettled[at] === entry),
      "unsettled is in order",
    );
    const floor = open[0] === undefined ? this.#seq : open[0].seq - 1;
    check(cursor.floor.seq === floor, `floor ${cursor.floor.seq}, counted ${floor}`);
  }

  /** Nothing is left behind: lanes, holds, the gate, which another message of every key would meet. */
  auditEnd(): void {
    check(this.ended.size === this.entries.length, this.#left());
    check(this.cursor.heldKeys === 0, "no hold is left");
    for (const process of this.#processes) {
      check(process.lanes.waiting + process.lanes.running === 0, "no job is left");
      check(process.lanes.suspended === process.suspended.length, "suspended jobs are counted");
      const busy = new Set(process.suspended.map(({ keyHash }) => keyHash));
      busy.delete(-1);
      check(process.lanes.keys === busy.size, `${process.lanes.keys} lanes are left`);
      if (process.member !== undefined) this.cursor.leave(process.member, false);
    }
    check(this.cursor.members.size === 0, "every member has left");
    const member = this.cursor.join("last", 7, 1);
    this.cursor.open(member).grant(100, 1_000);
    for (const keyHash of KEYS) {
      const entry = this.cursor.add(1, ++this.#seq, 0, keyHash, 1, -1);
      check(this.cursor.next(member) === entry, `the gate is shut for ${keyHash}`);
      check(!this.cursor.sent(member, entry), "nothing is stopped in a new session");
    }
  }

  #left(): string {
    const left = this.cursor
      .unsettled()
      .map(({ seq, state, keyHash, pinnedTo }) => `${seq}/k${keyHash}/s${state}${pinnedTo}`);
    return `${left.length} messages never end: ${left.slice(0, 8).join(" ")}`;
  }

  #below(bound: number): number {
    return Math.floor(this.#random() * bound);
  }
}

const takeOne = <T>(from: T[], random: Random): T | undefined =>
  from.splice(Math.floor(random() * from.length), 1)[0];

const check = (holds: boolean, what: string): void => {
  if (!holds) throw new Error(what);
};
