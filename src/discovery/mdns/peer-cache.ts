/**
 * What mDNS believes about peers, and until when.
 *
 * Problem: records are unauthenticated and lost packets are normal. Approach: one entry per (node,
 * source address), so that what one host says never displaces or removes what another said; a node is
 * lost when its last entry is gone. Time is an argument.
 *
 * Invariants: at most `entriesMax` entries, at most `perSourceMax` for a source that is not this host
 * (all processes of this host share its addresses, and the kernel lets no other host use them); at the
 * limit news is refused and nothing is evicted; a TTL above `ttlMaxMs` counts as `ttlMaxMs`. Refreshes
 * are due at 80, 85, 90 and 95 % of the TTL (RFC 6762 section 5.2).
 */
import type { PeerGoodbye, PeerRecord } from "./peer-records.ts";

export type PeerCacheLimits = {
  readonly entriesMax: number;
  readonly perSourceMax: number;
  readonly ttlMaxMs: number;
};

export type RecordOrigin = {
  /** Sender's IP address. */
  readonly source: string;
  /** Address of the interface it came in on. */
  readonly via: string;
  /** The sender is on this host. */
  readonly local: boolean;
};

export type KnownPeer = { readonly nodeId: string; readonly remainingMs: number };

type Entry = {
  readonly record: PeerRecord;
  readonly origin: RecordOrigin;
  readonly ttlMs: number;
  readonly learnedAtMs: number;
  /** Moves refreshes by up to 2 % of the TTL, so that hosts do not ask all at once. */
  readonly jitter: number;
  refreshesDone: number;
};

export const DEFAULT_LIMITS: PeerCacheLimits = Object.freeze({
  entriesMax: 1_024,
  perSourceMax: 16,
  ttlMaxMs: 3_600_000,
});

const REFRESH_FRACTIONS = [0.8, 0.85, 0.9, 0.95];
const REFRESH_JITTER = 0.02;

export class PeerCache {
  readonly #limits: PeerCacheLimits;
  readonly #entries = new Map<string, Entry>();
  readonly #perSource = new Map<string, number>();
  readonly #perNode = new Map<string, number>();

  constructor(limits: PeerCacheLimits = DEFAULT_LIMITS) {
    this.#limits = limits;
  }

  /** Nodes known. */
  get nodeCount(): number {
    return this.#perNode.size;
  }

  /** Entries held: nodes times the sources that speak for each. */
  get entryCount(): number {
    return this.#entries.size;
  }

  /**
   * Takes a record. "new" and "changed" (other epoch or addresses) are worth telling; "full" was
   * refused by a limit. `jitter` is uniform in [0, 1).
   */
  learn(
    record: PeerRecord,
    origin: RecordOrigin,
    nowMs: number,
    jitter: number,
  ): "new" | "changed" | "refreshed" | "full" {
    const key = keyOf(record.nodeId, origin.source);
    const before = this.#entries.get(key);
    if (before === undefined && !this.#hasRoom(origin)) return "full";
    const ttlMs = Math.min(record.ttlMs, this.#limits.ttlMaxMs);
    const entry = { record, origin, ttlMs, learnedAtMs: nowMs, jitter, refreshesDone: 0 };
    if (before !== undefined) {
      this.#entries.set(key, entry);
      return sameStatement(before.record, record) ? "refreshed" : "changed";
    }
    this.#entries.set(key, entry);
    add(this.#perSource, origin.source, 1);
    add(this.#perNode, record.nodeId, 1);
    return "new";
  }

  /**
   * Takes a goodbye. It removes only what the same source said, and only of that life of the node:
   * a late goodbye of an earlier epoch changes nothing. True when the node is now lost.
   */
  goodbye(said: PeerGoodbye, source: string): boolean {
    const key = keyOf(said.nodeId, source);
    const entry = this.#entries.get(key);
    if (entry === undefined) return false;
    if (said.epoch !== undefined && said.epoch < entry.record.epoch) return false;
    return this.#remove(key, entry);
  }

  /** Removes what ran out; returns the ids of nodes lost by it. */
  expire(nowMs: number): string[] {
    const lost: string[] = [];
    for (const [key, entry] of this.#entries) {
      if (nowMs < entry.learnedAtMs + entry.ttlMs) continue;
      if (this.#remove(key, entry)) lost.push(entry.record.nodeId);
    }
    return lost;
  }

  /** Interfaces on which a refresh is due; each due refresh is reported once. */
  takeRefreshes(nowMs: number): Set<string> {
    const due = new Set<string>();
    for (const entry of this.#entries.values()) {
      while (refreshAtMs(entry) <= nowMs) {
        entry.refreshesDone += 1;
        due.add(entry.origin.via);
      }
    }
    return due;
  }

  /** When `expire` or `takeRefreshes` has work next; Infinity when never. */
  nextDueMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.#entries.values()) {
      next = Math.min(next, entry.learnedAtMs + entry.ttlMs, refreshAtMs(entry));
    }
    return next;
  }

  /** Nodes heard on an interface with more than half of their TTL left: a query's known answers. */
  known(via: string, nowMs: number): KnownPeer[] {
    const known: KnownPeer[] = [];
    for (const { record, origin, ttlMs, learnedAtMs } of this.#entries.values()) {
      const remainingMs = learnedAtMs + ttlMs - nowMs;
      if (origin.via === via && remainingMs > ttlMs / 2) {
        known.push({ nodeId: record.nodeId, remainingMs });
      }
    }
    return known;
  }

  #hasRoom(origin: RecordOrigin): boolean {
    if (this.#entries.size >= this.#limits.entriesMax) return false;
    return origin.local || (this.#perSource.get(origin.source) ?? 0) < this.#limits.perSourceMax;
  }

  #remove(key: string, entry: Entry): boolean {
    this.#entries.delete(key);
    add(this.#perSource, entry.origin.source, -1);
    return add(this.#perNode, entry.record.nodeId, -1) === 0;
  }
}

function keyOf(nodeId: string, source: string): string {
  return `${nodeId} ${source}`;
}

function refreshAtMs(entry: Entry): number {
  const fraction = REFRESH_FRACTIONS[entry.refreshesDone];
  if (fraction === undefined) return Number.POSITIVE_INFINITY;
  return entry.learnedAtMs + entry.ttlMs * (fraction + REFRESH_JITTER * entry.jitter);
}

function sameStatement(a: PeerRecord, b: PeerRecord): boolean {
  return (
    a.epoch === b.epoch &&
    a.addresses.length === b.addresses.length &&
    a.addresses.every((address, index) => address === b.addresses[index])
  );
}

function add(counts: Map<string, number>, key: string, change: number): number {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
  return count;
}
