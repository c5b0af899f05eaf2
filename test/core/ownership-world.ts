/**
 * Members of one subscription that know of one another by messages only: the pure machines, a queue of what is
 * on its way, and a clock. Members join, leave, die, stand still and lose their links.
 */
import { MemberView } from "../../src/core/member-view.ts";
import { Ownership } from "../../src/core/ownership.ts";
import { SHARD_COUNT } from "../../src/core/shard-map.ts";
import { type Token, type TokenEntry, TokenTable } from "../../src/core/token-table.ts";
import { SeededRandom } from "../../src/testing/seeded-random.ts";
import { xxh32Bytes } from "../../src/testing/xxh32.ts";

export const LEASE_MS = 1_000;
export const DEBOUNCE_MS = 250;

type Word = {
  readonly entries: readonly TokenEntry[];
  readonly linked: readonly string[] | undefined;
};
type Event = { readonly atMs: number; readonly order: number; readonly run: () => void };

/** A member through one life. */
export class Member {
  readonly id: string;
  readonly table = new TokenTable();
  readonly view: MemberView;
  readonly ownership: Ownership;
  readonly links = new Set<Member>();
  isAlive = true;
  isLeaving = false;
  pausedUntilMs = 0;
  nextMs = Infinity;
  linkedTold = "";
  /** When it last heard of anybody. */
  heardMs: number;
  /** Work of a moving shard ends then. */
  readonly busyUntilMs = new Map<number, number>();

  constructor(id: string, nowMs: number, kept: readonly TokenEntry[], sticky: boolean) {
    this.id = id;
    this.view = new MemberView({ leaseMs: LEASE_MS, debounceMs: DEBOUNCE_MS }, nowMs);
    this.table.merge(kept, nowMs);
    const self = { id, hash: xxh32Bytes(Buffer.from(id)), weight: 1 };
    const options = { self, sticky, debounceMs: DEBOUNCE_MS, leaseMs: LEASE_MS };
    this.ownership = new Ownership(options, this.table, this.view);
    this.heardMs = nowMs;
    this.view.joined(id, self.hash, 1, nowMs);
  }

  leaseValid(nowMs: number): boolean {
    return nowMs - this.heardMs <= LEASE_MS || !this.view.hasOthers(this.id, nowMs);
  }

  mayStart(shard: number, nowMs: number): boolean {
    return this.isAlive && this.ownership.mayStart(shard) && this.leaseValid(nowMs);
  }
}

export class OwnershipWorld {
  readonly random: SeededRandom;
  readonly members: Member[] = [];
  readonly #disks = new Map<string, TokenEntry[]>();
  readonly #events: Event[] = [];
  readonly #lastMs = new Map<string, number>();
  readonly #sticky: boolean;
  readonly delayMs: number;
  nowMs = 0;
  #order = 0;
  /** Registers a member took over in the course of all, by shard: terms that were started. */
  readonly terms = new Map<number, number[]>();
  /** What must never be, as it was seen. */
  readonly wrong: string[] = [];
  /** Nothing but joins and leaves happened: two may never hold one shard. */
  isGentle = true;

  constructor(seed: number, options: { delayMs: number; sticky?: boolean }) {
    this.random = new SeededRandom(seed, "ownership");
    this.delayMs = options.delayMs;
    this.#sticky = options.sticky ?? false;
    this.#beat();
  }

  get alive(): Member[] {
    return this.members.filter(({ isAlive }) => isAlive);
  }

  join(id: string): Member {
    const member = new Member(id, this.nowMs, this.#disks.get(id) ?? [], this.#sticky);
    for (const other of this.alive) this.link(member, other);
    this.members.push(member);
    this.#decide(member);
    return member;
  }

  /** Both sides' sessions rise at one moment; what each knows goes to the other. */
  link(a: Member, b: Member): void {
    this.#later(this.#delay(), () => {
      if (!a.isAlive || !b.isAlive) return;
      for (const [from, to] of [
        [a, b],
        [b, a],
      ] as const) {
        to.links.add(from);
        to.view.joined(from.id, xxh32Bytes(Buffer.from(from.id)), 1, this.nowMs);
        if (from.isLeaving) to.view.drains(from.id);
        this.#say(to, [from], to.table.entries());
      }
      this.#decide(a);
      this.#decide(b);
    });
  }

  cut(a: Member, b: Member): void {
    this.isGentle = false;
    for (const [from, to] of [
      [a, b],
      [b, a],
    ] as const) {
      to.links.delete(from);
      this.#lost(to, from);
    }
  }

  kill(member: Member): void {
    this.isGentle = false;
    this.#end(member);
    for (const other of this.alive) {
      if (!other.links.delete(member)) continue;
      this.#lost(other, member);
    }
  }

  pause(member: Member, forMs: number): void {
    this.isGentle = false;
    member.pausedUntilMs = this.nowMs + forMs;
  }

  leave(member: Member): void {
    member.isLeaving = true;
    member.ownership.leave();
    member.view.drains(member.id);
    for (const other of member.links) {
      this.#later(this.#delay(), () => {
        other.view.drains(member.id);
        this.#decide(other);
      });
    }
    this.#decide(member);
  }

  run(forMs: number): void {
    const untilMs = this.nowMs + forMs;
    for (;;) {
      this.#events.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
      const next = this.#events[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#events.shift();
      this.nowMs = next.atMs;
      next.run();
    }
    this.nowMs = untilMs;
    this.check();
  }

  /** Shards that several members may start at this moment. */
  check(): void {
    if (!this.isGentle) return;
    for (let shard = 0; shard < SHARD_COUNT; shard++) {
      const holders = this.alive.filter((member) => member.ownership.fenceOf(shard) > 0);
      if (holders.length > 1) {
        this.wrong.push(`${this.nowMs}: shard ${shard} is ${holders.map(({ id }) => id)}'s`);
        return;
      }
    }
  }

  // --- inside --------------------------------------------------------------------------------

  /** Given up after 1.1 leases, unless it is back. */
  #lost(at: Member, from: Member): void {
    at.view.lost(from.id, this.nowMs);
    at.view.reporterGone(from.id, this.nowMs);
    this.#decide(at);
    this.#later(1.1 * LEASE_MS, () => {
      if (!at.view.isLinked(from.id)) at.view.died(from.id);
      this.#decide(at);
    });
  }

  #delay(): number {
    return 1 + this.random.fraction() * this.delayMs;
  }

  #later(delayMs: number, run: () => void): void {
    this.#events.push({ atMs: this.nowMs + delayMs, order: this.#order++, run });
  }

  /** Every member hears of every linked one that lives, four times a lease, and thinks again. */
  #beat(): void {
    this.#later(LEASE_MS / 4, () => {
      for (const member of this.alive) {
        if (member.pausedUntilMs > this.nowMs) continue;
        const hears = [...member.links].some(
          (other) => other.isAlive && other.pausedUntilMs <= this.nowMs,
        );
        if (hears) member.heardMs = this.nowMs;
        this.#decide(member);
      }
      this.check();
      this.#beat();
    });
  }

  #end(member: Member): void {
    member.isAlive = false;
    this.#disks.set(member.id, member.table.entries());
  }

  #decide(member: Member): void {
    if (!member.isAlive || member.pausedUntilMs > this.nowMs) return;
    const { nowMs } = this;
    const step = member.ownership.step({
      nowMs,
      wallMs: 1_800_000_000_000 + nowMs,
      leaseValid: member.leaseValid(nowMs),
      metSinceMs: member.links.size > 0 ? 0 : undefined,
      isDrained: (shard) => (member.busyUntilMs.get(shard) ?? 0) <= nowMs,
    });
    for (const shard of step.taken) this.#took(member, shard);
    const busyMs = [0, this.random.fraction() * 20, 40];
    for (const shard of step.moving) {
      member.busyUntilMs.set(shard, nowMs + (busyMs[shard % 3] as number));
    }
    const said = [...step.changed, ...step.confirmed];
    if (said.length > 0) this.#say(member, member.links, member.table.entries(said));
    for (const ms of step.moving.length > 0 ? busyMs : []) {
      this.#later(ms + 1, () => this.#decide(member));
    }
    this.#decideAt(member, step.nextMs);
    const linked = member.view.linked().sort().join();
    if (linked !== member.linkedTold) {
      member.linkedTold = linked;
      this.#say(member, member.links, []);
    }
    if (member.isLeaving && member.ownership.hasLeft) this.#bye(member);
  }

  #decideAt(member: Member, atMs: number): void {
    if (atMs >= member.nextMs && member.nextMs > this.nowMs) return;
    member.nextMs = atMs;
    if (atMs === Infinity) return;
    this.#later(Math.max(1, atMs - this.nowMs), () => {
      if (member.nextMs === atMs) this.#decide(member);
    });
  }

  #bye(member: Member): void {
    const links = [...member.links];
    this.#end(member);
    this.#later(this.delayMs + 2, () => {
      for (const other of links) {
        other.links.delete(member);
        other.view.left(member.id, this.nowMs);
        other.view.reporterGone(member.id, this.nowMs);
        this.#decide(other);
      }
    });
  }

  #took(member: Member, shard: number): void {
    const { term } = member.table.at(shard) as Token;
    const terms = this.terms.get(shard) ?? [];
    if (terms.length > 0 && this.isGentle && term <= (terms.at(-1) as number)) {
      this.wrong.push(`${this.nowMs}: ${member.id} took ${shard} at ${term} after ${terms.at(-1)}`);
    }
    terms.push(term);
    this.terms.set(shard, terms);
  }

  #say(from: Member, to: Iterable<Member>, entries: readonly TokenEntry[]): void {
    const word = { entries, linked: [...from.links].map(({ id }) => id) };
    for (const other of to) this.#post(from, other, word);
  }

  /** In order from one to another; said twice, registers do no harm. */
  #post(from: Member, to: Member, word: Word): void {
    const path = `${from.id} ${to.id}`;
    const atMs = Math.max(this.nowMs + this.#delay(), this.#lastMs.get(path) ?? 0);
    this.#lastMs.set(path, atMs);
    const deliver = (what: Word): void => {
      if (!to.isAlive || !to.links.has(from)) return;
      if (to.pausedUntilMs > this.nowMs) {
        this.#later(to.pausedUntilMs - this.nowMs, () => deliver(what));
      } else {
        this.#heard(from, to, what);
      }
    };
    this.#later(atMs - this.nowMs, () => deliver(word));
    if (this.random.chance(0.1)) {
      this.#later(3 * this.#delay(), () => deliver({ ...word, linked: undefined }));
    }
  }

  #heard(from: Member, to: Member, { entries, linked }: Word): void {
    const { nowMs } = this;
    if (linked !== undefined) to.view.reported(from.id, linked, nowMs);
    const { changes, stale } = to.table.merge(entries, nowMs);
    const changed = changes.flatMap(({ shards }) => shards);
    if (stale.length > 0) this.#say(to, [from], to.table.entries(stale));
    for (const shard of changed) to.view.heardOf((to.table.at(shard) as Token).holder, nowMs);
    const concerned = new Set(changes.map(({ formerly }) => formerly?.holder));
    const { retaken } = to.ownership.overridden(changed, nowMs, 1_800_000_000_000 + nowMs);
    for (const other of to.links) {
      if (concerned.has(other.id) && other !== from) {
        this.#say(to, [other], to.table.entries(changed));
      }
    }
    if (retaken.length > 0) this.#say(to, to.links, to.table.entries(retaken));
    this.#decide(to);
  }
}

/** The one live member that owns each shard, or what is wrong. */
export const ownersOf = (world: OwnershipWorld): string[] | string => {
  const owners: string[] = [];
  for (let shard = 0; shard < SHARD_COUNT; shard++) {
    const holders = world.alive.filter((member) => member.mayStart(shard, world.nowMs));
    if (holders.length !== 1) return `shard ${shard} is held by [${holders.map(({ id }) => id)}]`;
    owners.push((holders[0] as Member).id);
  }
  return owners;
};
