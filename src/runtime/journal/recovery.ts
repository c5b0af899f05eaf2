/**
 * What a journal begins with: who the node is, a new epoch, and what the log holds.
 *
 * Invariant: when `recover` resolves, node id, epoch, nonce and list of starts are synced; the epoch is above every epoch
 * the store knows of, in its rows or in the log. Source: DESIGN section 1, "node".
 */
import { NODE_ID_RANDOM_BYTES, nodeIdFrom } from "../../core/ids.ts";
import type { Position } from "../../core/position.ts";
import type { Life } from "../../core/session.ts";
import { MeshError } from "../../errors.ts";
import type { JournalStore, StoreWrite } from "../../ports/journal-store.ts";
import { Block } from "./block.ts";
import type { Crc32 } from "./block-format.ts";
import { commitError } from "./commit-batch.ts";
import type { JournalOptions } from "./journal-options.ts";
import { positionKey, positionOfKey } from "./keys.ts";
import {
  decodeEpochRow,
  decodeLivesRow,
  decodeLogRow,
  decodeNodeRow,
  type EpochRow,
  encodeEpochRow,
  encodeLivesRow,
  encodeLogRow,
  encodeNodeRow,
  type LogRow,
  META,
  NONCE_BYTES,
  nextEpoch,
} from "./meta-rows.ts";

export type Recovered = {
  readonly nodeId: string;
  readonly epoch: number;
  readonly nonce: Uint8Array;
  readonly jumped: number;
  /** The latest starts before this one, in order. */
  readonly earlier: readonly Life[];
  readonly logBytes: number;
  readonly head: Position | undefined;
};

const SCAN_MAX = 16;
/** Starts remembered: a peer that was away for more of them cannot tell a copy's from one of the node's own. */
const LIVES_MAX = 256;

/** Of a store in which no node has begun yet. */
const NO_EPOCH: EpochRow = { epoch: 0, nonce: new Uint8Array(NONCE_BYTES), jumped: 0 };

/**
 * What a store below a log has to hold so that versions that know of no log refuse it: they would miss what is in
 * the log. @throws MeshError JOURNAL_DAMAGED
 */
export const rowsRefusedByOlder = (below: JournalStore, crc32: Crc32): StoreWrite[] => {
  const row = below.get("meta", META.epoch);
  const epoch = row === undefined ? NO_EPOCH : decodeEpochRow(row, crc32);
  return [{ table: "meta", key: META.epoch, value: encodeEpochRow(epoch, crc32) }];
};

/** @throws MeshError JOURNAL_DAMAGED, DISK_FULL, OUTCOME_UNKNOWN */
export const recover = async (
  options: Pick<JournalOptions, "store" | "clock" | "random" | "nodeId" | "logger" | "crc32">,
): Promise<Recovered> => {
  const { store, clock, random, logger, crc32 } = options;
  const nodeRow = store.get("meta", META.node);
  const epochRow = store.get("meta", META.epoch);
  const known = nodeRow === undefined ? undefined : decodeNodeRow(nodeRow, crc32);
  if (known !== undefined && options.nodeId !== undefined && known !== options.nodeId) {
    throw otherNode(known, options.nodeId);
  }
  const nodeId = known ?? options.nodeId ?? nodeIdFrom(random.bytes(NODE_ID_RANDOM_BYTES));
  const stored = epochRow === undefined ? NO_EPOCH : decodeEpochRow(epochRow, crc32);
  const before = stored.epoch === NO_EPOCH.epoch ? undefined : stored;
  const jumped = before?.jumped ?? 0;
  const livesRow = store.get("meta", META.lives);
  const earlier =
    (livesRow && decodeLivesRow(livesRow, crc32)) ?? (before === undefined ? [] : [before]);
  const last = store.scan("log", { limit: 1, reverse: true })[0];
  const logged = last === undefined ? 0 : positionOfKey(last.key).epoch;
  const epoch = nextEpoch(Math.max(before?.epoch ?? 0, logged), clock.wallMs());
  const nonce = random.bytes(NONCE_BYTES);
  const lives = [...earlier, { epoch, nonce }].slice(-LIVES_MAX);

  const logRow = store.get("meta", META.log);
  let log = logRow === undefined ? undefined : decodeLogRow(logRow, crc32);
  if (log === undefined) {
    if (last !== undefined) logger.warn("journal counters lost, counting the log anew");
    log = countLog(store, crc32);
  }

  const writes: StoreWrite[] = [
    { table: "meta", key: META.epoch, value: encodeEpochRow({ epoch, nonce, jumped }, crc32) },
    { table: "meta", key: META.log, value: encodeLogRow(log, crc32) },
    { table: "meta", key: META.lives, value: encodeLivesRow(lives, crc32) },
  ];
  if (nodeRow === undefined) {
    writes.push({ table: "meta", key: META.node, value: encodeNodeRow(nodeId, crc32) });
  }
  try {
    await store.commit(writes);
  } catch (error) {
    throw commitError(error);
  }
  return { nodeId, epoch, nonce, jumped, earlier, logBytes: log.bytes, head: log.head };
};

/** Reads the whole log; only when its row is lost. */
const countLog = (store: JournalStore, crc32: Crc32): LogRow => {
  let bytes = 0;
  let head: Position | undefined;
  let from = positionKey(0, 0);
  for (;;) {
    const entries = store.scan("log", { from, limit: SCAN_MAX });
    for (const { key, value } of entries) {
      const first = positionOfKey(key);
      const header = Block.header(value, crc32);
      bytes += value.length;
      // A block whose header is damaged ends somewhere; where it starts is enough to go on from.
      head = { epoch: first.epoch, seq: Math.max(first.seq, header?.lastSeq ?? 0) };
      from = positionKey(first.epoch, first.seq + 1);
    }
    if (entries.length < SCAN_MAX) return { bytes, head };
  }
};

const otherNode = (known: string, certified: string): MeshError => {
  const said = `the dataDir is that of node ${known}, the certificate that of node ${certified}`;
  const remedy = `use another dataDir, or a certificate for it (meshbus keys issue --node ${known})`;
  return new MeshError("INVALID_OPTIONS", `${said}: ${remedy}`);
};
