/**
 * Who takes part in which subscription, as this producer knows it: declarations, claims, sessions, deaths.
 *
 * A declaration is confirmed when the cursor it gives rise to is on disk. A command has one group: the older
 * claim holds, the other is refused. A member whose session is lost keeps what it has until it dies or is back.
 */
import type { Member } from "../../core/member.ts";
import type { PeerIdentity } from "../../ports/security.ts";
import type { DeclareFrame, EndedSubscription, SubscriptionRecord } from "../../wire/declare.ts";
import type { Link } from "../link/link.ts";
import type { Vouched } from "../signed-entries.ts";
import { subscriptionId } from "../subscription-id.ts";
import { definitionOf, isLater, isOlder, wrongIn } from "./definitions.ts";
import { endUndeclared } from "./end-undeclared.ts";
import { GivenUp } from "./given-up.ts";
import { Outlet } from "./outlet.ts";
import type { ProducerHost } from "./producer-host.ts";
import { SubscriptionRoom } from "./subscription-room.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import { type KeptEnd, Tombstones } from "./tombstones.ts";
import { type Vouchers, vouchersOf } from "./vouchers.ts";

const TERMS_PER_EPOCH = 2 ** 20; // fits a safe integer with 32 bits of epoch

export class Members {
  readonly #producer: ProducerHost;
  readonly #orphanMs: number;
  /** Durable subscriptions that were ended for good. */
  readonly tombstones: Tombstones;
  /** Of a node with keys. */
  readonly vouchers: Vouchers | undefined;
  readonly #terms = new WeakMap<Member, number>();
  readonly #room: SubscriptionRoom;
  readonly #givenUp: GivenUp;
  #termsGiven = 1;

  constructor(producer: ProducerHost, orphanMs: number) {
    this.#producer = producer;
    this.#orphanMs = orphanMs;
    const { env, journal } = producer;
    this.#room = new SubscriptionRoom(producer);
    this.#givenUp = new GivenUp(journal);
    this.tombstones = new Tombstones(journal, env.clock.wallMs());
    this.vouchers = vouchersOf(env, journal.nodeId);
  }

  declare(link: Link, frame: DeclareFrame): void {
    for (const ended of frame.ended) {
      if (!this.#isEndDenied(link.isLocal ? undefined : link.proven, ended)) this.end(ended);
    }
    if (frame.complete) endUndeclared(this.#producer, link, frame.add);
    for (const record of frame.add) {
      if (record.role !== "queries") this.#add(link, record);
    }
    for (const index of frame.drain) this.#drain(link, index);
    for (const index of frame.remove) this.#remove(link, index);
  }

  /** This node ends it by name. @throws MeshError UNAUTHORIZED */
  endOwn(ended: EndedSubscription): void {
    this.end(this.vouchers?.endOwn(ended, this.#stateOf(ended)) ?? ended);
  }

  /** A durable subscription or claim ends for good. One that was born later stands. */
  end(ended: KeptEnd): void {
    const state = this.#stateOf(ended);
    this.tombstones.add(ended);
    if (state === undefined || isLater(state.definition.birthTime, ended.time)) return;
    this.#abandon(state);
  }

  /** Another node says that it ended. Where members of it are linked now, they are what counts. */
  hearEnded(ended: EndedSubscription, vouched?: Vouched): void {
    const state = this.#stateOf(ended);
    if (state !== undefined && state.outlets.size > 0) return;
    if (vouched === undefined) this.end(ended);
    else if (!this.#isEndDenied(vouched.signer, ended))
      this.end({ ...ended, signed: vouched.text });
  }

  /** Another node knows a durable subscription, whose members may all be away: it is owed from now on. */
  hear(record: SubscriptionRecord, vouched?: Vouched): void {
    const { table, journal, env } = this.#producer;
    if (record.role === "queries" || !record.durable || wrongIn(record) !== undefined) return;
    const end = this.tombstones.over(record);
    if (end !== undefined && (this.vouchers?.outweighs(end.signed, vouched) ?? true)) return;
    const id = subscriptionId(record);
    const state = table.get(id);
    if (state === undefined) {
      if (table.size >= env.limits.subscriptionsMax) return;
      const created = table.create(definitionOf(id, record), this.#givenUp.startOf(record));
      if (vouched !== undefined) this.vouchers?.add(created, vouched);
      journal.committer.dirty(created);
      return;
    }
    const before = state.definition;
    const isOther = before.group !== "" && before.group !== record.group;
    if (isOther && !isOlder(record, before)) return; // the older claim of the command holds
    if (isOther) this.#evict(state, record);
    if (state.outlets.size > 0 && before.distribution !== record.distribution) return;
    this.#define(state, record);
    if (vouched !== undefined) this.vouchers?.add(state, vouched);
    if (state.definition === before) return;
    journal.committer.dirty(state);
    this.#producer.pump(state);
  }

  /** Gives this node's word for what it is a member of, where that is needed. */
  vouch(): void {
    for (const state of this.#producer.table.all()) {
      if (this.vouchers?.vouch(state)) this.#producer.journal.committer.dirty(state);
    }
  }

  #isEndDenied(who: PeerIdentity | undefined, ended: EndedSubscription): boolean {
    if (who === undefined || this.vouchers === undefined) return false;
    return this.vouchers.isEndDenied(who, ended, this.#stateOf(ended));
  }

  #stateOf(ended: EndedSubscription): SubscriptionState | undefined {
    const { role, group } = ended;
    const state = this.#producer.table.get(subscriptionId(ended));
    const isOther =
      role === "queries" || (role === "commands" && state?.definition.group !== group);
    return isOther ? undefined : state;
  }

  /** What the peer may not take any more stays in the journal, for members that may. */
  rightsChanged(link: Link): void {
    const { access } = this.#producer.env;
    for (const outlet of [...(this.#producer.outletsOf(link)?.byIndex.values() ?? [])]) {
      const denied = access?.taking(link, outlet.subscription.definition);
      if (denied === undefined) continue;
      this.#confirm(link, outlet.index, "UNAUTHORIZED", denied);
      this.#leave(outlet);
    }
  }

  /** The session of an outlet is over; its member keeps what it had for now. */
  closed(outlet: Outlet<SubscriptionState>): void {
    const { subscription: state, member } = outlet;
    if (state.outlets.get(member.id) !== outlet) return;
    state.outlets.delete(member.id);
    state.cursor.lose(member);
    state.tokens?.lost(member.id);
    this.orphaned(state);
  }

  /** Without members a subscription that is not durable is forgotten after a while. */
  orphaned(state: SubscriptionState): void {
    if (state.definition.durable || state.outlets.size > 0 || state.orphanTimer !== undefined)
      return;
    const { clock, hybrid } = this.#producer.env;
    state.orphanTimer = clock.setTimer(this.#orphanMs, () => {
      state.orphanTimer = undefined;
      if (state.outlets.size > 0) return;
      this.#givenUp.add(state.id, hybrid.now(clock.wallMs()));
      this.#abandon(state);
    });
  }

  // --- inside --------------------------------------------------------------------------------

  #add(link: Link, declared: SubscriptionRecord): void {
    const { table, env } = this.#producer;
    const record = this.tombstones.reborn(declared);
    const wrong = wrongIn(record);
    if (wrong !== undefined) {
      env.counters.count("link.wrongSubscription");
      this.#confirm(link, record.index, "SUBSCRIPTION_MISMATCH", wrong);
      return;
    }
    const denied = env.access?.taking(link, record);
    if (denied !== undefined) {
      this.#confirm(link, record.index, "UNAUTHORIZED", denied);
      return;
    }
    const id = subscriptionId(record);
    const full = this.#room.take(link, record.index, id);
    if (full !== undefined) {
      this.#confirm(link, record.index, "SUBSCRIPTION_LIMIT", full);
      return;
    }
    let state = table.get(id);
    if (state !== undefined) {
      const refusal = this.#refusal(state, link, record);
      if (refusal !== undefined) {
        this.#confirm(link, record.index, refusal.code, refusal.message);
        return;
      }
    }
    state ??= table.create(definitionOf(id, record), this.#givenUp.startOf(record));
    this.#define(state, record);
    this.#join(link, state, record);
    if (link.isLocal) this.vouchers?.vouch(state);
    const { committer } = this.#producer.journal;
    committer.dirty(state);
    committer.onDurable((error) => {
      if (error === undefined && link.isUp) this.#confirm(link, record.index, "", "");
    });
    this.#producer.pump(state);
  }

  /** Why this declaration cannot stand beside what is known. A younger claim of a command yields. */
  #refusal(
    state: SubscriptionState,
    link: Link,
    record: SubscriptionRecord,
  ): { code: string; message: string } | undefined {
    const { definition } = state;
    if (
      record.role === "commands" &&
      definition.group !== "" &&
      definition.group !== record.group
    ) {
      if (!isOlder(record, definition)) {
        return {
          code: "COMMAND_CLAIMED",
          message: `command "${record.pattern}" is handled by group "${definition.group}"`,
        };
      }
      this.#evict(state, record);
      return undefined;
    }
    const others = [...state.outlets.keys()].some((nodeId) => nodeId !== link.peer.nodeId);
    if (others && definition.distribution !== record.distribution) {
      return {
        code: "SUBSCRIPTION_MISMATCH",
        message: `"${state.id}" is live with distribution "${definition.distribution}", not "${record.distribution}"`,
      };
    }
    return undefined;
  }

  /** An older claim came to light: the members of the younger one lose the command. */
  #evict(state: SubscriptionState, record: SubscriptionRecord): void {
    const message = `command "${record.pattern}" is handled by group "${record.group}", which claimed it first`;
    for (const outlet of [...state.outlets.values()]) {
      this.#confirm(outlet.link, outlet.index, "COMMAND_CLAIMED", message);
      this.#leave(outlet);
    }
  }

  #define(state: SubscriptionState, record: SubscriptionRecord): void {
    const before = state.definition;
    const fresh = definitionOf(state.id, record);
    const newer = isLater(record.definedTime, before.definedTime) || before.group !== record.group;
    const older = isOlder(record, before) || before.group !== record.group;
    const birth = older
      ? { birthTime: fresh.birthTime, birthCreator: fresh.birthCreator }
      : { birthTime: before.birthTime, birthCreator: before.birthCreator };
    if (!newer && !older) return;
    const held = newer ? fresh : before;
    const wasKeyed = state.isKeyed;
    const changed = state.cursor.setKeyed(held.distribution === "key");
    const { distribution } = changed ? held : before;
    const durable = before.durable || fresh.durable;
    const signed = before.signed === undefined ? {} : { signed: before.signed };
    state.define({ ...held, ...birth, distribution, durable, ...signed });
    if (!wasKeyed)
      for (const one of state.outlets.values()) state.tokens?.met(one.link, one.member);
  }

  #join(link: Link, state: SubscriptionState, record: SubscriptionRecord): void {
    const { env } = this.#producer;
    const nodeId = link.peer.nodeId;
    const outlets = this.#producer.outletsOf(link);
    if (outlets === undefined) return;
    if (state.orphanTimer !== undefined) env.clock.clearTimer(state.orphanTimer);
    state.orphanTimer = undefined;
    const member = this.#member(state, nodeId, record.weight);
    const opening = state.cursor.open(member);
    const term = this.#termOf(member);
    const outlet = new Outlet(link, state, record.index, member, opening, term);
    state.outlets.set(nodeId, outlet);
    outlets.byIndex.set(record.index, outlet);
    this.#producer.settling.verdicts.remind(outlet);
    state.tokens?.met(link, member);
  }

  #member(state: SubscriptionState, nodeId: string, weight: number): Member {
    const hash = this.#producer.env.hash.hash32(nodeId);
    return state.cursor.join(nodeId, hash, Math.max(1, weight));
  }

  /** One term from joining to leaving, also over lost sessions; it grows, also over restarts. */
  #termOf(member: Member): number {
    let term = this.#terms.get(member);
    if (term === undefined) {
      const { epoch } = this.#producer.journal;
      term = epoch * TERMS_PER_EPOCH + (this.#termsGiven++ % TERMS_PER_EPOCH);
      this.#terms.set(member, term);
    }
    return term;
  }

  #drain(link: Link, index: number): void {
    const outlet = this.#producer.outletsOf(link)?.byIndex.get(index);
    if (outlet === undefined) return;
    outlet.subscription.cursor.drain(outlet.member);
    outlet.subscription.tokens?.drains(outlet.member.id);
    this.#producer.pump(outlet.subscription);
  }

  #remove(link: Link, index: number): void {
    const outlet = this.#producer.outletsOf(link)?.byIndex.get(index);
    if (outlet !== undefined) this.#leave(outlet);
  }

  #leave(outlet: Outlet<SubscriptionState>): void {
    const { subscription: state, member, link, index } = outlet;
    this.#producer.outletsOf(link)?.byIndex.delete(index);
    if (state.outlets.get(member.id) === outlet) state.outlets.delete(member.id);
    state.cursor.leave(member, false);
    state.tokens?.over(member.id, "left");
    this.orphaned(state);
    this.#producer.pump(state);
  }

  #abandon(state: SubscriptionState): void {
    const { env, table } = this.#producer;
    const { pending } = state.ledger;
    if (pending > 0) {
      state.ledger.add("abandoned", pending);
      env.counters.count("messages.abandoned", pending);
    }
    for (const outlet of [...state.outlets.values()]) {
      this.#producer.outletsOf(outlet.link)?.byIndex.delete(outlet.index);
    }
    state.outlets.clear();
    table.remove(state);
  }

  #confirm(link: Link, subscription: number, code: string, message: string): void {
    link.send({
      type: "declared",
      session: link.session,
      confirmations: [{ subscription, code, message }],
    });
  }
}
