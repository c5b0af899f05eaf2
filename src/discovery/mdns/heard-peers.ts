/**
 * What is done with what was heard of peers: remembered, told, and where it is about this node itself, noticed.
 *
 * Invariant: after `stop` nothing is told.
 */
import type { DiscoveryContext, DiscoveryEvents } from "../../ports/discovery.ts";
import { PeerCache, type RecordOrigin } from "./peer-cache.ts";
import type { PeerGoodbye, PeerRecord } from "./peer-records.ts";

/** Above this many known nodes, shared answers are spread over 100 ms. */
const CROWDED_NODES = 8;

export class HeardPeers {
  readonly cache = new PeerCache();
  readonly #context: DiscoveryContext;
  readonly #events: DiscoveryEvents;
  readonly #source: string;
  readonly #ownAddresses: () => Iterable<string>;
  #stopped = false;

  constructor(
    context: DiscoveryContext,
    events: DiscoveryEvents,
    source: string,
    ownAddresses: () => Iterable<string>,
  ) {
    this.#context = context;
    this.#events = events;
    this.#source = source;
    this.#ownAddresses = ownAddresses;
  }

  get isCrowded(): boolean {
    return this.cache.nodeCount > CROWDED_NODES;
  }

  stop(): void {
    this.#stopped = true;
  }

  /** True when it was not known, or what it says of itself has changed. */
  alive(record: PeerRecord, origin: RecordOrigin, nowMs: number): boolean {
    const { self, random, count } = this.#context;
    if (record.mesh !== self.mesh || this.#stopped) return false;
    if (record.nodeId === self.nodeId) {
      if (!this.#isOwn(record)) count("discovery.duplicateId");
      return false;
    }
    const learned = this.cache.learn(record, origin, nowMs, random.fraction());
    if (learned === "full") {
      count("discovery.full");
      return false;
    }
    // Said again at each refresh, so that a directory that gave a peer up tries it again.
    const { nodeId, epoch, addresses } = record;
    this.#events.found({ nodeId, epoch, addresses, source: this.#source });
    return learned !== "refreshed";
  }

  /** "contradict": it was said of this node, which lives. */
  goodbye(said: PeerGoodbye, source: string): "contradict" | undefined {
    const { self, count } = this.#context;
    if (this.#stopped || (said.mesh !== undefined && said.mesh !== self.mesh)) return undefined;
    if (said.nodeId !== self.nodeId) {
      if (this.cache.goodbye(said, source)) this.#lost(said.nodeId);
      return undefined;
    }
    if (said.epoch !== undefined && said.epoch < self.epoch) return undefined;
    count("discovery.forgedGoodbye");
    return "contradict";
  }

  /** Drops what ran out. */
  expire(nowMs: number): void {
    for (const nodeId of this.cache.expire(nowMs)) this.#lost(nodeId);
  }

  #lost(nodeId: string): void {
    if (!this.#stopped) this.#events.lost(nodeId);
  }

  /** Multicast comes back to its sender; anything else under our id is another node. */
  #isOwn(record: PeerRecord): boolean {
    if (record.epoch !== this.#context.self.epoch) return false;
    const own = new Set(this.#ownAddresses());
    return record.addresses.every((address) => own.has(address));
  }
}
