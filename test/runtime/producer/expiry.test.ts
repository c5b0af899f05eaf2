import { describe, expect, it } from "vitest";
import type { Position } from "../../../src/core/position.ts";
import { SubscriptionCursor } from "../../../src/core/subscription-cursor.ts";
import type { Block } from "../../../src/runtime/journal/block.ts";
import { type ExpiryHost, expireBeyond } from "../../../src/runtime/producer/expiry.ts";
import type { SubscriptionState } from "../../../src/runtime/producer/subscription-state.ts";

const EPOCH = 1;
const BLOCK_BYTES = 1_000;

/** A log of blocks of one message each; the subscription is concerned by those named. */
const staged = (options: { blocks: number; concerns: readonly number[]; windowMax: number }) => {
  const { blocks, concerns, windowMax } = options;
  const log = Array.from(
    { length: blocks },
    (_, at) =>
      ({
        epoch: EPOCH,
        firstSeq: at + 1,
        lastSeq: at + 1,
        lastTimeMs: 0,
        bytes: new Uint8Array(BLOCK_BYTES),
      }) as Block,
  );
  const start = { epoch: EPOCH, seq: 0 };
  const cursor = new SubscriptionCursor(start, { keyed: true, windowMax, lookAheadMax: 100 });
  const expired: number[] = [];
  let skip = 0;
  const host = {
    env: { clock: { wallMs: () => 0 } },
    journal: {
      logBytes: blocks * BLOCK_BYTES,
      tail: { epoch: EPOCH, seq: 1 },
      read: (after: Position) => log.find(({ firstSeq }) => firstSeq > after.seq),
    },
    readBlock: (_state: SubscriptionState, { firstSeq }: Block) => {
      if (concerns.includes(firstSeq)) {
        cursor.add(EPOCH, firstSeq, skip, firstSeq, 1, -1);
        skip = 0;
      } else {
        skip++;
      }
      cursor.read({ epoch: EPOCH, seq: firstSeq });
    },
    expire: (_state: SubscriptionState, entry: Parameters<typeof cursor.settle>[0]) => {
      if (cursor.settle(entry)) expired.push(entry.seq);
    },
  } as unknown as ExpiryHost;
  const state = {
    cursor,
    ledger: {
      get pending() {
        return concerns.length - expired.length;
      },
    },
  } as unknown as SubscriptionState;
  return { host, state, expired };
};

describe("expiry beyond a subscription's share of the journal", () => {
  it("lets the oldest go that keep the log too large", () => {
    const { host, state, expired } = staged({
      blocks: 6,
      concerns: [1, 2, 3, 4, 5, 6],
      windowMax: 9,
    });
    expireBeyond(host, state, { bytesMax: 4_000, ageMs: 1 });
    expect(expired).toEqual([1, 2]);
  });

  it("goes on behind blocks that have nothing of the subscription", () => {
    const { host, state, expired } = staged({ blocks: 8, concerns: [5, 6, 8], windowMax: 9 });
    expireBeyond(host, state, { bytesMax: 2_000, ageMs: 1 });
    expect(expired).toEqual([5, 6]);
  });

  it("lets go what fills the window, and reads on", () => {
    const { host, state, expired } = staged({
      blocks: 6,
      concerns: [1, 2, 3, 4, 5, 6],
      windowMax: 1,
    });
    expireBeyond(host, state, { bytesMax: 2_000, ageMs: 1 });
    expect(expired).toEqual([1, 2, 3, 4]);
  });
});
