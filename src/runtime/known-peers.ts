/**
 * The highest epoch this node has seen of every peer, on disk: how a restored or copied folder is noticed.
 *
 * Bound: `max` peers; beyond it new ones are not remembered. Rows: node id -> JSON.
 */
import type { Journal } from "./journal/journal.ts";
import { compositeKey, prefixEnd } from "./journal/keys.ts";
import { PendingRows } from "./journal/pending-rows.ts";
import type { KnownLife } from "./link/known-lives.ts";

type Row = {
  readonly nodeId: string;
  readonly epoch: number;
  readonly nonce: string;
  /** Absent in rows of the first version. */
  readonly jumped?: number;
  readonly atMs: number;
};

const SCAN_MAX = 4_096;

export class KnownPeers {
  readonly #journal: Journal;
  readonly #rows: PendingRows;
  readonly #max: number;
  readonly #names = new Set<string>();

  constructor(journal: Journal, max: number) {
    this.#journal = journal;
    this.#rows = new PendingRows("directory", journal.committer, journal);
    this.#max = max;
  }

  each(visit: (nodeId: string, life: KnownLife) => void): void {
    const from = compositeKey("peer");
    const to = prefixEnd(from);
    const bounds = to === undefined ? { from } : { from, to };
    for (const { value } of this.#journal.scan("directory", { ...bounds, limit: SCAN_MAX })) {
      const row = JSON.parse(Buffer.from(value).toString()) as Row;
      this.#names.add(row.nodeId);
      const { nodeId, epoch, nonce, jumped = 0 } = row;
      visit(nodeId, { epoch, nonce: Buffer.from(nonce, "hex"), jumped });
    }
  }

  remember(nodeId: string, { epoch, nonce, jumped }: KnownLife, atMs: number): void {
    if (!this.#names.has(nodeId) && this.#names.size >= this.#max) return;
    this.#names.add(nodeId);
    const row: Row = { nodeId, epoch, nonce: Buffer.from(nonce).toString("hex"), jumped, atMs };
    this.#rows.set(compositeKey("peer", nodeId), Buffer.from(JSON.stringify(row)));
  }
}
