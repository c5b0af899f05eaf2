/**
 * Who else there is, beyond what discoveries say: nodes tell each other whom they are linked with, and remember
 * across restarts whom they met and where.
 *
 * Problem: a node that knows one seed must find everybody; a mesh without any discovery must find together again
 * after all of it was down; and whoever tells may be wrong, out of date or lying. Approach: a node speaks only of
 * nodes it is linked with at that moment, so that nothing stale goes round: a newcomer is told of them, they are told
 * of it, and now and then one is told again. What is told is a hint to the dialler, below every discovery. Places
 * are kept on disk, and dialled at the next start.
 *
 * Bounds: NEWCOMER_MAX records for one that comes, TOLD_MAX that hear of it, NEWCOMER_MAX again each `REFRESH_MS` to
 * one; what that misses in a large mesh, later refreshes bring. The dialler bounds what is believed.
 * Source: introductions of SWIM (DSN 2002), section 3.2, with links in place of a broadcast.
 */
import { isHostLocal, isWildcard, parsePeerAddress } from "../core/peer-address.ts";
import type { Timer } from "../ports/clock.ts";
import {
  DIRECTORY_ADDRESSES_MAX,
  DIRECTORY_RECORDS_MAX,
  type DirectoryFrame,
  type NodeRecord,
} from "../wire/directory.ts";
import { DurableEntries } from "./durable-entries.ts";
import type { Environment } from "./environment.ts";
import type { Journal } from "./journal/journal.ts";
import { KnownPeers } from "./known-peers.ts";
import { asReached } from "./link/better-addresses.ts";
import { KNOWN_PER_PEER } from "./link/known-lives.ts";
import type { Link } from "./link/link.ts";
import type { LinkTable } from "./link/link-table.ts";
import type { Peer } from "./link/peer.ts";
import type { Membership } from "./membership.ts";
import type { Producer } from "./producer/producer.ts";

/** News gathers for so long. */
const TELL_MS = 20;
const REFRESH_MS = 10_000;
const NEWCOMER_MAX = 64;
const TOLD_MAX = 16;
/** Remembered nodes dialled at start; each tells of the rest. */
const KNOWN_MAX = 64;
const ID_CHARS_MAX = 64;

export class Directory {
  readonly #env: Environment;
  readonly #selfId: string;
  readonly #links: LinkTable;
  readonly #known: KnownPeers;
  readonly #entries: DurableEntries;
  readonly #membership: Membership;
  /** Of whom a link's peer is to hear. */
  readonly #news = new Map<Link, Set<string>>();
  #newsTimer: Timer | undefined;
  #refreshTimer: Timer | undefined;

  constructor(
    env: Environment,
    journal: Journal,
    links: LinkTable,
    producer: Producer,
    membership: Membership,
  ) {
    this.#env = env;
    this.#membership = membership;
    this.#entries = new DurableEntries(env.hash, producer, () =>
      this.#others("").map(({ link }) => link),
    );
    this.#selfId = journal.nodeId;
    this.#links = links;
    this.#known = new KnownPeers(journal, env.limits.peersMax * KNOWN_PER_PEER);
    this.#known.eachLife((nodeId, life) => links.known.restore(nodeId, life));
  }

  /** Dials whom earlier lives of this node met. */
  start(): void {
    for (const { nodeId, addresses } of this.#known.places(KNOWN_MAX)) {
      this.#links.introduced(nodeId, addresses, "known");
    }
    this.#refreshLater();
  }

  stop(): void {
    for (const timer of [this.#newsTimer, this.#refreshTimer]) {
      if (timer !== undefined) this.#env.clock.clearTimer(timer);
    }
    this.#news.clear();
  }

  /** A link with another node is up. */
  up(link: Link, peer: Peer): void {
    if (peer.nodeId === this.#selfId) return;
    const others = this.#others(peer.nodeId);
    this.#entries.compare(link);
    this.#tell(link, this.#some(others, NEWCOMER_MAX));
    for (const other of this.#some(others, TOLD_MAX)) this.#tell(other.link, [peer]);
  }

  down(link: Link): void {
    this.#news.delete(link);
  }

  /** The peer of this link was met: if it is the latest life seen of it, that and its place are kept. */
  remember(link: Link): void {
    const { nodeId, service } = link.peer;
    const life = this.#links.known.of(nodeId);
    if (life === undefined || this.#links.known.knowsOther(link.peer)) return;
    const claim = this.#membership.claimOf(nodeId);
    const incarnation = claim?.epoch === life.epoch ? claim.incarnation : 0;
    const place = { service, addresses: placesOf(link, true), incarnation };
    this.#known.remember(nodeId, life, place, this.#env.clock.wallMs());
  }

  /** What is remembered of the refutations of this life of a peer. */
  incarnationOf({ nodeId, epoch }: Pick<Peer, "nodeId" | "epoch">): number {
    return this.#known.incarnationOf(nodeId, epoch);
  }

  told(link: Link, frame: DirectoryFrame): void {
    this.#entries.told(link, frame);
    const near = isNear(link);
    for (const { nodeId, epoch, addresses } of frame.nodes) {
      if (nodeId === "" || nodeId.length > ID_CHARS_MAX || nodeId === this.#selfId) continue;
      if (epoch < (this.#links.known.of(nodeId)?.epoch ?? 0)) continue; // of a life that is over
      const usable = dialable(addresses, near);
      if (usable.length > 0) this.#links.introduced(nodeId, usable, "told");
    }
  }

  // --- inside --------------------------------------------------------------------------------

  #others(nodeId: string): (Peer & { link: Link })[] {
    const others: (Peer & { link: Link })[] = [];
    for (const peer of this.#links.live()) {
      if (peer.nodeId !== nodeId && peer.nodeId !== this.#selfId) others.push(peer);
    }
    return others;
  }

  /** All of them, or as many at random. */
  #some<Item>(items: Item[], count: number): Item[] {
    for (let at = 0; items.length > count && at < count; at++) {
      const other = at + Math.floor(this.#env.random.fraction() * (items.length - at));
      [items[at], items[other]] = [items[other] as Item, items[at] as Item];
    }
    return items.slice(0, count);
  }

  #tell(link: Link, peers: readonly Pick<Peer, "nodeId">[]): void {
    if (peers.length === 0) return;
    const news = this.#news.get(link) ?? new Set();
    this.#news.set(link, news);
    for (const { nodeId } of peers) news.add(nodeId);
    this.#newsTimer ??= this.#env.clock.setTimer(TELL_MS, () => {
      this.#newsTimer = undefined;
      this.#send();
    });
  }

  #send(): void {
    for (const [link, news] of this.#news) {
      const near = isNear(link);
      const nodes: NodeRecord[] = [];
      for (const nodeId of news) {
        const peer = this.#links.peers.get(nodeId);
        if (peer?.link?.isUp !== true) continue;
        const addresses = placesOf(peer.link, near);
        const { service, epoch } = peer;
        if (addresses.length > 0) nodes.push({ nodeId, service, epoch, addresses });
      }
      const rest = { durable: [], ended: [], signed: [], entriesHash: 0, asks: false };
      for (let at = 0; at < nodes.length; at += DIRECTORY_RECORDS_MAX) {
        const part = nodes.slice(at, at + DIRECTORY_RECORDS_MAX);
        link.send({ type: "directory", session: link.session, nodes: part, ...rest });
      }
    }
    this.#news.clear();
  }

  #refreshLater(): void {
    const { clock, random } = this.#env;
    this.#refreshTimer = clock.setTimer(REFRESH_MS * (0.75 + 0.5 * random.fraction()), () => {
      const [peer] = this.#some(this.#others(""), 1);
      if (peer !== undefined) {
        this.remember(peer.link);
        this.#tell(peer.link, this.#some(this.#others(peer.nodeId), NEWCOMER_MAX));
        this.#entries.compare(peer.link);
      }
      this.#refreshLater();
    });
  }
}

/** Where the peer of this link is, as seen from here: a wildcard is the host that the link leads to. */
const placesOf = (link: Link, near: boolean): readonly string[] =>
  dialable(asReached(link.peer.addresses, link.address), near);

/** Whether the peer is on this host: what only processes of one host can dial means something to it. */
const isNear = (link: Link): boolean => {
  const { addresses } = link.peer;
  return isLocal(link.address) || (addresses.length > 0 && addresses.every(isLocal));
};

const isLocal = (address: string): boolean => {
  const parsed = parsePeerAddress(address);
  return parsed !== undefined && isHostLocal(parsed);
};

/** Those that can be dialled from another place; `near`: of the same host. */
const dialable = (addresses: readonly string[], near: boolean): readonly string[] => {
  const usable: string[] = [];
  for (const address of addresses) {
    const parsed = parsePeerAddress(address);
    if (parsed === undefined || isWildcard(parsed)) continue;
    if (near || !isHostLocal(parsed)) usable.push(address);
  }
  return usable.slice(0, DIRECTORY_ADDRESSES_MAX);
};
