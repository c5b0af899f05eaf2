/**
 * Durable subscriptions as entries of the directory: every node comes to know all of them, also those whose members
 * are away, so that a producer that never met a member owes it what it accepts.
 *
 * Approach: two nodes compare one hash of all their entries when they are linked, and now and then again; when it
 * differs each sends all it has. Merging is idempotent and the order does not matter: the older birth and the
 * newer definition win, an end beats what was born before it.
 *
 * Bounds: `subscriptionsMax` entries, and those of `Tombstones`. Past them two nodes stay apart and send each other
 * all they have at each comparison.
 */
import type { Hash } from "../ports/hash.ts";
import type { SubscriptionRecord } from "../wire/declare.ts";
import { DIRECTORY_RECORDS_MAX, type DirectoryFrame } from "../wire/directory.ts";
import type { HybridTime } from "../wire/hybrid-time.ts";
import type { Link } from "./link/link.ts";
import { recordOf } from "./producer/definitions.ts";
import type { Producer } from "./producer/producer.ts";
import { subscriptionId } from "./subscription-id.ts";

type Entries = Pick<DirectoryFrame, "durable" | "ended">;

export class DurableEntries {
  readonly #hash: Hash;
  readonly #producer: Producer;

  constructor(hash: Hash, producer: Producer) {
    this.#hash = hash;
    this.#producer = producer;
  }

  /** Asks for what the peer knows and this node does not. */
  compare(link: Link): void {
    this.#send(link, { durable: [], ended: [] }, this.#hashOf(this.#all()));
  }

  told(link: Link, frame: DirectoryFrame): void {
    const { members } = this.#producer;
    const { access } = this.#producer.env;
    for (const ended of frame.ended) {
      if (access === undefined || access.maySpeakFor(link, ended)) members.hearEnded(ended);
    }
    for (const record of frame.durable) members.hear(record);
    if (!frame.asks) return;
    const all = this.#all();
    const hash = this.#hashOf(all);
    if (hash === frame.entriesHash) return;
    // The answer to an answer ends it.
    const isAnswer = frame.durable.length + frame.ended.length > 0;
    this.#sendAll(link, all, isAnswer ? undefined : hash);
  }

  #sendAll(link: Link, { durable, ended }: Entries, hash: number | undefined): void {
    const most = Math.max(durable.length, ended.length);
    for (let at = 0; at < most; at += DIRECTORY_RECORDS_MAX) {
      const to = at + DIRECTORY_RECORDS_MAX;
      const part = { durable: durable.slice(at, to), ended: ended.slice(at, to) };
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
    const durable: SubscriptionRecord[] = [];
    for (const { definition } of this.#producer.table.all()) {
      if (definition.durable && definition.group !== "") durable.push(recordOf(definition));
    }
    return { durable, ended: [...this.#producer.members.tombstones.all()] };
  }

  #hashOf({ durable, ended }: Entries): number {
    let hash = 0;
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

const text = ({ ms, counter }: HybridTime): string => `${ms}.${counter}`;
