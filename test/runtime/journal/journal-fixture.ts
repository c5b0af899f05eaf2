/** A journal over a scripted store, with a clock whose turns the test ends. */
import { crc32 } from "node:zlib";
import type { MeshError } from "../../../src/errors.ts";
import type { Clock, Timer } from "../../../src/ports/clock.ts";
import type { JournalStore } from "../../../src/ports/journal-store.ts";
import type { Logger } from "../../../src/ports/logger.ts";
import type { Random } from "../../../src/ports/random.ts";
import type { Block } from "../../../src/runtime/journal/block.ts";
import { Journal } from "../../../src/runtime/journal/journal.ts";
import {
  JOURNAL_LIMITS,
  type JournalLimits,
  type JournalRecord,
} from "../../../src/runtime/journal/journal-options.ts";
import type { DamageInfo } from "../../../src/runtime/journal/log-reader.ts";
import { ScriptedStore } from "./scripted-store.ts";

export class TurnClock implements Clock {
  wall = 1_700_000_000_000;
  readonly #ends: (() => void)[] = [];

  wallMs(): number {
    return this.wall;
  }

  monotonicMs(): number {
    return this.wall;
  }

  setTimer(): Timer {
    throw new Error("the journal has no timers");
  }

  clearTimer(): void {}

  endOfTurn(fn: () => void): void {
    this.#ends.push(fn);
  }

  /** Ends the turn and lets promises settle. */
  async turn(): Promise<void> {
    for (const fn of this.#ends.splice(0)) fn();
    for (let i = 0; i < 10; i++) await Promise.resolve();
  }

  /** Turns until nothing is scheduled. */
  async settle(): Promise<void> {
    for (let i = 0; i < 1000 && this.#ends.length > 0; i++) await this.turn();
    if (this.#ends.length > 0) throw new Error("1000 turns and still busy");
  }
}

export const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} };

export const seededRandom = (seed = 1): Random => {
  let state = seed;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next() >>> 24),
    fraction: () => next() / 2 ** 32,
  };
};

export const record = (text: string, more: Partial<JournalRecord> = {}): JournalRecord => ({
  kind: 0,
  subject: "orders.placed",
  keyHash: -1,
  expireAtMs: -1,
  target: undefined,
  timeMs: 1_700_000_000_000,
  timeCounter: 0,
  template: undefined,
  variables: undefined,
  bytes: Buffer.from(text),
  reserve: false,
  ...more,
});

export const crc = (bytes: Uint8Array): number => crc32(bytes);

export type Fixture = {
  readonly journal: Journal;
  readonly store: ScriptedStore;
  readonly clock: TurnClock;
  readonly blocks: Block[];
  readonly damage: DamageInfo[];
  readonly health: boolean[];
};

export const openJournal = async (
  given: {
    readonly store?: ScriptedStore;
    readonly clock?: TurnClock;
    readonly limits?: Partial<JournalLimits>;
    readonly seed?: number;
  } = {},
): Promise<Fixture> => {
  const store = given.store ?? (await ScriptedStore.open());
  const clock = given.clock ?? new TurnClock();
  const blocks: Block[] = [];
  const damage: DamageInfo[] = [];
  const health: boolean[] = [];
  const journal = await Journal.open({
    store: store as JournalStore,
    clock,
    random: seededRandom(given.seed),
    logger: silent,
    crc32: crc,
    limits: { ...JOURNAL_LIMITS, ...given.limits },
    onHealth: (failing) => health.push(failing),
    onDamage: (info) => damage.push(info),
  });
  journal.onBlock((block) => blocks.push(block));
  return { journal, store, clock, blocks, damage, health };
};

/** Appends one and tells its position and, later, its outcome. */
export const append = (
  journal: Journal,
  text: string,
  more: Partial<JournalRecord> = {},
): { readonly epoch: number; readonly seq: number; error: MeshError | undefined | "none yet" } => {
  const outcome = {
    epoch: journal.epoch,
    seq: journal.append(record(text, more)),
    error: "none yet" as MeshError | undefined | "none yet",
  };
  journal.onDurable((error) => {
    outcome.error = error;
  });
  return outcome;
};

export const textAt = (block: Block, index: number): string =>
  Buffer.from(
    block.envelopeBytes.subarray(block.envelopeStart(index), block.envelopeEnd(index)),
  ).toString();

/** Everything the journal serves, from the front. */
export const readAll = (journal: Journal): string[] => {
  const texts: string[] = [];
  let after: { epoch: number; seq: number } | undefined;
  for (;;) {
    const block = journal.read(after);
    if (block === undefined) return texts;
    const from =
      after !== undefined && after.epoch === block.epoch ? after.seq + 1 : block.firstSeq;
    for (let seq = Math.max(from, block.firstSeq); seq <= block.lastSeq; seq++) {
      texts.push(textAt(block, seq - block.firstSeq));
    }
    after = { epoch: block.epoch, seq: block.lastSeq };
  }
};
