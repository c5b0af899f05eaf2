/**
 * Durable subscriptions as entries of the directory: every node comes to know all of them, also those whose members
 * are away, so that a producer that never met a member owes it what it accepts.
 *
 * Approach: two nodes compare one hash of all their entries when they are linked, and now and then again; when it
 * differs each sends all it has. Merging is idempotent and the order does not matter: the older birth and the
 * newer definition win, an end beats what was born before it.
 *
 * With keys each entry is the word of a member (`signed-entries.ts`), and nothing else is told or believed.
 *
 * Bounds: `subscriptionsMax` entries, and those of `Tombstones`. Past them two nodes stay apart and send each other
 * all they have at each comparison.
 */
import type { Hash } from "../ports/hash.ts";
import type { SubscriptionRecord } from "../wire/declare.ts";
import { DIRECTORY_RECORDS_MAX, type DirectoryFrame } from "../wire/directory.ts";
import type { HybridTime } from "../wire/hybrid-time.ts";
import type { SignedEntry } from "../wire/signed-entry.ts";
import type { Link } from "./link/link.ts";
import { recordOf } from "./producer/definitions.ts";
import type { Producer } from "./producer/producer.ts";
import type { Vouchers } from "./producer/vouchers.ts";
import type { Vouched } from "./signed-entries.ts";
import { subscriptionId } from "./subscription-id.ts";

type Entries = Pick<DirectoryFrame, "durable" | "ended" | "signed">;
const NOTHING: Entries = { durable: [], ended: [], signed: [] };
/** Of signed entries in a frame. */
const SIGNED_BYTES = 65_536;

export class DurableEntries {
  readonly #hash: Hash;
  readonly #producer: Producer;
  readonly #vouchers: Vouchers | undefined;

  /** @param links those to tell at once of what this node has signed */
  constructor(hash: Hash, producer: Producer, links: () => Iterable<Link>) {
    this.#hash = hash;
    this.#producer = producer;
    this.#vouchers = producer.members.vouchers;
    if (this.#vouchers === undefined) return;
    this.#vouchers.onSigned = ({ signed }) => {
      for (const link of links()) this.#send(link, { ...NOTHING, signed: [signed] }, undefined);
    };
  }

  /** Asks for what the peer knows and this node does not. */
  compare(link: Link): void {
    this.#producer.members.vouch();
    this.#send(link, NOTHING, this.#hashOf(this.#all()));
  }

  told(link: Link, frame: DirectoryFrame): void {
    const { members, env } = this.#producer;
    const unsigned = frame.durable.length + frame.ended.length;
    if (this.#vouchers === undefined) {
      for (const ended of frame.ended) members.hearEnded(ended);
      for (const record of frame.durable) members.hear(record);
    } else if (unsigned > 0) env.counters.count("directory.unsigned", unsigned);
    for (const one of frame.signed) this.#heard(link, one);
    if (!frame.asks) return;
    const all = this.#all();
    const hash = this.#hashOf(all);
    if (hash === frame.entriesHash) return;
    // The answer to an answer ends it.
    const isAnswer = unsigned + frame.signed.length > 0;
    this.#sendAll(link, all, isAnswer ? undefined : hash);
  }

  #heard(link: Link, told: SignedEntry): void {
    const { members } = this.#producer;
    const vouched = this.#vouchers?.entries.heard(link, told);
    if (vouched?.durable !== undefined) members.hear(vouched.durable, vouched);
    else if (vouched?.ended !== undefined) members.hearEnded(vouched.ended, vouched);
  }

  #sendAll(link: Link, { durable, ended, signed }: Entries, hash: number | undefined): void {
    if (this.#vouchers !== undefined) {
      const parts = partsOf(signed);
      for (const [at, part] of parts.entries()) {
        const isLast = at === parts.length - 1;
        this.#send(link, { ...NOTHING, signed: part }, isLast ? hash : undefined);
      }
      return;
    }
    const most = Math.max(durable.length, ended.length);
    for (let at = 0; at < most; at += DIRECTORY_RECORDS_MAX) {
      const to = at + DIRECTORY_RECORDS_MAX;
      const part = { ...NOTHING, durable: durable.slice(at, to), ended: ended.slice(at, to) };
      this.#send(link, part, to >= most ? hash : undefined);
    }
  }

  /** With a hash it asks. */
  #send(link: Link, entries: Entries, hash: number | undefined): void {
    const { session } = link;
    const asked = { entriesHash: hash ?? 0, asks: hash !== undefined };
    link.send({ type: "directory", session, nodes: [], ...entries, ...asked });
  }

  #all(): Entries {
    if (this.#vouchers !== undefined) {
      return { ...NOTHING, signed: this.#vouched(this.#vouchers).map(({ signed }) => signed) };
    }
    const durable: SubscriptionRecord[] = [];
    for (const { definition } of this.#producer.table.all()) {
      if (definition.durable && definition.group !== "") durable.push(recordOf(definition));
    }
    return { ...NOTHING, durable, ended: [...this.#producer.members.tombstones.all()] };
  }

  /** What would be believed, here as elsewhere. */
  #vouched(vouchers: Vouchers): Vouched[] {
    const all: Vouched[] = [];
    for (const state of this.#producer.table.all()) all.push(...vouchers.of(state));
    for (const { signed } of this.#producer.members.tombstones.all()) {
      const vouched = signed === undefined ? undefined : vouchers.entries.kept(signed);
      if (vouched !== undefined && vouchers.entries.counts(vouched)) all.push(vouched);
    }
    return all;
  }

  #hashOf({ durable, ended, signed }: Entries): number {
    let hash = 0;
    for (const { signature } of signed) {
      hash ^= this.#hash.hash32(Buffer.from(signature).toString("base64"));
    }
    for (const record of durable) {
      const { birthTime, birthCreator, definedTime } = record;
      const birth = `${text(birthTime)} ${birthCreator}`;
      hash ^= this.#hash.hash32(`${subscriptionId(record)} ${birth} ${text(definedTime)}`);
    }
    for (const one of ended) {
      hash ^= this.#hash.hash32(`${subscriptionId(one)} ended ${text(one.time)}`);
    }
    return hash >>> 0;
  }
}

/** As many in each as a frame is to hold. */
const partsOf = (signed: readonly SignedEntry[]): SignedEntry[][] => {
  const parts: SignedEntry[][] = [];
  let bytes = SIGNED_BYTES;
  for (const one of signed) {
    const size = one.chain.reduce((sum, { length }) => sum + length, one.entry.length + 128);
    const last = parts.at(-1);
    const isFull = last === undefined || last.length >= DIRECTORY_RECORDS_MAX;
    if (isFull || bytes + size > SIGNED_BYTES) {
      parts.push([one]);
      bytes = size;
    } else {
      last.push(one);
      bytes += size;
    }
  }
  return parts;
};

const text = ({ ms, counter }: HybridTime): string => `${ms}.${counter}`;
