/**
 * Real members on this machine: one of them is blocked most of the time and nobody may take it, or any other, for
 * dead; then one is killed and one is stopped where it is, and all others must know.
 *
 * A stopped process breaks no link and answers nothing, its heartbeat thread neither: it is what a host that vanished
 * looks like.
 */
import { randomInt } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { MemberChild } from "./member-child.ts";
import { type DeathBy, nowMs } from "./member-said.ts";

export type MembersOptions = {
  readonly nodes: number;
  readonly seconds: number;
  /** How long the blocked one stands still at a time; 0: there is none. */
  readonly blockMs: number;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
};

export type Spread = { readonly p50: number; readonly p99: number; readonly max: number };

/**
 * How long until others took a member for dead, by their leases and by the mesh's word. Of the leases without the
 * blocked one: what it has not heard while it stood still is no silence.
 */
export type Known = { readonly lease: Spread; readonly mesh: Spread };

export type MembersReport = {
  readonly nodes: number;
  readonly seconds: number;
  /** Members taken for dead that lived, by anybody and for whatever reason. */
  readonly falseDeaths: number;
  readonly suspicions: number;
  /** The longest time for which a process stood still unasked: the machine's doing. */
  readonly stoodMs: number;
  readonly killed: Known;
  readonly stopped: Known;
};

/** So many start at a time. */
const STEP = 5;
const SEEDS = 3;
const PATIENCE_MS = 180_000;
const LOOK_MS = 10;

export const runMembers = async (options: MembersOptions): Promise<MembersReport> => {
  const children: MemberChild[] = [];
  try {
    return await run(options, children);
  } finally {
    await Promise.all(children.map((child) => child.end()));
  }
};

const run = async (options: MembersOptions, children: MemberChild[]): Promise<MembersReport> => {
  const { nodes, seconds, blockMs, say, signal } = options;
  const mesh = `members-${randomInt(1_000_000)}`;
  const until = (what: string, done: () => boolean) => wait(what, done, children, signal);
  while (children.length < nodes) {
    const seeds = children.slice(0, SEEDS).map(({ address }) => address);
    for (let n = 0; n < STEP && children.length < nodes; n++) {
      const isBlocked = children.length === nodes - 1 && blockMs > 0;
      const name = `m${children.length}`;
      children.push(new MemberChild({ name, mesh, seeds, blockMs: isBlocked ? blockMs : 0 }));
      if (seeds.length === 0) break; // the others are told of the first one
    }
    await until("nodes start", () => children.every(({ id }) => id !== ""));
  }
  await until("all are linked", () => children.every(({ linked }) => linked >= nodes - 1));
  say(`${nodes} members, all linked`);
  const before = tally(children);
  for (const child of children) child.begin();
  const endMs = nowMs() + seconds * 1_000;
  await until("the time is over", () => nowMs() >= endMs);
  const after = tally(children);
  const falseDeaths = after.died - before.died + after.leases - before.leases;
  say(
    `${seconds} s: ${falseDeaths} false deaths, ${after.suspected - before.suspected} suspicions`,
  );
  const [killed, stopped] = [children[1], children[2]];
  if (killed === undefined || stopped === undefined) throw new Error("too few nodes");
  const known: Known[] = [];
  for (const [victim, how] of [
    [killed, "SIGKILL"],
    [stopped, "SIGSTOP"],
  ] as const) {
    const others = children.filter((child) => child !== victim && !child.isGone);
    const atMs = nowMs();
    victim.signal(how);
    const isKnown = (by: DeathBy) =>
      others.every((child) => toldMs(child, victim, by) !== undefined);
    await until(`${how} is known`, () => isKnown("lease") && isKnown("mesh"));
    const turning = others.filter(({ isBlocked }) => !isBlocked);
    known.push({
      lease: spread(turning, victim, "lease", atMs),
      mesh: spread(others, victim, "mesh", atMs),
    });
    say(`${how}: ${JSON.stringify(known.at(-1))}`);
  }
  const [ofKilled, ofStopped] = known as [Known, Known];
  const { suspected } = after;
  const suspicions = suspected - before.suspected;
  const { stoodMs } = after;
  return { nodes, seconds, falseDeaths, suspicions, stoodMs, killed: ofKilled, stopped: ofStopped };
};

const tally = (children: readonly MemberChild[]) => ({
  suspected: sum(children, ({ suspected }) => suspected),
  died: sum(children, ({ died }) => died),
  leases: sum(children, ({ deaths }) => deaths.filter(({ by }) => by === "lease").length),
  stoodMs: Math.round(Math.max(0, ...children.map(({ stoodMs }) => stoodMs))),
});

const sum = (children: readonly MemberChild[], of: (child: MemberChild) => number): number =>
  children.reduce((total, child) => total + of(child), 0);

const toldMs = (by: MemberChild, victim: MemberChild, how: DeathBy): number | undefined =>
  by.deaths.find((death) => death.of === victim.id && death.by === how)?.atMs;

const spread = (
  others: readonly MemberChild[],
  victim: MemberChild,
  by: DeathBy,
  sinceMs: number,
): Spread => {
  const tookMs = others.map((child) =>
    Math.round((toldMs(child, victim, by) ?? Infinity) - sinceMs),
  );
  tookMs.sort((a, b) => a - b);
  const at = (part: number): number => tookMs[Math.ceil(part * tookMs.length) - 1] ?? 0;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
};

const wait = async (
  what: string,
  done: () => boolean,
  children: readonly MemberChild[],
  signal: AbortSignal,
): Promise<void> => {
  let endMs = nowMs() + PATIENCE_MS;
  if (what === "the time is over") endMs = Infinity;
  while (!done()) {
    signal.throwIfAborted();
    if (nowMs() > endMs) {
      const state = children.map(({ name, linked, errors }) => `${name} ${linked} ${errors}`);
      throw new Error(`not within ${PATIENCE_MS} ms: ${what}\n${state.join("\n")}`);
    }
    await sleep(LOOK_MS);
  }
};
