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

/** Shards whose registers were equal, and are equal now, each time to something else. */
export type TokenChange = {
  readonly token: Token;
  readonly formerly: Token | undefined;
  readonly shards: number[];
};

export type Merged = {
  /** What was overridden, and by what. */
  readonly changes: TokenChange[];
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
  /** Index into `#groups`; 0: nobody has held it. */
  readonly #groupOf = new Uint16Array(SHARD_COUNT);
  readonly #groups: (Group | undefined)[] = [undefined];
  readonly #byName = new Map<string, number>();
  readonly #free: number[] = [];
  #highest = 0;
  #version = 0;

  /** Another one whenever a register changed. */
  get version(): number {
    return this.#version;
  }

  /** The highest term heard of any shard. */
  get highest(): number {
    return this.#highest;
  }

  at(shard: number): Token | undefined {
    return this.#groupAt(shard)?.token;
  }

  /** Shards of one group have equal registers; 0: they have none. Groups last until the next change. */
  groupOf(shard: number): number {
    return this.#groupOf[shard] as number;
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
    const merged: Merged & { ignored: number } = { changes: [], stale: [], ignored: 0 };
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
    const found: TokenEntry[] = [];
    const rangesOf: (number[] | undefined)[] = [];
    const ends = new Uint16Array(this.#groups.length);
    const visit = (shard: number): void => {
      const index = this.#groupOf[shard] as number;
      if (index === 0) return;
      const ranges = rangesOf[index];
      const end = ends[index] as number;
      ends[index] = shard + 1;
      if (ranges === undefined) {
        const made = [shard, 1];
        rangesOf[index] = made;
        found.push({ ...(this.#groups[index] as Group).token, shards: made });
      } else if (shard === end) (ranges[ranges.length - 1] as number)++;
      else ranges.push(shard - end, 1);
    };
    if (shards === undefined) for (let shard = 0; shard < SHARD_COUNT; shard++) visit(shard);
    else for (const shard of ascending(shards)) visit(shard);
    return found;
  }

  #groupAt(shard: number): Group | undefined {
    return this.#groups[this.#groupOf[shard] as number];
  }

  #mergeOne(ranges: readonly number[], token: Token, nowMs: number, into: Merged): void {
    let index = 0;
    /** By group: what becomes of shards that are of it; undefined, nothing. */
    const verdicts = new Map<number, number[] | undefined>();
    eachShard(ranges, (shard) => {
      const group = this.#groupOf[shard] as number;
      if (!verdicts.has(group)) verdicts.set(group, this.#verdict(group, token, into));
      const shards = verdicts.get(group);
      if (shards === undefined) return;
      shards.push(shard);
      if (shards === into.stale) return;
      if (index === 0) index = this.#groupFor(token, nowMs);
      this.#put(shard, index);
    });
  }

  /** Where a shard of the group belongs when the token is said of it. */
  #verdict(group: number, token: Token, into: Merged): number[] | undefined {
    const formerly = this.#groups[group]?.token;
    const order = formerly === undefined ? 1 : compareTokens(token, formerly);
    if (order === 0) return undefined;
    if (order < 0) return into.stale;
    const shards: number[] = [];
    into.changes.push({ token, formerly, shards });
    return shards;
  }

  #put(shard: number, index: number): void {
    const before = this.#groupOf[shard] as number;
    if (before === index) return;
    this.#version++;
    (this.#groups[index] as Group).shards++;
    this.#groupOf[shard] = index;
    if (before > 0) this.#leave(before);
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

const ascending = (shards: readonly number[]): readonly number[] => {
  for (let at = 1; at < shards.length; at++) {
    if ((shards[at - 1] as number) > (shards[at] as number))
      return shards.toSorted((a, b) => a - b);
  }
  return shards;
};

/** The register that a peer states, or undefined when no node would state it. */
const tokenOf = ({ term, holder, phase, next }: TokenEntry): Token | undefined => {
  if (!Number.isSafeInteger(term) || term < 1 || term > TERM_MAX) return undefined;
  if (holder === "" || holder.length > HOLDER_CHARS_MAX) return undefined;
  if (next.length > HOLDER_CHARS_MAX || (next !== "" && phase !== "released")) return undefined;
  return { term, holder, phase, next };
};
