/**
 * The latest life this node has seen of every peer: how a restored or copied folder is noticed, by both sides.
 *
 * A peer that comes with a lower epoch, or with the same and another nonce, is told what is known here, and
 * jumps above it. From then on it says for ever which epoch it jumped above; who hears that for the first time
 * must forget what it handled of the peer's messages, because their positions may have been given twice.
 *
 * Bound: `max` peers, of which the one that changed longest ago goes first. Source: DESIGN section 5.
 */
import type { Identity } from "../../wire/handshake.ts";

export type KnownLife = Pick<Identity, "epoch" | "nonce" | "jumped">;

export class KnownLives {
  readonly #max: number;
  readonly #lives = new Map<string, KnownLife>();

  constructor(max: number) {
    this.#max = max;
  }

  /** What earlier lives of this node saw. */
  restore(nodeId: string, life: KnownLife): void {
    if (this.#lives.size < this.#max) this.#lives.set(nodeId, life);
  }

  of(nodeId: string): KnownLife | undefined {
    return this.#lives.get(nodeId);
  }

  /** A session with the peer is up. `isAstray`: its positions may name other messages than they did. */
  met({ nodeId, epoch, nonce, jumped }: Identity): { isNewer: boolean; isAstray: boolean } {
    const known = this.#lives.get(nodeId);
    const isAstray = jumped > (known?.jumped ?? 0);
    if (known !== undefined && known.epoch >= epoch && !isAstray) {
      return { isNewer: false, isAstray };
    }
    this.#lives.delete(nodeId);
    for (const oldest of this.#lives.keys()) {
      if (this.#lives.size < this.#max) break;
      this.#lives.delete(oldest);
    }
    this.#lives.set(nodeId, { epoch, nonce, jumped });
    return { isNewer: true, isAstray };
  }
}
