/**
 * The latest life this node has seen of every peer: how a restored or copied folder is noticed, by both sides.
 *
 * A peer is told what is known of it here. When that is none of its own lives, it jumps above it. From then on
 * it says for ever which epoch it jumped above; who hears that for the first time must forget what it handled of
 * the peer's messages, because their positions may have been given twice.
 *
 * Bound: `max` peers, of which the one that changed longest ago goes first. Source: DESIGN section 5.
 */
import { sameBytes } from "../../core/session.ts";
import type { Identity } from "../../wire/handshake.ts";

export type KnownLife = Pick<Identity, "epoch" | "nonce" | "jumped">;

/** Lives, and places, remembered for each peer there may be. */
export const KNOWN_PER_PEER = 4;

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

  /** Another start of it was met last. */
  knowsOther({ nodeId, nonce }: Identity): boolean {
    const known = this.#lives.get(nodeId);
    return known !== undefined && !sameBytes(known.nonce, nonce);
  }

  /** It jumped since it was met: its positions may name other messages than they did. */
  isAstray({ nodeId, jumped }: Identity): boolean {
    return jumped > (this.#lives.get(nodeId)?.jumped ?? 0);
  }

  /** The peer has heard what is known of it, and has a session. True when that is new. */
  met(identity: Identity): boolean {
    const { nodeId, epoch, nonce, jumped } = identity;
    const known = this.#lives.get(nodeId);
    if (known !== undefined && known.epoch >= epoch && !this.isAstray(identity)) return false;
    this.#lives.delete(nodeId);
    for (const oldest of this.#lives.keys()) {
      if (this.#lives.size < this.#max) break;
      this.#lives.delete(oldest);
    }
    this.#lives.set(nodeId, { epoch, nonce, jumped });
    return true;
  }
}
