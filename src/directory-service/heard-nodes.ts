/**
 * What a node has heard from its directories: who is where.
 *
 * Problem: directories come, go, restart empty, differ, and may lie; none of that may make a node forget what
 * another one says, or hold more than it should. Approach: one list a directory; a node counts as lost when no
 * list has it any more. A directory that has come back is believed again bit by bit: what it knew before stays until
 * it has had time to hear of it anew. Addresses of one node are taken from the lists in turn, so that none can
 * displace what another says.
 *
 * Invariants: at most ENTRIES_MAX nodes a list, and ADDRESSES_MAX addresses a hint; a hint is given when it is
 * another than before, never one without addresses.
 */
import { ADDRESSES_MAX, type NodeEntry } from "./directory-messages.ts";

export interface HintTaker {
  found(hint: {
    readonly nodeId: string;
    readonly epoch?: number;
    readonly addresses: readonly string[];
  }): void;
  lost(nodeId: string): void;
}

type Heard = { readonly entry: NodeEntry; round: number };

/** Nodes heard of from one directory. */
export const ENTRIES_MAX = 1_024;

export class HeardNodes {
  readonly #taker: HintTaker;
  /** By directory. */
  readonly #lists: readonly Map<string, Heard>[];
  readonly #rounds: number[];
  /** What was said of each node last. */
  readonly #said = new Map<string, string>();

  constructor(directories: number, taker: HintTaker) {
    this.#taker = taker;
    this.#lists = Array.from({ length: directories }, () => new Map());
    this.#rounds = this.#lists.map(() => 0);
  }

  /** Nodes that some directory lists. */
  get size(): number {
    return this.#said.size;
  }

  /** The directory begins anew: what it said before is old. */
  begin(directory: number): void {
    this.#rounds[directory] = this.#round(directory) + 1;
  }

  /** False: its list is full. */
  there(directory: number, entry: NodeEntry): boolean {
    const list = this.#list(directory);
    if (!list.has(entry.nodeId) && list.size >= ENTRIES_MAX && !this.#dropOld(directory)) {
      return false;
    }
    list.set(entry.nodeId, { entry, round: this.#round(directory) });
    this.#say(entry.nodeId);
    return true;
  }

  gone(directory: number, nodeId: string): void {
    if (this.#list(directory).delete(nodeId)) this.#say(nodeId);
  }

  /** It has had its time: what it said before it began anew, and has not said again, is gone. */
  settle(directory: number): void {
    while (this.#dropOld(directory)) {
      // one after the other
    }
  }

  /** Says all again: what was ignored for want of room may have some now. */
  repeat(): void {
    for (const nodeId of [...this.#said.keys()]) {
      this.#said.set(nodeId, "");
      this.#say(nodeId);
    }
  }

  #dropOld(directory: number): boolean {
    const round = this.#round(directory);
    for (const [nodeId, heard] of this.#list(directory)) {
      if (heard.round === round) continue;
      this.gone(directory, nodeId);
      return true;
    }
    return false;
  }

  #say(nodeId: string): void {
    const entries = this.#lists.flatMap((list) => list.get(nodeId)?.entry ?? []);
    if (entries.length === 0) {
      if (this.#said.delete(nodeId)) this.#taker.lost(nodeId);
      return;
    }
    const addresses = inTurn(entries.map((entry) => entry.addresses));
    const epoch = Math.max(...entries.map((entry) => entry.epoch));
    const text = `${epoch} ${addresses.join()}`;
    if (this.#said.get(nodeId) === text) return;
    this.#said.set(nodeId, text);
    this.#taker.found({ nodeId, ...(epoch > 0 ? { epoch } : {}), addresses });
  }

  #list(directory: number): Map<string, Heard> {
    return this.#lists[directory] as Map<string, Heard>;
  }

  #round(directory: number): number {
    return this.#rounds[directory] as number;
  }
}

/** The first of each, the second of each, and so on; each once. */
const inTurn = (lists: readonly (readonly string[])[]): string[] => {
  const all = new Set<string>();
  for (let at = 0; at < ADDRESSES_MAX; at++) {
    for (const list of lists) {
      const address = list[at];
      if (address !== undefined && all.size < ADDRESSES_MAX) all.add(address);
    }
  }
  return [...all];
};
