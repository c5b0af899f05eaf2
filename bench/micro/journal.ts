/**
 * How fast messages of 128 bytes become sealed blocks, and how fast blocks are opened and walked.
 *
 * Ways: the block builder alone, the journal with its group commit over the memory engine, and opening
 * with every check plus reading all fields. Best of five rounds. Run: node .build/bench/micro/journal.js
 */
import { randomBytes } from "node:crypto";
import { crc32 } from "node:zlib";
import { memoryEngine } from "../../src/journal/memory/memory-engine.ts";
import type { Clock } from "../../src/ports/clock.ts";
import { Block } from "../../src/runtime/journal/block.ts";
import { BlockBuilder } from "../../src/runtime/journal/block-builder.ts";
import { Journal } from "../../src/runtime/journal/journal.ts";
import { JOURNAL_LIMITS, type JournalRecord } from "../../src/runtime/journal/journal-options.ts";
import { EnvelopeTemplate } from "../../src/wire/envelope.ts";

const MESSAGES = 500_000;
const ROUNDS = 5;
const WINDOW = 256;
const BLOCK_BYTES = 65_536;

const template = new EnvelopeTemplate({ subject: "orders.placed", kind: 0 });
const payload = randomBytes(128);
const records: readonly JournalRecord[] = Array.from({ length: 1024 }, (_, i) => ({
  kind: 0,
  subject: "orders.placed",
  keyHash: (i * 2_654_435_761) >>> 0,
  expireAtMs: -1,
  target: undefined,
  timeMs: 1_700_000_000_000 + i,
  timeCounter: 0,
  template,
  variables: { key: `order-${i}`, time: { ms: 1_700_000_000_000 + i, counter: 0 }, payload },
  bytes: undefined,
  reserve: false,
}));
const recordOf = (i: number): JournalRecord => records[i & 1023] as JournalRecord;

const clock: Clock = {
  wallMs: () => 1_700_000_000_000,
  monotonicMs: () => performance.now(),
  setTimer: () => ({}),
  clearTimer: () => {},
  endOfTurn: (fn) => void setImmediate(fn),
};

const build = (): Block[] => {
  const builder = new BlockBuilder({ bytesMax: BLOCK_BYTES, crc32 });
  const blocks: Block[] = [];
  let first = 1;
  for (let i = 0; i < MESSAGES; i++) {
    const { variables } = recordOf(i);
    if (variables !== undefined) builder.appendEnvelope(recordOf(i), template, variables);
    if (!builder.isFull) continue;
    blocks.push(builder.finish(1, first));
    first = i + 2;
  }
  return blocks;
};

const walk = (blocks: readonly Block[]): number => {
  let sum = 0;
  for (const { bytes } of blocks) {
    const block = Block.open(bytes, crc32);
    for (let i = 0; i < block.count; i++) {
      sum += block.envelopeEnd(i) - block.envelopeStart(i);
      sum += block.keyHash(i) + block.expireAtMs(i) + block.subjectIndex(i);
      if (block.target(i) !== undefined) sum++;
    }
  }
  return sum;
};

const throughJournal = async (): Promise<void> => {
  const store = await memoryEngine().open({ dataDir: ":memory:", bytesMax: 2 ** 31 });
  const random = { bytes: (count: number) => randomBytes(count), fraction: () => 0.5 };
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const limits = JOURNAL_LIMITS;
  const journal = await Journal.open({ store, clock, random, logger, crc32, limits });
  let next = 0;
  let accepted = 0;
  await new Promise<void>((resolve) => {
    const window = (): void => {
      for (let i = 0; i < WINDOW && next < MESSAGES; i++) {
        journal.append(recordOf(next++));
        journal.onDurable(onAccepted);
      }
    };
    const onAccepted = (): void => {
      accepted++;
      if (accepted === MESSAGES) resolve();
      else if (accepted % WINDOW === 0) window();
    };
    for (let i = 0; i < 8; i++) window();
  });
  await journal.close();
};

const best = async (name: string, run: () => unknown): Promise<void> => {
  let fastest = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await run();
    fastest = Math.min(fastest, performance.now() - start);
  }
  const rate = MESSAGES / fastest / 1000;
  console.log(`${name.padEnd(48)} ${rate.toFixed(2)} M records/s`);
};

let blocks: Block[] = [];
await best("encode, append and seal", () => {
  blocks = build();
});
await best("open, check and read every field", () => walk(blocks));
await best("journal over the memory engine, to accepted", throughJournal);
