/**
 * Who of a subscription's members lives, as one node sees it.
 *
 * Problem: a link that breaks is not a death, a node that this one cannot reach may well live, and a process
 * that comes back is another life. Approach: a member lives while it is linked here, or while a linked peer
 * says that it is linked there; it is dead once nothing was heard of it in either way for 1.1 leases. One that
 * said goodbye is dead at once, one that this node itself waits for (`missed`) not before it gives it up; one whose process began anew after one debounce, which lets it join again.
 *
 * Invariants: `candidates` are members that joined here, live or may live, and do not drain;
 * `changedMs` is when that set was last another one.
 * Bound: `ENTRIES_MAX` members and holders heard of; beyond it the dead are forgotten, and count as unknown.
 * Source: DESIGN sections 8 and 9.
 */
import { LEASE_MARGIN } from "./lease.ts";
import type { ShardMember } from "./shard-map.ts";

/** "waiting": it is not known to live, and its lease may not have run out. */
export type MemberState = "alive" | "waiting" | "dead";

type Seen = {
  hash: number;
  weight: number;
  joined: boolean;
  linked: boolean;
  draining: boolean;
  /** Lost here, and not given up: its lease runs, or its event loop is known to be blocked. */
  missed: boolean;
  /** When it was last known to live. */
  evidenceMs: number;
  /** Known to be dead from then on, whatever was heard before. */
  overMs: number;
};

const ENTRIES_MAX = 1_024;
const REPORTED_MAX = 4_096;

export class MemberView {
  readonly #waitMs: number;
  readonly #debounceMs: number;
  readonly #seen = new Map<string, Seen>();
  readonly #reports = new Map<string, ReadonlySet<string>>();
  #candidates: readonly ShardMember[] = [];
  #names = "";
  #changedMs: number;
  #version = 0;

  constructor(times: { readonly leaseMs: number; readonly debounceMs: number }, nowMs: number) {
    this.#waitMs = times.leaseMs * LEASE_MARGIN;
    this.#debounceMs = times.debounceMs;
    this.#changedMs = nowMs;
  }

  /** When `candidates` last changed, as far as it was asked for. */
  get changedMs(): number {
    return this.#changedMs;
  }

  /** Another one whenever something was heard; without that only time changes what this view says. */
  get version(): number {
    return this.#version;
  }

  // --- what happens --------------------------------------------------------------------------

  /** A session with it is up, and it declared the subscription. */
  joined(id: string, hash: number, weight: number, nowMs: number): void {
    this.#version++;
    const seen = this.#of(id, nowMs);
    const before = { joined: true, linked: true, draining: false, missed: false, overMs: Infinity };
    Object.assign(seen, { ...before, hash, weight, evidenceMs: nowMs });
  }

  /** The session is gone; whether the member is dead is for `died` to say. */
  lost(id: string, nowMs: number): void {
    const seen = this.#seen.get(id);
    if (seen?.linked !== true) return;
    this.#version++;
    Object.assign(seen, { linked: false, missed: true, evidenceMs: nowMs });
  }

  /** This node has given it up: its lease has run out here. */
  died(id: string): void {
    const seen = this.#seen.get(id);
    if (seen === undefined) return;
    this.#version++;
    seen.missed = false;
  }

  /** It takes nothing new. */
  drains(id: string): void {
    const seen = this.#seen.get(id);
    if (seen === undefined) return;
    this.#version++;
    seen.draining = true;
  }

  /** It said goodbye. */
  left(id: string, nowMs: number): void {
    this.#over(id, nowMs);
  }

  /** Its process began a new life, which is no member yet. */
  restarted(id: string, nowMs: number): void {
    this.#over(id, nowMs + this.#debounceMs);
  }

  /** Somebody states a register of it that is news: it lived not long ago. */
  heardOf(id: string, nowMs: number): void {
    this.#version++;
    const seen = this.#of(id, nowMs);
    seen.evidenceMs = nowMs;
    seen.overMs = Infinity;
  }

  /** Which members a linked peer is linked with. */
  reported(reporter: string, ids: readonly string[], nowMs: number): void {
    const before = this.#reports.get(reporter);
    const now = new Set(ids.slice(0, REPORTED_MAX));
    this.#reports.set(reporter, now);
    for (const id of now) if (before?.has(id) !== true) this.#revive(id);
    for (const id of before ?? []) if (!now.has(id)) this.#noteLast(id, nowMs);
  }

  /** What a peer said holds no longer: the link with it is gone. */
  reporterGone(reporter: string, nowMs: number): void {
    const before = this.#reports.get(reporter);
    this.#reports.delete(reporter);
    for (const id of before ?? []) this.#noteLast(id, nowMs);
  }

  // --- what follows --------------------------------------------------------------------------

  stateOf(id: string, nowMs: number): MemberState {
    const seen = this.#seen.get(id);
    if (seen === undefined) return "waiting";
    if (seen.linked) return "alive";
    if (seen.overMs <= nowMs) return "dead";
    if (this.#isReported(id)) return "alive";
    if (seen.missed) return "waiting";
    return nowMs >= seen.evidenceMs + this.#waitMs ? "dead" : "waiting";
  }

  isLinked(id: string): boolean {
    return this.#seen.get(id)?.linked ?? false;
  }

  /** Makes an unknown holder's time begin. */
  watch(id: string, nowMs: number): void {
    if (!this.#seen.has(id)) this.#of(id, nowMs);
  }

  /** Members that are linked here, for others to know. */
  linked(): string[] {
    return [...this.#seen].filter(([, { linked }]) => linked).map(([id]) => id);
  }

  /** Members that can own shards. */
  candidates(nowMs: number): readonly ShardMember[] {
    const found: ShardMember[] = [];
    for (const [id, { hash, weight, joined, draining }] of this.#seen) {
      if (!joined || draining || this.stateOf(id, nowMs) === "dead") continue;
      found.push({ id, hash, weight });
    }
    found.sort((a, b) => (a.id < b.id ? -1 : 1));
    const names = found.map(({ id, weight }) => `${id} ${weight}`).join(",");
    if (names !== this.#names) {
      this.#names = names;
      this.#candidates = found;
      this.#changedMs = nowMs;
    }
    return this.#candidates;
  }

  /** Whether another member than `me` lives, or may. */
  hasOthers(me: string, nowMs: number): boolean {
    for (const [id, { joined }] of this.#seen) {
      if (id !== me && joined && this.stateOf(id, nowMs) !== "dead") return true;
    }
    return false;
  }

  /** The next time at which somebody will be dead if nothing is heard. */
  nextDeathMs(nowMs: number): number {
    let next = Infinity;
    for (const [id, { linked, missed, overMs, evidenceMs }] of this.#seen) {
      if (linked) continue;
      const isHeard = missed || this.#isReported(id);
      const silentMs = isHeard ? Infinity : evidenceMs + this.#waitMs;
      const atMs = Math.min(overMs, silentMs);
      if (atMs > nowMs) next = Math.min(next, atMs);
    }
    return next;
  }

  // --- inside --------------------------------------------------------------------------------

  #of(id: string, nowMs: number): Seen {
    let seen = this.#seen.get(id);
    if (seen === undefined) {
      if (this.#seen.size >= ENTRIES_MAX) this.#forgetDead(nowMs);
      const flags = { joined: false, linked: false, draining: false, missed: false };
      this.#version++;
      seen = { hash: 0, weight: 0, ...flags, evidenceMs: nowMs, overMs: Infinity };
      this.#seen.set(id, seen);
    }
    return seen;
  }

  #over(id: string, atMs: number): void {
    const seen = this.#seen.get(id);
    if (seen === undefined) return;
    this.#version++;
    Object.assign(seen, { linked: false, joined: false, missed: false, overMs: atMs });
    // What peers said before they heard of it counts no longer.
    for (const [reporter, ids] of this.#reports) {
      if (ids.has(id)) this.#reports.set(reporter, without(ids, id));
    }
  }

  #revive(id: string): void {
    this.#version++;
    const seen = this.#seen.get(id);
    if (seen !== undefined) seen.overMs = Infinity;
  }

  #noteLast(id: string, nowMs: number): void {
    this.#version++;
    const seen = this.#seen.get(id);
    if (seen !== undefined) seen.evidenceMs = Math.max(seen.evidenceMs, nowMs);
  }

  #isReported(id: string): boolean {
    for (const ids of this.#reports.values()) if (ids.has(id)) return true;
    return false;
  }

  #forgetDead(nowMs: number): void {
    for (const id of this.#seen.keys()) {
      if (this.stateOf(id, nowMs) === "dead") this.#seen.delete(id);
    }
  }
}

const without = (ids: ReadonlySet<string>, id: string): ReadonlySet<string> => {
  const rest = new Set(ids);
  rest.delete(id);
  return rest;
};
