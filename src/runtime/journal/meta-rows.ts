/**
 * The journal's rows in table "meta": who the node is, its epoch, its latest starts, and what the log holds.
 *
 * Each row is u32 CRC-32 of the rest, u8 version, body; big endian. A damaged identity cannot be guessed:
 * opening fails with JOURNAL_DAMAGED. Damaged counters are counted anew.
 */
import { EPOCH_MAX, type Position } from "../../core/position.ts";
import type { Life } from "../../core/session.ts";
import { MeshError } from "../../errors.ts";
import type { Crc32 } from "./block-format.ts";

export const META = {
  node: new TextEncoder().encode("node"),
  epoch: new TextEncoder().encode("epoch"),
  log: new TextEncoder().encode("log"),
  lives: new TextEncoder().encode("lives"),
} as const;

export const NONCE_BYTES = 16;
const VERSION = 1;
/**
 * Of the epoch's row. Those who know version 1 only would open a folder without the log in front of lmdb, and see
 * an older state of it: they refuse 2.
 */
const EPOCH_VERSION = 2;
const HEAD_BYTES = 5;
/** A peer cannot push the epoch further than this above the clock: about 8 years of it. */
const EPOCH_AHEAD_MAX = 2 ** 28;
const LIFE_BYTES = 4 + NONCE_BYTES;
const EPOCH_ROW_BYTES = LIFE_BYTES + 4;
const TWO_32 = 0x1_0000_0000;

export type EpochRow = {
  readonly epoch: number;
  readonly nonce: Uint8Array;
  /** The highest epoch of a later life of this node that it had to jump above; 0 if none. */
  readonly jumped: number;
};

export type LogRow = {
  /** Bytes of all blocks in the log. */
  readonly bytes: number;
  readonly head: Position | undefined;
};

export const encodeNodeRow = (nodeId: string, crc32: Crc32): Uint8Array =>
  seal(Buffer.from(nodeId, "latin1"), crc32);

/** @throws MeshError JOURNAL_DAMAGED */
export const decodeNodeRow = (row: Uint8Array, crc32: Crc32): string =>
  Buffer.from(bodyOf(row, crc32, "node id")).toString("latin1");

export const encodeEpochRow = (row: EpochRow, crc32: Crc32): Uint8Array => {
  const body = Buffer.alloc(EPOCH_ROW_BYTES);
  body.writeUInt32BE(row.epoch, 0);
  body.set(row.nonce, 4);
  body.writeUInt32BE(row.jumped, 4 + NONCE_BYTES);
  return seal(body, crc32, EPOCH_VERSION);
};

/** @throws MeshError JOURNAL_DAMAGED */
export const decodeEpochRow = (row: Uint8Array, crc32: Crc32): EpochRow => {
  const body = bodyOf(row, crc32, "epoch", EPOCH_VERSION);
  // Rows of the first version end with the nonce.
  const isShort = body.length === 4 + NONCE_BYTES;
  if (body.length !== EPOCH_ROW_BYTES && !isShort) throw damaged("epoch");
  return {
    epoch: body.readUInt32BE(0),
    nonce: Uint8Array.from(body.subarray(4, 4 + NONCE_BYTES)),
    jumped: isShort ? 0 : body.readUInt32BE(4 + NONCE_BYTES),
  };
};

export const encodeLogRow = (row: LogRow, crc32: Crc32): Uint8Array => {
  const body = Buffer.alloc(20);
  putUint53(body, 0, row.bytes);
  body.writeUInt32BE(row.head?.epoch ?? 0, 8);
  putUint53(body, 12, row.head?.seq ?? 0);
  return seal(body, crc32);
};

/** Undefined when the row is damaged. */
export const decodeLogRow = (row: Uint8Array, crc32: Crc32): LogRow | undefined => {
  try {
    const body = bodyOf(row, crc32, "log");
    if (body.length !== 20) return undefined;
    const head = { epoch: body.readUInt32BE(8), seq: getUint53(body, 12) };
    return { bytes: getUint53(body, 0), head: head.seq === 0 ? undefined : head };
  } catch {
    return undefined;
  }
};

/** The latest starts of the node, in order. */
export const encodeLivesRow = (lives: readonly Life[], crc32: Crc32): Uint8Array => {
  const body = Buffer.alloc(lives.length * LIFE_BYTES);
  for (const [index, { epoch, nonce }] of lives.entries()) {
    body.writeUInt32BE(epoch, index * LIFE_BYTES);
    body.set(nonce, index * LIFE_BYTES + 4);
  }
  return seal(body, crc32);
};

/** Undefined when the row is damaged. */
export const decodeLivesRow = (row: Uint8Array, crc32: Crc32): readonly Life[] | undefined => {
  try {
    const body = bodyOf(row, crc32, "list of starts");
    const lives: Life[] = [];
    for (let at = 0; at + LIFE_BYTES <= body.length; at += LIFE_BYTES) {
      const nonce = Uint8Array.from(body.subarray(at + 4, at + LIFE_BYTES));
      lives.push({ epoch: body.readUInt32BE(at), nonce });
    }
    return lives;
  } catch {
    return undefined;
  }
};

/** The first epoch of a start. @throws MeshError JOURNAL_DAMAGED when none is left */
export const nextEpoch = (known: number, wallMs: number): number => {
  const epoch = Math.max(known + 1, Math.floor(wallMs / 1000));
  if (epoch > EPOCH_MAX) {
    throw new MeshError("JOURNAL_DAMAGED", `epoch ${epoch} exceeds ${EPOCH_MAX}`);
  }
  return epoch;
};

/** The highest epoch of this node that a peer is believed to have seen. */
export const epochLimit = (present: number, wallMs: number): number =>
  Math.min(EPOCH_MAX - 1, Math.max(Math.floor(wallMs / 1000), present) + EPOCH_AHEAD_MAX);

const seal = (body: Uint8Array, crc32: Crc32, version = VERSION): Uint8Array => {
  const row = Buffer.alloc(HEAD_BYTES + body.length);
  row[4] = version;
  row.set(body, HEAD_BYTES);
  row.writeUInt32BE(crc32(row.subarray(4)), 0);
  return row;
};

const bodyOf = (row: Uint8Array, crc32: Crc32, what: string, known = VERSION): Buffer => {
  const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
  if (bytes.length < HEAD_BYTES || bytes.readUInt32BE(0) !== crc32(bytes.subarray(4))) {
    throw damaged(what);
  }
  const version = bytes[4] as number;
  if (version < VERSION || version > known) {
    const message = `the stored ${what} has format version ${version}; known is ${known}`;
    throw new MeshError("JOURNAL_DAMAGED", message);
  }
  return bytes.subarray(HEAD_BYTES);
};

const damaged = (what: string): MeshError =>
  new MeshError("JOURNAL_DAMAGED", `the stored ${what} fails its checksum`);

const putUint53 = (bytes: Buffer, at: number, value: number): void => {
  const high = Math.floor(value / TWO_32);
  bytes.writeUInt32BE(high, at);
  bytes.writeUInt32BE(value - high * TWO_32, at + 4);
};

const getUint53 = (bytes: Buffer, at: number): number =>
  bytes.readUInt32BE(at) * TWO_32 + bytes.readUInt32BE(at + 4);
