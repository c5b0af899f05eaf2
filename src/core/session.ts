/**
 * Who may have a session with whom, decided from what both sides say of themselves.
 *
 * Problem: a dialled address may be another mesh, another version, a reused port, the node itself or a
 * copy of it, and two nodes that dial each other at once end with two connections. Approach: pure verdicts
 * over the two identities; the shell closes or keeps. Of two connections between the same two starts the
 * one dialled by the smaller node id stays, which both sides decide alike without talking.
 *
 * Source: DESIGN sections 4 (Sessions) and 5 (copied folders).
 */
import { EPOCH_MAX } from "./position.ts";

export type SessionIdentity = {
  readonly mesh: string;
  readonly nodeId: string;
  readonly epoch: number;
  readonly nonce: Uint8Array;
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly shardCount: number;
  readonly hashId: string;
};

export type Rejection = { readonly code: string; readonly message: string };

/** The protocol version both speak, or why they cannot. */
export const negotiate = (
  local: SessionIdentity,
  remote: SessionIdentity,
  targetNodeId: string,
): { readonly protocol: number } | Rejection => {
  if (remote.mesh !== local.mesh) {
    return reject("WRONG_MESH", `this is mesh "${local.mesh}", not "${remote.mesh}"`);
  }
  if (remote.nodeId === local.nodeId) {
    if (sameBytes(remote.nonce, local.nonce)) return reject("SELF", "the node dialled itself");
    return reject(
      "DUPLICATE_NODE",
      `node ${local.nodeId} is already running (epoch ${local.epoch}); another process has a copy of its dataDir`,
    );
  }
  if (targetNodeId !== "" && targetNodeId !== local.nodeId) {
    return reject("WRONG_TARGET", `this is node ${local.nodeId}, not ${targetNodeId}`);
  }
  const protocol = Math.min(local.protocolMax, remote.protocolMax);
  if (protocol < local.protocolMin || protocol < remote.protocolMin) {
    return reject(
      "VERSION_MISMATCH",
      `protocols ${local.protocolMin}-${local.protocolMax} here and ${remote.protocolMin}-${remote.protocolMax} there have none in common`,
    );
  }
  if (remote.shardCount !== local.shardCount || remote.hashId !== local.hashId) {
    return reject(
      "WRONG_HASH",
      `keys are placed by ${local.hashId}/${local.shardCount} here and ${remote.hashId}/${remote.shardCount} there`,
    );
  }
  return { protocol };
};

export const isRejection = (verdict: object): verdict is Rejection => "code" in verdict;

/** One start of a node. */
export type Life = { readonly epoch: number; readonly nonce: Uint8Array };

export type Rival = Life & {
  /** True when the existing connection was dialled from here. */
  readonly dialled: boolean;
};

/**
 * A second connection with a peer that already has one.
 * @returns "replace" the existing one, "keep" it and refuse the new one, or "probe": it comes from another
 *   start of the peer, and may only replace the existing one when that is found dead.
 */
export const judgeRival = (
  localId: string,
  peerId: string,
  existing: Rival,
  fresh: Rival,
): "replace" | "keep" | "probe" => {
  if (!sameBytes(fresh.nonce, existing.nonce)) return "probe";
  if (fresh.epoch !== existing.epoch) return fresh.epoch > existing.epoch ? "replace" : "keep";
  if (fresh.dialled === existing.dialled) return "replace"; // the older one is a leftover
  const smallerDials = localId < peerId;
  return fresh.dialled === smallerDials ? "replace" : "keep";
};

/**
 * Whether the start that has the link is dead, asked since another start of its node knocked.
 *
 * It is "alive" when it has answered a heartbeat that was sent after the knock: then both live at once. It is
 * "dead" when nothing was heard of it for `patienceMs` of the time since. A stalled one is waited for.
 */
export const judgeProbe = (
  asked: { readonly heartbeat: number; readonly sinceMs: number },
  heard: { readonly answered: number; readonly silentMs: number; readonly isStalled: boolean },
  nowMs: number,
  patienceMs: number,
): "alive" | "dead" | "open" => {
  if (heard.answered >= asked.heartbeat) return "alive";
  if (heard.isStalled) return "open";
  return Math.min(heard.silentMs, nowMs - asked.sinceMs) >= patienceMs ? "dead" : "open";
};

/**
 * Whether a peer met a life of this node that is none of its own: its folder was restored or copied. What that
 * other life said to the peer, its floors above all, may be untrue of what this one holds.
 *
 * `earlier` are the latest starts of this node, in order; of what is older nothing is known, and it is taken
 * for its own. A life below one that was jumped above needs no other jump: the peer hears of that one.
 * @returns the epoch to jump above, or undefined; the highest epoch there is leaves nothing above it, and a
 *   peer that claims to have seen it is not believed
 */
export const epochToJump = (
  local: Life & { readonly jumped: number; readonly earlier: readonly Life[] },
  known: Life,
): number | undefined => {
  if (known.epoch >= EPOCH_MAX) return undefined;
  if (known.epoch > local.epoch) return known.epoch;
  if (known.nonce.length === 0 || sameBytes(known.nonce, local.nonce)) return undefined;
  if (known.epoch === local.epoch) return known.epoch;
  const oldest = local.earlier[0];
  if (known.epoch <= local.jumped || oldest === undefined || known.epoch < oldest.epoch) {
    return undefined;
  }
  const isOwn = local.earlier.some(({ nonce }) => sameBytes(nonce, known.nonce));
  return isOwn ? undefined : known.epoch;
};

/** The number of a session from four random bytes: 1 to 2^31-1. */
export const newSession = (bytes: Uint8Array): number => {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return (a | (b << 8) | (c << 16) | ((d & 0x7f) << 24)) >>> 0 || 1;
};

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false;
  for (let at = 0; at < a.length; at++) if (a[at] !== b[at]) return false;
  return true;
};

const reject = (code: string, message: string): Rejection => ({ code, message });
