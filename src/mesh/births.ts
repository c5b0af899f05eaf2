/**
 * When a subscription was born: kept on disk for durable ones, so that a restart does not make them younger;
 * taken from other members where they are known. One that is not durable and has no members here is born now: what
 * this node's disk says of it is of an earlier life, and producers may have given it up since.
 */
import type { HybridTime } from "../core/hybrid-clock.ts";
import { compositeKey } from "../runtime/journal/keys.ts";
import { PendingRows } from "../runtime/journal/pending-rows.ts";
import type { NodeRuntime } from "../runtime/node-runtime.ts";

export type Birth = { readonly time: HybridTime; readonly creator: string };

export class Births {
  readonly #runtime: NodeRuntime;
  readonly #rows: PendingRows;

  constructor(runtime: NodeRuntime) {
    this.#runtime = runtime;
    this.#rows = new PendingRows("directory", runtime.journal.committer, runtime.journal);
  }

  of(id: string, durable: boolean, now: HybridTime): Birth {
    const key = compositeKey("birth", id);
    const stored = this.#rows.get(key);
    if (stored !== undefined) return JSON.parse(Buffer.from(stored).toString()) as Birth;
    const state = this.#runtime.producer.table.get(id);
    const known = state?.definition;
    const isOver = known === undefined || (!known.durable && state?.outlets.size === 0);
    const birth =
      isOver || known.group === ""
        ? { time: now, creator: this.#runtime.journal.nodeId }
        : { time: known.birthTime, creator: known.birthCreator };
    if (durable) this.#rows.set(key, Buffer.from(JSON.stringify(birth)));
    return birth;
  }

  forget(id: string): void {
    this.#rows.set(compositeKey("birth", id), undefined);
  }
}
