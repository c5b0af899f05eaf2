/**
 * Probes under way, and the help this node gives with the probes of others.
 *
 * Problem: a member that does not answer may be dead, or unreachable from here, or this node is the slow one.
 * Approach: a ping; without an answer within the time-out, a few others are asked to ping it too. A round without
 * any answer counts against this node's own health, unless the helpers prove that they hear it; after
 * `rounds` of them the member is accused. Anything that comes from the member is an answer.
 *
 * Invariants: one probe a member; a helper tells the asker once, that it answered or that it did not.
 * Bounds: `PROBES_MAX` probes, past which none is started; `RELAYS_MAX` helps, past which nobody is helped.
 * Source: SWIM, section 3.1; Lifeguard, section IV-A (nack after 80 % of the time-out).
 */
import type { LocalHealth } from "./local-health.ts";
import type { SwimTimes } from "./swim-times.ts";

const PROBES_MAX = 64;
const RELAYS_MAX = 256;
const NACK_AFTER = 0.8;
const NUMBER_MAX = 0xffff_ffff;

export type ProberOut = {
  ping(member: number, number: number): void;
  /** Asks helpers for the member; how many there were. */
  askHelpers(member: number, number: number): number;
  answerFor(asker: string, kind: "ack" | "nack", number: number): void;
  unreachable(member: number): void;
};

type Probe = {
  readonly member: number;
  number: number;
  round: number;
  helpAtMs: number;
  endMs: number;
  asked: number;
  nacks: number;
};

type Relay = {
  readonly asker: string;
  readonly askedNumber: number;
  readonly member: number;
  readonly nackAtMs: number;
  readonly endMs: number;
  isNacked: boolean;
};

export class Prober {
  readonly #times: SwimTimes;
  readonly #health: LocalHealth;
  readonly #out: ProberOut;
  #probes: Probe[] = [];
  #relays: Relay[] = [];
  #lastNumber = 0;

  constructor(times: SwimTimes, health: LocalHealth, out: ProberOut) {
    this.#times = times;
    this.#health = health;
    this.#out = out;
  }

  /** When `advance` has something to do. */
  get nextMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { helpAtMs, endMs } of this.#probes) next = Math.min(next, helpAtMs, endMs);
    for (const { nackAtMs, endMs, isNacked } of this.#relays) {
      next = Math.min(next, isNacked ? endMs : nackAtMs);
    }
    return next;
  }

  get isBusy(): boolean {
    return this.#probes.length + this.#relays.length > 0;
  }

  start(member: number, nowMs: number): void {
    if (this.#probes.length >= PROBES_MAX) return;
    if (this.#probes.some((probe) => probe.member === member)) return;
    const probe = { member, number: 0, round: 0, helpAtMs: 0, endMs: 0, asked: 0, nacks: 0 };
    this.#probes.push(probe);
    this.#begin(probe, nowMs);
  }

  /** Pings the target for somebody else. */
  help(asker: string, askedNumber: number, member: number, nowMs: number): void {
    if (this.#relays.length >= RELAYS_MAX) return;
    const { timeoutMs, probeMs } = this.#times;
    const nackAtMs = nowMs + NACK_AFTER * timeoutMs;
    const endMs = nowMs + Math.max(probeMs, timeoutMs);
    this.#relays.push({ asker, askedNumber, member, nackAtMs, endMs, isNacked: false });
    this.#out.ping(member, this.#newNumber());
  }

  // --- what comes back -----------------------------------------------------------------------

  /** Anything came from the member. */
  heard(member: number): void {
    if (this.#probes.length > 0) this.#succeed((probe) => probe.member === member);
    if (this.#relays.length === 0) return;
    const answered = this.#relays.filter((relay) => relay.member === member);
    if (answered.length === 0) return;
    this.#relays = this.#relays.filter((relay) => relay.member !== member);
    for (const { asker, askedNumber } of answered) this.#out.answerFor(asker, "ack", askedNumber);
  }

  /** A helper heard the member. */
  acked(number: number): void {
    this.#succeed((probe) => probe.number === number);
  }

  /** A helper lives, and has not heard the member. */
  nacked(number: number): void {
    const probe = this.#probes.find((one) => one.number === number);
    if (probe !== undefined) probe.nacks++;
  }

  /** The member is not one to probe any more. */
  drop(member: number): void {
    this.#probes = this.#probes.filter((probe) => probe.member !== member);
  }

  // --- time ----------------------------------------------------------------------------------

  advance(nowMs: number): void {
    for (const probe of [...this.#probes]) {
      if (nowMs >= probe.endMs) this.#endRound(probe, nowMs);
      else if (nowMs >= probe.helpAtMs) {
        probe.helpAtMs = Number.POSITIVE_INFINITY;
        probe.asked = this.#out.askHelpers(probe.member, probe.number);
      }
    }
    for (const relay of this.#relays) {
      if (relay.isNacked || nowMs < relay.nackAtMs) continue;
      relay.isNacked = true;
      this.#out.answerFor(relay.asker, "nack", relay.askedNumber);
    }
    this.#relays = this.#relays.filter(({ endMs }) => endMs > nowMs);
  }

  /** This node stood still: answers may be waiting to be read. */
  stoodStill(nowMs: number): void {
    for (const probe of this.#probes) this.#begin(probe, nowMs);
  }

  #begin(probe: Probe, nowMs: number): void {
    const { multiplier } = this.#health;
    probe.number = this.#newNumber();
    probe.helpAtMs = nowMs + this.#times.timeoutMs * multiplier;
    probe.endMs = nowMs + this.#times.probeMs * multiplier;
    probe.asked = 0;
    probe.nacks = 0;
    this.#out.ping(probe.member, probe.number);
  }

  #endRound(probe: Probe, nowMs: number): void {
    // Helpers that are silent too point at this node; ones that answer point at the member.
    if (probe.asked === 0) this.#health.failed();
    else if (probe.nacks < probe.asked) this.#health.failed(probe.asked - probe.nacks);
    probe.round++;
    if (probe.round < this.#times.rounds) {
      this.#begin(probe, nowMs);
      return;
    }
    this.#probes = this.#probes.filter((one) => one !== probe);
    this.#out.unreachable(probe.member);
  }

  #succeed(is: (probe: Probe) => boolean): void {
    const left = this.#probes.filter((probe) => !is(probe));
    if (left.length === this.#probes.length) return;
    this.#probes = left;
    this.#health.succeeded();
  }

  #newNumber(): number {
    this.#lastNumber = this.#lastNumber >= NUMBER_MAX ? 1 : this.#lastNumber + 1;
    return this.#lastNumber;
  }
}
