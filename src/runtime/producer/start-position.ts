/**
 * Where a subscription that is heard of late begins in the journal: before the first block that holds a
 * message accepted at or after its birth, found by bisection over blocks, whose times do not decrease.
 *
 * A whole block, although messages of the same turn from before the birth come along: a message's own time
 * is when it was written, and what a handler sent or what was delayed is accepted later than that.
 */
import type { Position } from "../../core/position.ts";
import type { HybridTime } from "../../wire/hybrid-time.ts";
import type { Block } from "../journal/block.ts";
import type { Journal } from "../journal/journal.ts";

const SEQ_BITS = 53n;
const SEQ_MASK = (1n << SEQ_BITS) - 1n;

/** The position after which the subscription begins. */
export const startAt = (journal: Journal, birth: HybridTime): Position => {
  const head = journal.head ?? { epoch: 0, seq: 0 };
  const tail = journal.tail;
  if (tail === undefined) return head;
  let low = pack(tail);
  let high = pack(head) + 1n;
  let found: Block | undefined;
  while (low < high) {
    const middle = (low + high) >> 1n;
    const block = journal.read(unpack(middle - 1n));
    if (block === undefined) {
      high = middle;
    } else if (isBefore(block.lastTimeMs, block.lastTimeCounter, birth)) {
      low = pack({ epoch: block.epoch, seq: block.lastSeq }) + 1n;
    } else {
      found = block;
      high = middle;
    }
  }
  return found === undefined ? head : { epoch: found.epoch, seq: found.firstSeq - 1 };
};

const isBefore = (ms: number, counter: number, time: HybridTime): boolean =>
  ms < time.ms || (ms === time.ms && counter < time.counter);

const pack = ({ epoch, seq }: Position): bigint => (BigInt(epoch) << SEQ_BITS) | BigInt(seq);

const unpack = (packed: bigint): Position => ({
  epoch: Number(packed >> SEQ_BITS),
  seq: Number(packed & SEQ_MASK),
});
