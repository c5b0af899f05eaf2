/**
 * Who holds which shard of one subscription, as far as this node has heard.
 *
 * Problem: ownership must be agreed without a coordinator, by words that arrive late, twice and by detours.
 * Approach: a register per shard, `{term, holder, phase, next}`, and one order over its values: the higher
 * (term, holder, phase, next) wins, whoever says it and how often. A holder takes a shard under a higher term
 * than any it has heard, and moves its own token through the phases; nothing else changes a register.
 *
 * Phases: "claimed" (taken by one that had heard of no other holder, or not since it started), "held",
 * "moving" (its holder starts nothing new of it), "released" (nothing of it runs there; `next` may take it).
 *
 * Invariants: a register never goes back, so that merging is commutative, associative and idempotent; at one
 * term the smaller holder yields for good; terms are integers from 1 to TERM_MAX.
 * Bound: one group of equal registers for each shard at most; 8 KiB and the groups.
 * Rejected: ignoring terms far ahead of the wall clock. A node whose own clock is behind would then follow
 * nobody. A wild clock costs range only: it is capped at half of TERM_MAX, and terms go on by one from there.
 * Source: DESIGN section 8; last-writer-wins registers, Shapiro et al., "A comprehensive study of Convergent
 * and Commutative Replicated Data Types", 2011.
 */
import { SHARD_COUNT } from "./shard-map.ts";

export const PHASES = ["claimed", "held", "moving", "released"] as const;
export type Phase = (typeof PHASES)[number];

export type Token = {
  readonly term: number;
  /** A node id. */
  readonly holder: string;
  readonly phase: Phase;
  /** Who may take a released shard; "" in any other phase. */
  readonly next: string;
};

/** Shards with equal registers: flat pairs of how many are skipped and how many follow. */
export type TokenEntry = Token & { readonly shards: readonly number[] };

export type Merged = {
  /** Shards whose register is another now, with what it was before. */
  readonly changed: number[];
  readonly formerly: (Token | undefined)[];
  /** Shards of which this table knows something later than what was said. */
  readonly stale: number[];
  /** Entries without sense: a term or name out of bounds. */
  readonly ignored: number;
};

/** Leaves honest nodes 2^51 terms, 2^39 takes, to go on from the wildest clock. */
export const TERM_MAX = 2 ** 52;
const WALL_TERM_MAX = 2 ** 51;
const TERMS_PER_SECOND = 2 ** 16;
/** A node's terms are those that leave its own part when divided by this. */
const OWN_PARTS = 2 ** 12;
export const HOLDER_CHARS_MAX = 64;

type Group = { readonly token: Token; readonly name: string; heardMs: number; shards: number };

/** The term of the wall clock: terms grow even when everybody has forgotten everything. */
export const wallTerm = (wallMs: number): number => {
  const term = Math.floor(wallMs / 1_000) * TERMS_PER_SECOND;
  return Math.min(Math.max(1, term), WALL_TERM_MAX);
};

export class TokenTable {
  /** Index into `#groups` plus one; 0: nobody has held it. */
  readonly #groupOf = new Uint16Array(SHARD_COUNT);
  readonly #groups: (Group | undefined)[] = [];
  readonly #byName = new Map<string, number>();
  readonly #free: number[] = [];
  #highest = 0;

  /** The highest term heard of any shard. */
  get highest(): number {
    return this.#highest;
  }

  at(shard: number): Token | undefined {
    return this.#groupAt(shard)?.token;
  }

  /** When this node first heard of the shard's register; -Infinity when there is none. */
  heardMs(shard: number): number {
    return this.#groupAt(shard)?.heardMs ?? Number.NEGATIVE_INFINITY;
  }

  /**
   * The next of a node's own terms above all that were heard. Two nodes that take a shard without having
   * heard of each other take it under two terms, but for one pair in 4,096: fences tell them apart.
   */
  newTerm(wallMs: number, nodeHash: number): number {
    const least = Math.max(this.#highest + 1, wallTerm(wallMs));
    const missing = (nodeHash % OWN_PARTS) - (least % OWN_PARTS);
    return Math.min(TERM_MAX, least + missing + (missing < 0 ? OWN_PARTS : 0));
  }

  /** Takes over what wins against what is known. */
  merge(entries: readonly TokenEntry[], nowMs: number): Merged {
    const merged: Merged & { ignored: number } = {
      changed: [],
      formerly: [],
      stale: [],
      ignored: 0,
    };
    for (const entry of entries) {
      const token = tokenOf(entry);
      if (token === undefined) merged.ignored++;
      else this.#mergeOne(entry.shards, token, nowMs, merged);
    }
    return merged;
  }

  /** The holder's own word. The caller sees to it that it wins. */
  set(shards: readonly number[], token: Token, nowMs: number): void {
    if (shards.length === 0) return;
    const index = this.#groupFor(token, nowMs);
    for (const shard of shards) this.#put(shard, index);
  }

  /** The registers of these shards, or of all. */
  entries(shards?: readonly number[]): TokenEntry[] {
    const found = new Map<number, number[]>();
    const ends = new Map<number, number>();
    const visit = (shard: number): void => {
      const group = this.#groupOf[shard] as number;
      if (group === 0) return;
      const ranges = found.get(group);
      const end = ends.get(group) ?? 0;
      if (ranges === undefined) found.set(group, [shard, 1]);
      else if (shard === end) ranges[ranges.length - 1] = (ranges.at(-1) as number) + 1;
      else ranges.push(shard - end, 1);
      ends.set(group, shard + 1);
    };
    if (shards !== undefined) for (const shard of shards.toSorted((a, b) => a - b)) visit(shard);
    else for (let shard = 0; shard < SHARD_COUNT; shard++) visit(shard);
    return [...found].map(([group, ranges]) => ({
      ...(this.#groups[group - 1] as Group).token,
      shards: ranges,
    }));
  }

  #groupAt(shard: number): Group | undefined {
    const index = this.#groupOf[shard] as number;
    return index === 0 ? undefined : this.#groups[index - 1];
  }

  #mergeOne(ranges: readonly number[], token: Token, nowMs: number, into: Merged): void {
    let index = -1;
    eachShard(ranges, (shard) => {
      const known = this.at(shard);
      const order = known === undefined ? 1 : compareTokens(token, known);
      if (order < 0) into.stale.push(shard);
      if (order <= 0) return;
      if (index < 0) index = this.#groupFor(token, nowMs);
      into.changed.push(shard);
      into.formerly.push(known);
      this.#put(shard, index);
    });
  }

  #put(shard: number, index: number): void {
    const before = this.#groupOf[shard] as number;
    if (before === index + 1) return;
    (this.#groups[index] as Group).shards++;
    this.#groupOf[shard] = index + 1;
    if (before > 0) this.#leave(before - 1);
  }

  #groupFor(token: Token, nowMs: number): number {
    const { term, holder, phase, next } = token;
    const name = `${term} ${holder} ${phase} ${next}`;
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    this.#highest = Math.max(this.#highest, term);
    const index = this.#free.pop() ?? this.#groups.length;
    const group = { token: { term, holder, phase, next }, name, heardMs: nowMs, shards: 0 };
    this.#groups[index] = group;
    this.#byName.set(name, index);
    return index;
  }

  #leave(index: number): void {
    const group = this.#groups[index] as Group;
    if (--group.shards > 0) return;
    this.#byName.delete(group.name);
    this.#groups[index] = undefined;
    this.#free.push(index);
  }
}

/** Positive when `a` wins. */
export const compareTokens = (a: Token, b: Token): number => {
  if (a.term !== b.term) return a.term - b.term;
  if (a.holder !== b.holder) return a.holder < b.holder ? -1 : 1;
  if (a.phase !== b.phase) return PHASES.indexOf(a.phase) - PHASES.indexOf(b.phase);
  if (a.next === b.next) return 0;
  return a.next < b.next ? -1 : 1;
};

/** In these phases its holder takes messages of the shard. */
export const isUsable = ({ phase }: Token): boolean => phase === "claimed" || phase === "held";

/** Whether a claim became firm: who may get messages of the shard is the same as before. */
export const isConfirmed = (token: Token, before: Token | undefined): boolean =>
  before?.term === token.term &&
  before.holder === token.holder &&
  isUsable(before) &&
  isUsable(token);

/** Visits the shards that pairs of (skipped, following) name; what lies beyond the last shard is left out. */
export const eachShard = (ranges: readonly number[], visit: (shard: number) => void): void => {
  let at = 0;
  for (let pair = 0; pair + 1 < ranges.length && at < SHARD_COUNT; pair += 2) {
    at += ranges[pair] as number;
    const end = Math.min(SHARD_COUNT, at + (ranges[pair + 1] as number));
    for (; at < end; at++) visit(at);
  }
};

/** The register that a peer states, or undefined when no node would state it. */
const tokenOf = ({ term, holder, phase, next }: TokenEntry): Token | undefined => {
  if (!Number.isSafeInteger(term) || term < 1 || term > TERM_MAX) return undefined;
  if (holder === "" || holder.length > HOLDER_CHARS_MAX) return undefined;
  if (next.length > HOLDER_CHARS_MAX || (next !== "" && phase !== "released")) return undefined;
  return { term, holder, phase, next };
};
