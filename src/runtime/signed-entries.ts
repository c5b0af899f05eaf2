/**
 * Whose word an entry of the directory is, and whether it counts.
 *
 * Problem: durable subscriptions and their ends are told by nodes that have nothing to do with them, long after whoever
 * declared them is gone, and a member must not be able to make up any. Approach: a member signs what it declares or
 * ends; the bytes, its certificate and its signature go round together. An entry counts when the chain is one of this
 * mesh and was valid at the time the entry states, nothing in it is revoked now, and the certificate allows to take all
 * that the subscription selects; ends also count of who has full administration. A signature outlives its certificate by
 * KEPT_MS, so that a subscription whose members are all away is still told to newcomers; members that are there
 * sign anew before half of that has passed.
 *
 * Invariants: nothing is told on that would not be believed here; each entry is verified once. Bounds: CACHE_MAX
 * verified entries, VERIFIED a second from a link, the rest waits for the next comparison.
 */
import { RateLimiter, type RatePolicy } from "../core/rate-limiter.ts";
import { CLOCK_SKEW_MS, type PeerIdentity, type Security } from "../ports/security.ts";
import type { SubscriptionRecord } from "../wire/declare.ts";
import {
  decodeBody,
  decodeSigned,
  type EntryBody,
  encodeBody,
  encodeSigned,
  type SignedEntry,
} from "../wire/signed-entry.ts";
import { WireError } from "../wire/wire-error.ts";
import type { Environment } from "./environment.ts";
import type { Link } from "./link/link.ts";

/** An entry, and who vouches for it. */
export type Vouched = EntryBody & {
  /** As it is kept in rows, and one entry told from another. */
  readonly text: string;
  readonly signed: SignedEntry;
  readonly signer: PeerIdentity;
};

export type VouchedDurable = Vouched & { readonly durable: SubscriptionRecord };

const DAY_MS = 24 * 3_600_000;
/** A signature counts for so long after its certificate has ended; revocations are kept as long. */
const KEPT_MS = 30 * DAY_MS;
const CACHE_MAX = 8_192;
const VERIFIED: RatePolicy = { perSecond: 200, burst: 1_024 };
const CONTEXT = Buffer.from("meshbus entry v1\0");

export class SignedEntries {
  readonly #env: Environment;
  readonly #security: Security;
  readonly #verified = new Map<string, Vouched>();
  readonly #rates = new WeakMap<Link, RateLimiter>();

  constructor(env: Environment, security: Security) {
    this.#env = env;
    this.#security = security;
  }

  /** This node's word. */
  sign(what: Pick<EntryBody, "durable"> | Pick<EntryBody, "ended">): Vouched {
    const body = { ...what, signedMs: Math.floor(this.#env.clock.wallMs()) };
    const { self } = this.#security;
    const entry = encodeBody(body);
    const signature = this.#security.sign(Buffer.concat([CONTEXT, entry]));
    return this.#keep({ entry, chain: self.chain, signature }, body, self);
  }

  /** What a peer tells; undefined: it does not count, which is counted. */
  heard(link: Link, told: SignedEntry): Vouched | undefined {
    const text = textOf(told);
    const known = this.#verified.get(text);
    if (known !== undefined) return this.counts(known) ? known : undefined;
    if (this.#rateOf(link).admit(this.#env.clock.monotonicMs()) > 0) {
      this.#env.counters.count("directory.limited");
      return undefined;
    }
    const vouched = this.#read(text, true);
    if (typeof vouched !== "string") return vouched;
    this.#env.counters.count("directory.refused");
    const asked = { who: link.proven, action: "subscribe", subject: "a directory entry" } as const;
    this.#security.audit({ ...asked, allowed: false, why: vouched });
    return undefined;
  }

  /** An entry of this node's own disk, which it verified when it came. */
  kept(text: string): Vouched | undefined {
    const known = this.#verified.get(text) ?? this.#read(text, false);
    return typeof known === "string" ? undefined : known;
  }

  /** Whether it is believed now: its signer may have been revoked, or be gone for too long. */
  counts({ signer, signedMs }: Vouched): boolean {
    const nowMs = this.#env.clock.wallMs();
    return (
      nowMs <= signer.notAfterMs + KEPT_MS && this.#security.recheck(signer, signedMs) === undefined
    );
  }

  /** Whether who is there should sign it anew. */
  isAgeing({ signer }: Vouched): boolean {
    return this.#env.clock.wallMs() > signer.notAfterMs + KEPT_MS / 2;
  }

  // --- inside --------------------------------------------------------------------------------

  #read(text: string, isForeign: boolean): Vouched | string {
    try {
      const signed = decodeSigned(Buffer.from(text, "base64"));
      const body = decodeBody(signed.entry);
      const nowMs = this.#env.clock.wallMs();
      if (body.signedMs > nowMs + CLOCK_SKEW_MS) return "it is signed at a time to come";
      const signer = this.#security.verify(signed.chain, body.signedMs);
      if ("code" in signer) return signer.message;
      if (nowMs > signer.notAfterMs + KEPT_MS) return "its signer's certificate ended long ago";
      if (isForeign && !this.#isSigned(signed, signer)) return "its signature is another's";
      return mayVouch(signer, body) ?? this.#keep(signed, body, signer);
    } catch (error) {
      if (error instanceof WireError) return error.reason;
      throw error;
    }
  }

  #isSigned({ entry, signature }: SignedEntry, signer: PeerIdentity): boolean {
    return this.#security.verifySignature(signer, Buffer.concat([CONTEXT, entry]), signature);
  }

  #keep(signed: SignedEntry, body: EntryBody, signer: PeerIdentity): Vouched {
    const text = textOf(signed);
    const vouched = { ...body, text, signed, signer };
    if (this.#verified.size >= CACHE_MAX) {
      const [oldest] = this.#verified.keys();
      if (oldest !== undefined) this.#verified.delete(oldest);
    }
    this.#verified.set(text, vouched);
    return vouched;
  }

  #rateOf(link: Link): RateLimiter {
    const known = this.#rates.get(link) ?? new RateLimiter(VERIFIED);
    this.#rates.set(link, known);
    return known;
  }
}

const textOf = (signed: SignedEntry): string =>
  Buffer.from(encodeSigned(signed)).toString("base64");

/** Why the signer's word on this does not count; undefined: it does. */
const mayVouch = (signer: PeerIdentity, { durable, ended }: EntryBody): string | undefined => {
  const named = durable ?? ended;
  if (named === undefined || named.role === "queries") return "it is of no subscription";
  if (ended !== undefined && signer.may("admin", "full")) return undefined;
  const action = named.role === "commands" ? "handle" : "subscribe";
  if (signer.mayOverlap(action, named.pattern) === "all") return undefined;
  return `the certificate of ${signer.service} does not allow to ${action} "${named.pattern}"`;
};
