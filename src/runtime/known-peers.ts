/**
 * The peers this node has met, on disk: the highest epoch seen of each, by which a restored or copied folder is
 * noticed, and where it was, so that a mesh finds together again without any discovery.
 *
 * Bound: `max` peers; beyond it new ones are not remembered. Rows: node id -> JSON.
 */
import type { Journal } from "./journal/journal.ts";
import { compositeKey, prefixEnd } from "./journal/keys.ts";
import { PendingRows } from "./journal/pending-rows.ts";
import type { KnownLife } from "./link/known-lives.ts";

type Place = {
  readonly service: string;
  readonly addresses: readonly string[];
  /** How often this life of it has refuted that it is dead, as far as is known. */
  readonly incarnation: number;
};

type Row = Partial<Place> & {
  readonly nodeId: string;
  readonly epoch: number;
  readonly nonce: string;
  /** Absent in rows of the first version, as are service, addresses, incarnation and inLife. */
  readonly jumped?: number;
  /** The epoch of this node in which the peer was met last; no clock is trusted for that. */
  readonly inLife?: number;
  readonly atMs: number;
};

const SCAN_MAX = 4_096;
/** A row says again so often that its peer is there. */
const AGAIN_MS = 3_600_000;

export class KnownPeers {
  readonly #disk: PendingRows;
  readonly #life: number;
  readonly #max: number;
  readonly #rows = new Map<string, Row>();

  constructor(journal: Journal, max: number) {
    this.#disk = new PendingRows("directory", journal.committer, journal);
    this.#life = journal.epoch;
    this.#max = max;
    const from = compositeKey("peer");
    const to = prefixEnd(from);
    const bounds = to === undefined ? { from } : { from, to };
    for (const { value } of journal.scan("directory", { ...bounds, limit: SCAN_MAX })) {
      const row = JSON.parse(Buffer.from(value).toString()) as Row;
      this.#rows.set(row.nodeId, row);
    }
  }

  eachLife(visit: (nodeId: string, life: KnownLife) => void): void {
    for (const { nodeId, epoch, nonce, jumped = 0 } of this.#rows.values()) {
      visit(nodeId, { epoch, nonce: Buffer.from(nonce, "hex"), jumped });
    }
  }

  /** Where peers were, those met last first. */
  places(count: number): readonly { nodeId: string; addresses: readonly string[] }[] {
    return [...this.#rows.values()]
      .filter(({ addresses = [] }) => addresses.length > 0)
      .sort((a, b) => (b.inLife ?? 0) - (a.inLife ?? 0) || b.atMs - a.atMs)
      .slice(0, count)
      .map(({ nodeId, addresses = [] }) => ({ nodeId, addresses }));
  }

  /** Of this life of the peer; 0 where nothing is known of it. */
  incarnationOf(nodeId: string, epoch: number): number {
    const row = this.#rows.get(nodeId);
    return row?.epoch === epoch ? (row.incarnation ?? 0) : 0;
  }

  /** The peer was met, and is there. */
  remember(nodeId: string, { epoch, nonce, jumped }: KnownLife, place: Place, atMs: number): void {
    const known = this.#rows.get(nodeId);
    if (known === undefined && this.#rows.size >= this.#max) return;
    const hex = Buffer.from(nonce).toString("hex");
    const isSame = known?.nonce === hex && known.epoch === epoch && known.jumped === jumped;
    const isThere =
      known?.addresses?.join() === place.addresses.join() &&
      known.incarnation === place.incarnation;
    const isFresh = known?.inLife === this.#life && Math.abs(atMs - known.atMs) < AGAIN_MS;
    if (isSame && isThere && isFresh) return;
    const row: Row = { nodeId, epoch, nonce: hex, jumped, inLife: this.#life, atMs, ...place };
    this.#rows.set(nodeId, row);
    this.#disk.set(compositeKey("peer", nodeId), Buffer.from(JSON.stringify(row)));
  }
}
