/**
 * Who vouches for the durable subscriptions that a producer knows, and who may end one.
 *
 * A subscription is what several declarations made of it: the oldest birth, the newest definition. So one signed entry
 * vouches for all of it, or two for a half each; they are kept in its definition, on disk with it. A node that is a
 * member signs what it knows when nobody's word covers that, or when the words there are grow old.
 *
 * An end counts of a member of the same service, and of who has full administration: the right to take messages of a
 * subject is no right to end what another service takes of it.
 */
import type { PeerIdentity } from "../../ports/security.ts";
import type { EndedSubscription, SubscriptionRecord } from "../../wire/declare.ts";
import type { Access } from "../access.ts";
import type { Environment } from "../environment.ts";
import { SignedEntries, type Vouched, type VouchedDurable } from "../signed-entries.ts";
import { recordOf } from "./definitions.ts";
import type { Definition } from "./subscription-rows.ts";
import type { SubscriptionState } from "./subscription-state.ts";
import type { KeptEnd } from "./tombstones.ts";

export class Vouchers {
  readonly entries: SignedEntries;
  readonly #access: Access;
  readonly #selfId: string;
  /** What this node has signed just now. */
  onSigned: (vouched: Vouched) => void = () => {};

  constructor(entries: SignedEntries, access: Access, selfId: string) {
    this.entries = entries;
    this.#access = access;
    this.#selfId = selfId;
  }

  /** Those whose word counts now. */
  of({ definition: { signed = [] } }: SubscriptionState): readonly VouchedDurable[] {
    return signed.flatMap((text) => {
      const vouched = this.entries.kept(text);
      return vouched !== undefined && isDurable(vouched) && this.entries.counts(vouched)
        ? [vouched]
        : [];
    });
  }

  /** Takes somebody's word, if it says more than is known. True: the definition has changed. */
  add(state: SubscriptionState, vouched: Vouched): boolean {
    if (!isDurable(vouched)) return false;
    const { definition } = state;
    const kept = chosen(definition, [...this.of(state), vouched]).map(({ text }) => text);
    const before = definition.signed ?? [];
    if (kept.length === before.length && kept.every((text) => before.includes(text))) return false;
    state.define({ ...definition, signed: kept });
    return true;
  }

  /** Gives this node's word where it is a member and none covers what it knows. True: it did. */
  vouch(state: SubscriptionState): boolean {
    const { definition } = state;
    const isOwn = definition.durable && definition.group !== "" && state.outlets.has(this.#selfId);
    if (!isOwn) return false;
    const known = this.of(state);
    const isCovered =
      known.some((one) => isBirthOf(one, definition)) &&
      known.some((one) => isDefinitionOf(one, definition));
    if (isCovered && !known.some((one) => this.entries.isAgeing(one))) return false;
    const vouched = this.entries.sign({ durable: recordOf(definition) });
    if (!this.add(state, vouched)) return false;
    this.onSigned(vouched);
    return true;
  }

  /** This node ends it, and says so. @throws MeshError UNAUTHORIZED */
  endOwn(ended: EndedSubscription, state: SubscriptionState | undefined): KeptEnd {
    const why = this.endDenied(this.#access.security.self, ended, state);
    if (why !== undefined) throw this.#access.endDenied(ended, why);
    const vouched = this.entries.sign({ ended });
    this.onSigned(vouched);
    return { ...ended, signed: vouched.text };
  }

  /** Why the end does not count; undefined: it does. */
  endDenied(
    who: PeerIdentity,
    { role, group, pattern }: EndedSubscription,
    state: SubscriptionState | undefined,
  ): string | undefined {
    if (who.may("admin", "full")) return undefined;
    const action = role === "commands" ? "handle" : "subscribe";
    if (who.mayOverlap(action, pattern) !== "all") {
      return `the certificate of ${who.service} does not allow to ${action} "${pattern}"`;
    }
    const services = state === undefined ? [] : this.#servicesOf(state);
    if (services.length === 0 || services.includes(who.service)) return undefined;
    return `"${group}" is of the service ${services.join(", ")}, and ${who.service} has no full administration`;
  }

  /** The same of a peer, with an audit record. */
  isEndDenied(
    who: PeerIdentity,
    ended: EndedSubscription,
    state: SubscriptionState | undefined,
  ): boolean {
    const why = this.endDenied(who, ended, state);
    if (why !== undefined) this.#access.endDenied(ended, why, who);
    return why !== undefined;
  }

  /** Whether an end stands against a subscription that this one vouches for. */
  outweighs(end: string | undefined, vouched: Vouched | undefined): boolean {
    if (end === undefined || vouched === undefined) return true;
    const signer = this.entries.kept(end)?.signer;
    if (signer === undefined) return true;
    return signer.may("admin", "full") || signer.service === vouched.signer.service;
  }

  #servicesOf(state: SubscriptionState): string[] {
    const services = new Set(this.of(state).map(({ signer }) => signer.service));
    for (const { link } of state.outlets.values()) {
      if (link.proven !== undefined) services.add(link.proven.service);
      else if (link.isLocal) services.add(link.peer.service);
    }
    return [...services];
  }
}

/** Undefined: the node has no keys. */
export const vouchersOf = (env: Environment, selfId: string): Vouchers | undefined => {
  const { access } = env;
  if (access === undefined) return undefined;
  return new Vouchers(new SignedEntries(env, access.security), access, selfId);
};

const isDurable = (vouched: Vouched): vouched is VouchedDurable => vouched.durable !== undefined;

type Time = SubscriptionRecord["birthTime"];
const isSame = (a: Time, b: Time): boolean => a.ms === b.ms && a.counter === b.counter;

const isBirthOf = ({ durable }: VouchedDurable, definition: Definition): boolean =>
  durable.group === definition.group &&
  durable.birthCreator === definition.birthCreator &&
  isSame(durable.birthTime, definition.birthTime);

const isDefinitionOf = ({ durable }: VouchedDurable, definition: Definition): boolean =>
  durable.group === definition.group && isSame(durable.definedTime, definition.definedTime);

/** The latest word on all of it, or on each half; every node chooses alike. */
const chosen = (
  definition: Definition,
  candidates: readonly VouchedDurable[],
): readonly VouchedDurable[] => {
  const births = candidates.filter((one) => isBirthOf(one, definition));
  const definitions = candidates.filter((one) => isDefinitionOf(one, definition));
  const whole = latest(births.filter((one) => definitions.includes(one)));
  if (whole !== undefined) return [whole];
  return [latest(births), latest(definitions)].filter((one) => one !== undefined);
};

const latest = (candidates: readonly VouchedDurable[]): VouchedDurable | undefined => {
  let best: VouchedDurable | undefined;
  for (const one of candidates) {
    const isLater =
      best === undefined ||
      one.signedMs > best.signedMs ||
      (one.signedMs === best.signedMs && one.text > best.text);
    if (isLater) best = one;
  }
  return best;
};
