/** What a journal is opened with, and what is appended to it. */
import type { MeshError } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { JournalStore } from "../../ports/journal-store.ts";
import type { Logger } from "../../ports/logger.ts";
import type { Random } from "../../ports/random.ts";
import type { EnvelopeTemplate } from "../../wire/envelope.ts";
import type { EnvelopeVariables } from "../../wire/envelope-rest.ts";
import type { BlockRecord } from "./block-builder.ts";
import type { Crc32 } from "./block-format.ts";
import type { DamageInfo } from "./log-reader.ts";

/** A message to append: an envelope to be encoded (template and variables) or ready-made (bytes). */
export type JournalRecord = BlockRecord & {
  readonly template: EnvelopeTemplate | undefined;
  readonly variables: EnvelopeVariables | undefined;
  readonly bytes: Uint8Array | undefined;
  /** It may use the reserve: handlers' output, replays, moves of delayed messages. */
  readonly reserve: boolean;
};

export type JournalLimits = {
  /** Size of the log; a tenth of it is the reserve. At least 1 MiB. */
  readonly bytesMax: number;
  /** A block is sealed at this size. */
  readonly blockBytes: number;
  /** Blocks kept in memory. Few: one that outlives two collections of young objects costs a full one to let go. */
  readonly cacheBytesMax: number;
  /** Appended and not durable yet; past it user messages wait for room. */
  readonly pendingBytesMax: number;
  /** Calls that may wait for room. */
  readonly waitersMax: number;
  /** Blocks removed by one commit. */
  readonly trimBlocksMax: number;
  /** Envelope bytes of one `appendMany`. */
  readonly manyBytesMax: number;
};

export const JOURNAL_LIMITS: JournalLimits = Object.freeze({
  bytesMax: 10 * 2 ** 30,
  blockBytes: 65_536,
  cacheBytesMax: 2 ** 20,
  pendingBytesMax: 32 * 2 ** 20,
  waitersMax: 65_536,
  trimBlocksMax: 256,
  manyBytesMax: 16 * 2 ** 20,
});

export type JournalOptions = {
  readonly store: JournalStore;
  readonly clock: Clock;
  readonly random: Random;
  /** Of the node's certificate; absent: random at the first start, then the folder's. */
  readonly nodeId?: string | undefined;
  readonly logger: Logger;
  /** CRC-32 (IEEE), unsigned: `zlib.crc32`. */
  readonly crc32: Crc32;
  readonly limits: JournalLimits;
  /** Commits began or ceased to fail. While they fail, call `committer.retryAfterFailure` now and then. */
  readonly onHealth?: (failing: boolean, error: MeshError | undefined) => void;
  /** A block failed its checksum. Count its messages now: the count and the move commit together. */
  readonly onDamage?: (info: DamageInfo) => void;
};
