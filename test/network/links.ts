/** Which processes are linked with one another, as each of them says of itself. */
import type { ChaosRecord } from "../chaos/chaos-record.ts";

export type Pair = readonly [one: string, other: string];

export class Links {
  /** Of each process its latest node: one with a new folder is another node. */
  readonly #nodeOf = new Map<string, string>();
  /** Per process: its peers' node ids, and since when they are linked with it. */
  readonly #since = new Map<string, Map<string, number>>();
  readonly #beganMs = new Map<string, number>();
  #read = 0;

  /** Takes the lines that came since. */
  update(records: readonly ChaosRecord[]): void {
    for (const record of records.slice(this.#read)) {
      const { e, process, atMs } = record;
      if (e === "ready") this.#nodeOf.set(process, record.node);
      if (e === "begin") this.#beganMs.set(process, atMs);
      if (e === "spawn" || e === "exit") this.#since.delete(process);
      if (e === "peer") this.#note(process, record.peer, record.linked ? atMs : undefined);
    }
    this.#read = records.length;
  }

  /** When the last of these processes began to start its node. */
  lastBeganMs(names: readonly string[]): number {
    return Math.max(...names.map((name) => this.#beganMs.get(name) ?? Number.POSITIVE_INFINITY));
  }

  /** Since when all these pairs are linked, to the knowledge of both sides. Undefined: one is not. */
  linkedSinceMs(pairs: readonly Pair[]): number | undefined {
    let sinceMs = 0;
    for (const [one, other] of pairs) {
      for (const linkedMs of [this.#linkedMs(one, other), this.#linkedMs(other, one)]) {
        if (linkedMs === undefined) return undefined;
        sinceMs = Math.max(sinceMs, linkedMs);
      }
    }
    return sinceMs;
  }

  /** Pairs of which one side, or both, knows no link. */
  missing(pairs: readonly Pair[]): readonly Pair[] {
    return pairs.filter((pair) => this.linkedSinceMs([pair]) === undefined);
  }

  #note(process: string, peer: string, atMs: number | undefined): void {
    const peers = this.#since.get(process) ?? new Map<string, number>();
    this.#since.set(process, peers);
    if (atMs === undefined) peers.delete(peer);
    else peers.set(peer, atMs);
  }

  #linkedMs(one: string, other: string): number | undefined {
    return this.#since.get(one)?.get(this.#nodeOf.get(other) ?? "");
  }
}
