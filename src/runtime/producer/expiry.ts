/**
 * The oldest messages of a subscription expire beyond its limits, counted, never while in flight or stopped:
 * what is older than `ageMs`, and, while the log is larger than `bytesMax`, what keeps its oldest block from
 * going.
 */
import { IN_FLIGHT, STOPPED } from "../../core/entry.ts";
import { comparePositions } from "../../core/position.ts";
import type { Block } from "../journal/block.ts";
import type { ProducerHost } from "./producer-host.ts";
import type { SubscriptionState } from "./subscription-state.ts";

export type ExpiryHost = Pick<ProducerHost, "env" | "journal" | "readBlock" | "expire">;

/** Blocks looked at in one sweep. */
const STEP = 4_096;

export const expireBeyond = (
  host: ExpiryHost,
  state: SubscriptionState,
  limits: { readonly bytesMax: number; readonly ageMs: number },
): void => {
  const { journal, env } = host;
  const { tail } = journal;
  // Blocks go from the front only: what is freed here counts once the first of them is the log's first.
  let pinsTail = false;
  let excess = journal.logBytes - limits.bytesMax;
  // The floor stays before a block that holds nothing of this subscription any more.
  let at = state.cursor.floor;
  for (let step = 0; step < STEP && state.ledger.pending > 0; step++) {
    const block = journal.read(at);
    if (block === undefined) return;
    const tooOld = env.clock.wallMs() - block.lastTimeMs > limits.ageMs;
    pinsTail ||= tail?.epoch === block.epoch && tail.seq >= block.firstSeq;
    if (!tooOld && !(excess > 0 && pinsTail)) return;
    if (!expireBlock(host, state, block)) return;
    excess -= block.bytes.length;
    at = { epoch: block.epoch, seq: block.lastSeq };
  }
};

/** Everything of the block that may go. False when something stands in the way. */
const expireBlock = (host: ExpiryHost, state: SubscriptionState, block: Block): boolean => {
  const { cursor } = state;
  for (;;) {
    // First what was read: a full window has no room to read on before some of it went.
    const clear = expireRead(host, state, block);
    const { scanned } = cursor;
    if (comparePositions(scanned, { epoch: block.epoch, seq: block.lastSeq }) >= 0) return clear;
    if (cursor.room === 0) return false;
    host.readBlock(state, block);
  }
};

const expireRead = (host: ExpiryHost, state: SubscriptionState, block: Block): boolean => {
  const { epoch, lastSeq } = block;
  let clear = true;
  for (const entry of state.cursor.unsettled()) {
    if (entry.epoch > epoch || (entry.epoch === epoch && entry.seq > lastSeq)) break;
    if (entry.state === IN_FLIGHT || entry.state === STOPPED) clear = false;
    else host.expire(state, entry);
  }
  return clear;
};
