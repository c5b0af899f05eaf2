/**
 * The tokens of one subscription at this node: what was heard, who its members are, and this node's own part.
 *
 * Problem: a node may be a member, a producer, or both, and must say, hear, keep and follow the same registers
 * in each part. Approach: one table for both. As a producer it sends to the holder a safe register names; as a
 * member it decides in `Ownership`, at the end of a turn in which something changed and when a time comes.
 * What it changes leaves for every peer, after the settles of what had run.
 *
 * Invariant: a released shard is announced after every settle of it has been given to its link.
 */
import { MemberView } from "../../core/member-view.ts";
import type { ShardMember } from "../../core/shard-map.ts";
import {
  isConfirmed,
  isUsable,
  type TokenChange,
  TokenTable,
  wallTerm,
} from "../../core/token-table.ts";
import type { Timer } from "../../ports/clock.ts";
import type { HoldEntry, HoldFrame } from "../../wire/hold.ts";
import type { Link } from "../link/link.ts";
import type { OwnPart, TokensHost } from "./own-part.ts";
import { TokenRow } from "./token-row.ts";

/** Entries that one frame holds: with all shards named it stays below any peer's frame limit. */
const ENTRIES_PER_FRAME = 512;
/** Terms further ahead of the wall clock than this show that somebody's clock is wrong. */
const FAR_AHEAD_TERMS = 600 * 2 ** 16;

export class SubscriptionTokens {
  readonly id: string;
  readonly table = new TokenTable();
  readonly view: MemberView;
  readonly #host: TokensHost;
  readonly #row: TokenRow;
  /** Told of shards whose holders, as a producer sees them, may be others. */
  onHolders: (shards: readonly number[]) => void = () => {};
  #own: OwnPart | undefined;
  #linkedTold = "";
  #scheduled = false;
  #timer: Timer | undefined;
  #ended = false;

  constructor(id: string, host: TokensHost) {
    this.id = id;
    this.#host = host;
    const { env, committer, store } = host;
    const { leaseMs, rebalanceMs } = env.times;
    const nowMs = env.clock.monotonicMs();
    this.view = new MemberView({ leaseMs, debounceMs: rebalanceMs }, nowMs);
    this.#row = new TokenRow(id, this.table, committer, (shards) => this.onHolders(shards));
    try {
      this.#row.restore(store, nowMs);
    } catch (error) {
      // Peers know it too; what only this node knew is taken anew, above the wall clock's term.
      env.counters.count("ownership.damaged");
      env.logger.error("tokens cannot be read", { subscription: id, error });
    }
  }

  /** This node's part as a member, if it is one. */
  get own(): OwnPart | undefined {
    return this.#own;
  }

  get nowMs(): number {
    return this.#host.env.clock.monotonicMs();
  }

  // --- as a producer -------------------------------------------------------------------------

  /** Whom messages of the shard go to; undefined: to nobody for now. */
  holderOf(shard: number): string | undefined {
    const token = this.table.at(shard);
    if (token === undefined || !isUsable(token) || !this.#row.isSafe(shard)) return undefined;
    return token.holder;
  }

  // --- members -------------------------------------------------------------------------------

  joined(nodeId: string, hash: number, weight: number): void {
    this.view.joined(nodeId, hash, weight, this.nowMs);
    this.schedule();
  }

  lost(nodeId: string): void {
    if (nodeId !== this.#host.selfId) this.view.lost(nodeId, this.nowMs);
    this.schedule();
  }

  drains(nodeId: string): void {
    this.view.drains(nodeId);
    this.schedule();
  }

  /** A member has declared the subscription: it hears who holds what. */
  met(link: Link, { id, hash, weight }: ShardMember): void {
    this.joined(id, hash, weight);
    if (id !== this.#host.selfId) this.tellAll(link);
  }

  /** It said goodbye, its lease has run out here, or its process began a new life. */
  over(nodeId: string, how: "left" | "dead" | "restarted"): void {
    if (how === "left") this.view.left(nodeId, this.nowMs);
    else if (how === "restarted") this.view.restarted(nodeId, this.nowMs);
    else this.view.died(nodeId);
    this.schedule();
  }

  linkDown(nodeId: string): void {
    this.view.reporterGone(nodeId, this.nowMs);
    this.schedule();
  }

  // --- as a member ---------------------------------------------------------------------------

  enter(own: OwnPart): void {
    this.#own = own;
    this.schedule();
    this.#run(); // what an earlier life held is this one's at once
  }

  exit(): void {
    this.#own = undefined;
    this.view.left(this.#host.selfId, this.nowMs);
    this.schedule();
  }

  // --- what is said --------------------------------------------------------------------------

  /** Everything known, to a peer that has begun to take part. */
  tellAll(link: Link): void {
    this.#send(link, this.table.entries());
  }

  /** What is known of these shards. */
  tell(link: Link, shards: readonly number[]): void {
    if (shards.length > 0) this.#send(link, this.table.entries(shards));
  }

  heard(link: Link, frame: HoldFrame): void {
    const { counters, clock } = this.#host.env;
    const from = link.peer.nodeId;
    const nowMs = this.nowMs;
    this.view.reported(from, frame.linked, nowMs);
    const { changes, stale, ignored } = this.table.merge(frame.entries, nowMs);
    if (ignored > 0) counters.count("ownership.ignored", ignored);
    const limit = wallTerm(clock.wallMs()) + FAR_AHEAD_TERMS;
    if (frame.entries.some(({ term }) => term > limit)) counters.count("ownership.termFarAhead");
    this.tell(link, stale);
    if (changes.length > 0) {
      this.#tellConcerned(from, changes);
      for (const { token } of changes) this.view.heardOf(token.holder, nowMs);
      const retaken = this.#own?.overridden(shardsOf(changes)) ?? [];
      const news = changes.filter(({ token, formerly }) => !isConfirmed(token, formerly));
      if (news.length < changes.length) this.#row.touched();
      this.#changedHere(shardsOf(news).concat(retaken), retaken.length > 0);
      if (retaken.length > 0) this.#announce(retaken);
    }
    this.schedule();
  }

  /** This node's own word about these shards, to all. */
  changed(shards: readonly number[]): void {
    this.#changedHere(shards, true);
    this.#announce(shards);
  }

  /** A claim became firm: nobody else's messages are concerned. */
  confirmed(shards: readonly number[]): void {
    this.#row.touched();
    this.#announce(shards);
  }

  /** Something changed: decides at the end of the turn. */
  schedule(): void {
    if (this.#scheduled || this.#ended) return;
    this.#scheduled = true;
    this.#host.env.clock.endOfTurn(() => {
      this.#scheduled = false;
      this.#run();
    });
  }

  /** Nobody produces or consumes here any more; `forgotten`: nor is anything kept. */
  end(forgotten: boolean): void {
    this.#ended = true;
    this.#own?.stopped();
    this.#setTimer(Infinity);
    if (forgotten) this.#row.end();
  }

  // --- inside --------------------------------------------------------------------------------

  #run(): void {
    if (this.#ended) return;
    const nextMs = this.#own?.decide() ?? this.view.nextDeathMs(this.nowMs);
    this.#reportLinked();
    this.#setTimer(nextMs);
  }

  #setTimer(atMs: number): void {
    const { clock } = this.#host.env;
    if (this.#timer !== undefined) clock.clearTimer(this.#timer);
    this.#timer = undefined;
    if (atMs === Infinity) return;
    this.#timer = clock.setTimer(Math.max(1, Math.ceil(atMs - this.nowMs)), () => {
      this.#timer = undefined;
      this.#run();
    });
  }

  #changedHere(shards: readonly number[], isOwn: boolean): void {
    if (shards.length === 0) return;
    this.#row.changed(shards, isOwn);
    this.onHolders(shards);
  }

  #announce(shards: readonly number[]): void {
    const entries = this.table.entries(shards);
    for (const link of this.#host.links()) this.#send(link, entries);
  }

  /** Who is linked here, to the members: one that another cannot reach lives nevertheless. */
  #reportLinked(): void {
    const linked = this.view.linked().sort();
    const told = linked.join(",");
    if (told === this.#linkedTold) return;
    this.#linkedTold = told;
    for (const nodeId of linked) {
      const link = this.#host.linkWith(nodeId);
      if (link !== undefined) this.#send(link, []);
    }
  }

  /** Whoever was overridden hears of it here, although it may not reach who did that; so does who is next. */
  #tellConcerned(from: string, changes: readonly TokenChange[]): void {
    const told = new Map<string, number[]>();
    for (const { token, formerly, shards } of changes) {
      const { holder, next } = token;
      for (const nodeId of new Set([formerly?.holder ?? "", next])) {
        if (nodeId === "" || nodeId === from || nodeId === holder) continue;
        told.set(nodeId, (told.get(nodeId) ?? []).concat(shards));
      }
    }
    for (const [nodeId, shards] of told) {
      const link = this.#host.linkWith(nodeId);
      if (link !== undefined) this.tell(link, shards);
    }
  }

  #send(link: Link, entries: readonly HoldEntry[]): void {
    const linked = this.view.linked();
    let at = 0;
    do {
      link.send({
        type: "hold",
        session: link.session,
        subscription: this.id,
        entries: entries.slice(at, at + ENTRIES_PER_FRAME),
        linked,
      });
      at += ENTRIES_PER_FRAME;
    } while (at < entries.length);
  }
}

const shardsOf = (changes: readonly TokenChange[]): number[] => {
  const all: number[] = [];
  for (const { shards } of changes) for (const shard of shards) all.push(shard);
  return all;
};
