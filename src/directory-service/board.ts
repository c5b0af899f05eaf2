/**
 * What a directory knows: who said that which node is where.
 *
 * Problem: a node is spoken of by its own stream, by an older stream of it that has not ended, and by the link
 * that the directory's node has with it; each may end, and none may take away what another said. Approach: one
 * statement a source; of several about one node the best is shown: of those whose source is there, a stream's own
 * before a link's, the later life, the later said. A statement whose source broke off stays for a grace,
 * so that a hiccup, or a directory that restarts, makes nobody look gone. Time is an argument.
 *
 * Invariants: at most `entriesMax` statements, then those that are in their grace make way, the one that ends
 * first before the others, and if there is none, news is refused; `changed` is called for each node whose shown
 * entry may be another than before.
 */

import type { NodeEntry } from "./directory-messages.ts";
import { isSameEntry } from "./node-entry.ts";

export type BoardLimits = { readonly entriesMax: number; readonly graceMs: number };

/** Who says so: a stream by its number, or the link with that node. */
export type Source = number | string;

type Statement = {
  readonly source: Source;
  readonly entry: NodeEntry;
  readonly order: number;
  endsAtMs: number;
};

const NEVER = Number.POSITIVE_INFINITY;

export class Board {
  readonly #limits: BoardLimits;
  readonly #changed: (nodeId: string) => void;
  readonly #bySource = new Map<Source, Statement>();
  readonly #byNode = new Map<string, Set<Statement>>();
  /** In the order in which they end. */
  readonly #leaving = new Set<Statement>();
  #order = 0;

  constructor(limits: BoardLimits, changed: (nodeId: string) => void) {
    this.#limits = limits;
    this.#changed = changed;
  }

  /** Statements held. */
  get size(): number {
    return this.#bySource.size;
  }

  nodeIds(): Iterable<string> {
    return this.#byNode.keys();
  }

  /** What is shown of the node; undefined: nobody speaks of it. */
  find(nodeId: string): NodeEntry | undefined {
    let best: Statement | undefined;
    for (const statement of this.#byNode.get(nodeId) ?? []) {
      if (best === undefined || isBetter(statement, best)) best = statement;
    }
    return best?.entry;
  }

  /** False: there is no room. A source speaks of one node at a time. */
  state(source: Source, entry: NodeEntry): boolean {
    const before = this.#bySource.get(source);
    if (before?.endsAtMs === NEVER && before.entry.nodeId === entry.nodeId) {
      if (isSameEntry(before.entry, entry)) return true;
    }
    if (before !== undefined) this.#forget(before);
    else if (!this.#hasRoom()) return false;
    const statement = { source, entry, order: this.#order++, endsAtMs: NEVER };
    this.#bySource.set(source, statement);
    const others = this.#byNode.get(entry.nodeId);
    if (others === undefined) this.#byNode.set(entry.nodeId, new Set([statement]));
    else others.add(statement);
    if (before !== undefined && before.entry.nodeId !== entry.nodeId) {
      this.#changed(before.entry.nodeId);
    }
    this.#changed(entry.nodeId);
    return true;
  }

  /** The source said goodbye. */
  remove(source: Source): void {
    const statement = this.#bySource.get(source);
    if (statement !== undefined) this.#end(statement);
  }

  /** The source broke off. */
  leave(source: Source, nowMs: number): void {
    const statement = this.#bySource.get(source);
    if (statement === undefined || statement.endsAtMs !== NEVER) return;
    statement.endsAtMs = nowMs + this.#limits.graceMs;
    this.#leaving.add(statement);
    // Another statement about it may be the better one now.
    if ((this.#byNode.get(statement.entry.nodeId)?.size ?? 0) > 1) {
      this.#changed(statement.entry.nodeId);
    }
  }

  /** Ends what is past its grace. @returns when to come again; Infinity: never */
  expire(nowMs: number): number {
    for (const statement of this.#leaving) {
      if (statement.endsAtMs > nowMs) return statement.endsAtMs;
      this.#end(statement);
    }
    return NEVER;
  }

  #hasRoom(): boolean {
    if (this.#bySource.size < this.#limits.entriesMax) return true;
    for (const first of this.#leaving) {
      this.#end(first);
      return true;
    }
    return false;
  }

  #end(statement: Statement): void {
    this.#forget(statement);
    this.#changed(statement.entry.nodeId);
  }

  #forget(statement: Statement): void {
    const { source, entry } = statement;
    this.#bySource.delete(source);
    this.#leaving.delete(statement);
    const others = this.#byNode.get(entry.nodeId);
    others?.delete(statement);
    if (others?.size === 0) this.#byNode.delete(entry.nodeId);
  }
}

const isBetter = (a: Statement, b: Statement): boolean => {
  const isThere = a.endsAtMs === NEVER;
  if (isThere !== (b.endsAtMs === NEVER)) return isThere;
  const isOwn = typeof a.source === "number";
  if (isOwn !== (typeof b.source === "number")) return isOwn;
  if (a.entry.epoch !== b.entry.epoch) return a.entry.epoch > b.entry.epoch;
  return a.order > b.order;
};
