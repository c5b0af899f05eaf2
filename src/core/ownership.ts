/**
 * What one member of a subscription does about its shards' tokens: take, move, release, yield.
 *
 * Problem: members that come, go, stall and see different things must share 4096 shards so that each has one
 * owner at a time, without a coordinator. Approach: weighted rendezvous over the members this one sees says
 * where each token should be. A token moves only by its holder's word: it stops starting work (moving), and
 * lets go once nothing of the shard runs (released, for a named next). Without that word a token is taken only
 * from nobody, after a debounce, from this node's own earlier life, or from a holder that is dead in this
 * node's view while its own lease is good. Whoever is overtaken by a higher term has lost the shard.
 *
 * A token taken by one that may not have heard of everybody (from nobody, or from its own earlier life) is
 * only *claimed*. A live holder answers a claim by taking the shard again, at a higher term, instead of
 * yielding: an instance that starts apart from the others takes nothing away from them. A claim becomes *held*
 * after a lease among other nodes.
 *
 * Sticky (`failover: "wait"`): a shard is *held* from its first message on, and then stays with its holder for
 * good: nobody takes it, it does not move. Claimed ones move freely.
 *
 * Invariants
 * - every token this node has taken in this life is of a term above all it had heard of then;
 * - `mayStart(s)` implies that the register of s names this node, in this life's term, and is not moving;
 * - at most `MOVES_MAX` shards move at a time, unless the member leaves;
 * - a step changes nothing when nothing changed and no time came.
 * Source: DESIGN section 8.
 */
import { groupBy } from "./group-by.ts";
import type { MemberView } from "./member-view.ts";
import { emptyStep, type Step, type StepInput } from "./ownership-step.ts";
import { SHARD_COUNT, type ShardMember } from "./shard-map.ts";
import { ShardTargets } from "./shard-targets.ts";
import type { Phase, Token, TokenTable } from "./token-table.ts";

/** Shards that move at a time: a join does not stop a quarter of the keys at once for long. */
export const MOVES_MAX = 512;

export type OwnershipOptions = {
  readonly self: ShardMember;
  /** Held shards stay with their holder for good. */
  readonly sticky: boolean;
  readonly debounceMs: number;
  readonly leaseMs: number;
};

/** How a shard may be taken. */
type Way = "claimed" | "held" | "not";

const NONE = 0;
const CLAIMED = 1;
const HELD = 2;
const MOVING = 3;

export class Ownership {
  readonly #options: OwnershipOptions;
  readonly #table: TokenTable;
  readonly #view: MemberView;
  readonly #targets: ShardTargets;
  /** What this life has of each shard. */
  readonly #mine = new Uint8Array(SHARD_COUNT);
  /** How many shards are in which of these states. */
  readonly #counts = new Uint16Array(MOVING + 1);
  #leaving = false;
  /** What the last step began with, and when time alone gives the next one something to do. */
  #began = "";
  #nextMs = Number.NEGATIVE_INFINITY;

  constructor(options: OwnershipOptions, table: TokenTable, view: MemberView) {
    this.#options = options;
    this.#table = table;
    this.#view = view;
    this.#targets = new ShardTargets(options.self);
  }

  mayStart(shard: number): boolean {
    const mine = this.#mine[shard];
    return mine === CLAIMED || mine === HELD;
  }

  /** The term under which the shard is this node's, moving included; 0: it is not. */
  fenceOf(shard: number): number {
    return this.#mine[shard] === NONE ? 0 : (this.#table.at(shard) as Token).term;
  }

  isMoving(shard: number): boolean {
    return this.#mine[shard] === MOVING;
  }

  /** Shards of this node, moving ones included. */
  get owned(): number {
    return this.#count(CLAIMED) + this.#count(HELD) + this.#count(MOVING);
  }

  /** From the next step on everything that may move does, at once. */
  leave(): void {
    this.#leaving = true;
  }

  /** After `leave`: nothing is left that moves. */
  get hasLeft(): boolean {
    if (!this.#leaving || this.#count(MOVING) + this.#count(CLAIMED) > 0) return false;
    return this.#options.sticky || this.#count(HELD) === 0;
  }

  step(input: StepInput): Step {
    const { nowMs } = input;
    const made = emptyStep();
    const begins = this.#stateOf(input);
    if (begins === this.#began && nowMs < this.#nextMs && this.#count(MOVING) === 0) {
      made.nextMs = this.#nextMs;
      return made;
    }
    this.#began = begins;
    this.#targets.update(this.#view.candidates(nowMs), !this.#leaving);
    const settled = this.#view.changedMs + this.#options.debounceMs;
    const due: { at: number } = { at: settled > nowMs ? settled : Infinity };
    const wanted: Record<"claimed" | "held" | "drained" | "moves", number[]> = {
      claimed: [],
      held: [],
      drained: [],
      moves: [],
    };
    const again = this.#options.sticky ? "claimed" : "held";
    /** By group and target: shards of one register that the map gives to the same are taken alike. */
    const ways: Way[] = [];
    const table = this.#table;
    const targets = this.#targets;
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      const mine = this.#mine[shard];
      if (mine === NONE) {
        if (this.#leaving) continue;
        const isFor = targets.isFor(shard);
        const at = 2 * table.groupOf(shard) + (isFor ? 1 : 0);
        const way = ways[at] ?? this.#wayToTake(shard, isFor, input, due);
        ways[at] = way;
        if (way !== "not") wanted[way].push(shard);
      } else if (mine === MOVING) {
        if (!input.isDrained(shard)) continue;
        const stays = !this.#leaving && targets.isFor(shard);
        wanted[stays ? again : "drained"].push(shard);
      } else if (this.#shouldMove(shard, nowMs)) wanted.moves.push(shard);
    }
    this.#letGo(wanted.drained, nowMs, made);
    this.#move(wanted.moves, nowMs, made);
    this.#strengthen(input, due, made);
    this.#take(wanted.claimed, "claimed", input, made);
    this.#take(wanted.held, "held", input, made);
    this.#nextMs = Math.min(due.at, this.#view.nextDeathMs(nowMs));
    made.nextMs = this.#nextMs;
    return made;
  }

  /**
   * Registers of these shards were overridden by what a peer said.
   * @returns shards this node has lost, and those it has taken again instead
   */
  overridden(
    shards: readonly number[],
    nowMs: number,
    wallMs: number,
  ): { readonly lost: number[]; readonly retaken: number[] } {
    const lost: number[] = [];
    const again: number[] = [];
    for (const shard of shards) {
      const mine = this.#mine[shard];
      if (mine === NONE) continue;
      const { holder, phase } = this.#table.at(shard) as Token;
      const isOwnEcho = holder === this.#options.self.id;
      const yields = !isOwnEcho && (mine !== HELD || phase !== "claimed");
      if (yields || mine === MOVING) {
        this.#become(shard, NONE);
        lost.push(shard);
      } else {
        again.push(shard);
      }
    }
    this.#retake(again, nowMs, wallMs);
    return { lost, retaken: again };
  }

  /** A handler of the shard was given up: what runs from now on has a higher fence. False: it is not owned. */
  renew(shard: number, nowMs: number, wallMs: number): boolean {
    if (!this.mayStart(shard)) return false;
    this.#retake([shard], nowMs, wallMs);
    return true;
  }

  /** A message of the shard starts here. True when that makes a claim stick, which others are to hear of. */
  used(shard: number, nowMs: number): boolean {
    if (!this.#options.sticky || this.#mine[shard] !== CLAIMED) return false;
    this.#confirm([shard], nowMs);
    return true;
  }

  // --- taking --------------------------------------------------------------------------------

  /** How a shard with this one's register may be taken now. Notes when that may be otherwise. */
  #wayToTake(shard: number, isFor: boolean, input: StepInput, due: { at: number }): Way {
    const { self, sticky, debounceMs } = this.#options;
    const { nowMs } = input;
    const token = this.#table.at(shard);
    const taken = sticky ? "claimed" : "held";
    if (token === undefined) {
      return isFor && this.#isSettled(nowMs) && input.leaseValid ? "claimed" : "not";
    }
    if (token.phase === "released") {
      if (token.next === self.id) return taken;
      if (!isFor) return "not";
      if (this.#view.stateOf(token.next, nowMs) === "dead") return taken;
      const atMs = this.#table.heardMs(shard) + debounceMs;
      if (atMs > nowMs) due.at = Math.min(due.at, atMs);
      return atMs <= nowMs && this.#isSettled(nowMs) ? taken : "not";
    }
    if (token.holder === self.id) {
      return sticky && token.phase === "held" ? "held" : "claimed"; // an earlier life's
    }
    if (sticky && token.phase === "held") return "not";
    if (!isFor || !input.leaseValid) return "not";
    this.#view.watch(token.holder, nowMs);
    return this.#view.stateOf(token.holder, nowMs) === "dead" ? taken : "not";
  }

  #take(shards: readonly number[], phase: "claimed" | "held", input: StepInput, into: Step): void {
    if (shards.length === 0) return;
    this.#set(shards, this.#newTerm(input.wallMs), phase, input.nowMs);
    for (const shard of shards) {
      this.#become(shard, phase === "held" ? HELD : CLAIMED);
      into.changed.push(shard);
      into.taken.push(shard);
    }
  }

  #newTerm(wallMs: number): number {
    return this.#table.newTerm(wallMs, this.#options.self.hash);
  }

  #retake(shards: readonly number[], nowMs: number, wallMs: number): void {
    if (shards.length === 0) return;
    const term = this.#newTerm(wallMs);
    this.#set(
      shards.filter((shard) => this.#mine[shard] === HELD),
      term,
      "held",
      nowMs,
    );
    this.#set(
      shards.filter((shard) => this.#mine[shard] === CLAIMED),
      term,
      "claimed",
      nowMs,
    );
  }

  /** Claims that stood for a lease among others are held from now on. */
  #strengthen({ nowMs, metSinceMs }: StepInput, due: { at: number }, into: Step): void {
    if (this.#options.sticky || metSinceMs === undefined || this.#count(CLAIMED) === 0) return;
    const { leaseMs } = this.#options;
    const ripe: number[] = [];
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      if (this.#mine[shard] !== CLAIMED) continue;
      const atMs = Math.max(metSinceMs, this.#table.heardMs(shard)) + leaseMs;
      if (atMs <= nowMs) ripe.push(shard);
      else due.at = Math.min(due.at, atMs);
    }
    this.#confirm(ripe, nowMs);
    for (const shard of ripe) into.confirmed.push(shard);
  }

  #confirm(shards: readonly number[], nowMs: number): void {
    this.#advance(shards, "held", nowMs);
    for (const shard of shards) this.#become(shard, HELD);
  }

  // --- letting go ----------------------------------------------------------------------------

  #shouldMove(shard: number, nowMs: number): boolean {
    if (this.#options.sticky && this.#mine[shard] === HELD) return false;
    if (this.#leaving) return true;
    if (this.#targets.isFor(shard) || !this.#isSettled(nowMs)) return false;
    const target = this.#targets.of(shard);
    return target !== undefined && this.#view.isLinked(target.id);
  }

  #move(shards: readonly number[], nowMs: number, into: Step): void {
    const room = this.#leaving ? shards.length : Math.max(0, MOVES_MAX - this.#count(MOVING));
    const chosen = shards.slice(0, room);
    this.#advance(chosen, "moving", nowMs);
    for (const shard of chosen) {
      this.#become(shard, MOVING);
      into.changed.push(shard);
      into.moving.push(shard);
    }
  }

  /** Drained shards go to whom the view names now; one that leaves alone keeps them for its next life. */
  #letGo(shards: readonly number[], nowMs: number, into: Step): void {
    const holder = this.#options.self.id;
    const nextOf = (shard: number): string => this.#targets.of(shard)?.id ?? holder;
    for (const [next, theirs] of groupBy(shards, nextOf)) {
      for (const [term, same] of groupBy(theirs, this.#termOf)) {
        this.#table.set(same, { term, holder, phase: "released", next }, nowMs);
      }
    }
    for (const shard of shards) {
      this.#become(shard, NONE);
      into.released.push(shard);
      into.changed.push(shard);
    }
  }

  // --- inside --------------------------------------------------------------------------------

  #set(shards: readonly number[], term: number, phase: Phase, nowMs: number): void {
    this.#table.set(shards, { term, holder: this.#options.self.id, phase, next: "" }, nowMs);
  }

  /** The tokens go on to another phase, each at its term. */
  #advance(shards: readonly number[], phase: Phase, nowMs: number): void {
    for (const [term, same] of groupBy(shards, this.#termOf)) this.#set(same, term, phase, nowMs);
  }

  /** Equal ones, and no time that came, leave a step nothing to do; but for shards that drain. */
  #stateOf({ leaseValid, metSinceMs }: StepInput): string {
    const { version } = this.#table;
    return `${version} ${this.#view.version} ${leaseValid} ${metSinceMs} ${this.#leaving}`;
  }

  readonly #termOf = (shard: number): number => (this.#table.at(shard) as Token).term;

  #become(shard: number, mine: number): void {
    const counts = this.#counts;
    const before = this.#mine[shard] as number;
    counts[before] = (counts[before] as number) - 1; // that of NONE wraps, and is not read
    counts[mine] = (counts[mine] as number) + 1;
    this.#mine[shard] = mine;
  }

  #count(mine: number): number {
    return this.#counts[mine] as number;
  }

  #isSettled(nowMs: number): boolean {
    return nowMs >= this.#view.changedMs + this.#options.debounceMs;
  }
}
