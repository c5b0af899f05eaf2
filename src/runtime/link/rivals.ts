/**
 * A second link with a peer that has one.
 *
 * Problem: a peer that restarted and a copy of a live peer's folder knock alike, and a copy may have the higher
 * epoch. If it replaced the peer, the peer would jump above it and replace it in turn, for ever, and with every turn
 * everybody would forget what they handled. Approach: another start of a peer takes the link only from one that is
 * dead. While that is not known it is told to come again, which it does within a heartbeat or two; it is refused as
 * a duplicate when the one that has the link has answered a heartbeat that was sent after it knocked.
 *
 * Invariants: a start is called a duplicate only when two were alive at one time; one that is silent loses its
 * link. Bound: one question a link.
 */
import {
  judgeProbe,
  judgeRival,
  type Rejection,
  type Rival,
  sameBytes,
} from "../../core/session.ts";
import type { Environment } from "../environment.ts";
import type { Link } from "./link.ts";

type Asked = {
  /** Of the start that knocked last. */
  readonly nonce: Uint8Array;
  /** The first heartbeat that was sent after that. */
  readonly heartbeat: number;
  /** When the first one knocked. */
  readonly sinceMs: number;
};

/** Heartbeats that the start that has the link may be silent. */
const SILENT_BEATS = 2;

export class Rivals {
  readonly #env: Environment;
  readonly #asked = new Map<Link, Asked>();

  constructor(env: Environment) {
    this.#env = env;
  }

  /** Why the fresh connection is refused; undefined: it takes the place of the existing link. */
  judge(localId: string, existing: Link, fresh: Rival): Rejection | undefined {
    const { peer, dialled } = existing;
    const verdict = judgeRival(localId, peer.nodeId, { ...peer, dialled }, fresh);
    if (verdict === "replace") return undefined;
    if (verdict === "keep") return { code: "ALREADY_LINKED", message: "a link is up" };
    return this.#probe(existing, fresh.nonce);
  }

  /** The link is gone. */
  ended(link: Link): void {
    this.#asked.delete(link);
  }

  #probe(existing: Link, nonce: Uint8Array): Rejection | undefined {
    const nowMs = this.#env.clock.monotonicMs();
    const before = this.#asked.get(existing);
    const isKnown = before !== undefined && sameBytes(before.nonce, nonce);
    const { next, answered } = existing.beats;
    const asked = isKnown ? before : { nonce, heartbeat: next, sinceMs: before?.sinceMs ?? nowMs };
    const heard = { answered, silentMs: existing.silentMs(), isStalled: existing.stalled };
    const patienceMs = SILENT_BEATS * this.#env.times.heartbeatMs;
    const verdict = judgeProbe(asked, heard, nowMs, patienceMs);
    if (verdict === "open") {
      this.#asked.set(existing, asked);
      const message = "another start of this node has a link, and is asked whether it lives";
      return { code: "ALREADY_LINKED", message };
    }
    this.#asked.delete(existing);
    if (verdict === "dead") return undefined;
    const message = `two processes run as node ${existing.peer.nodeId}; the later is refused`;
    return { code: "DUPLICATE_NODE", message };
  }
}
