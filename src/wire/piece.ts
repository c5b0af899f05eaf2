/**
 * The frames of large frames: Piece, a part of one, and PiecesTaken, how much of them was taken.
 *
 * What is sent is a head and, behind it, data that stays where it is.
 */
import type { ByteReader } from "./byte-reader.ts";
import { ByteWriter, varintBytes } from "./byte-writer.ts";
import { enumName, enumNumber } from "./enum-codec.ts";
import { bytesField, uint32Field, uint64Field } from "./field-writer.ts";

const LANES = ["bulk", "express"] as const;
const NO_BYTES: Uint8Array = Buffer.alloc(0);

/** Batches go in "bulk", requests and replies in "express". */
export type PieceLane = (typeof LANES)[number];

export type PieceFrame = {
  readonly type: "piece";
  readonly session: number;
  readonly lane: PieceLane;
  /** Bytes of the whole frame, and where in it this piece begins. */
  readonly total: number;
  readonly offset: number;
  /** When read, a view of the frame. */
  readonly data: Uint8Array;
};

export type PiecesTakenFrame = {
  readonly type: "piecesTaken";
  readonly session: number;
  /** Of the data of all pieces since the session began. */
  readonly bytes: number;
};

export type PieceFrames = PieceFrame | PiecesTakenFrame;

export const writePiece = (writer: ByteWriter, frame: PieceFrame): void => {
  writeHead(writer, frame);
  bytesField(writer, 0x7a, frame.data);
};

export const readPiece = (reader: ByteReader, session: number): PieceFrame => {
  let lane = 0;
  let total = 0;
  let offset = 0;
  let data = NO_BYTES;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) lane = reader.uint32();
    else if (tag === 0x10) total = reader.uint32();
    else if (tag === 0x18) offset = reader.uint32();
    else if (tag === 0x7a) data = reader.view();
    else reader.skip(tag, 0x800e);
  }
  return { type: "piece", session, lane: enumName(LANES, lane, "lane"), total, offset, data };
};

export const writeTaken = (writer: ByteWriter, frame: PiecesTakenFrame): void => {
  uint64Field(writer, 0x08, frame.bytes);
};

export const readTaken = (reader: ByteReader, session: number): PiecesTakenFrame => {
  let bytes = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) bytes = reader.uint64();
    else reader.skip(tag, 0x02);
  }
  return { type: "piecesTaken", session, bytes };
};

/** Everything of a piece before its data, which is so many bytes. */
export const headOfPiece = (
  session: number,
  lane: PieceLane,
  { total, offset }: { readonly total: number; readonly offset: number },
  bytes: number,
): Uint8Array => {
  const fields = { lane, total, offset };
  const dataBytes = 1 + varintBytes(bytes) + bytes;
  const writer = new ByteWriter(HEAD_BYTES);
  writer.byte(0x0d);
  writer.fixed32(session);
  writer.uint64(PIECE_TAG);
  writer.uint64(fieldsBytes(fields) + dataBytes);
  writeHead(writer, fields);
  writer.byte(0x7a);
  writer.uint64(bytes);
  return writer.take();
};

const HEAD_BYTES = 48;
/** Field 21 of `Frame`. */
const PIECE_TAG = (21 << 3) | 2;

type Fields = Pick<PieceFrame, "lane" | "total" | "offset">;

/** What `writeHead` writes. */
const fieldsBytes = ({ lane, total, offset }: Fields): number => {
  let bytes = 0;
  for (const value of [enumNumber(LANES, lane, "lane"), total, offset]) {
    if (value !== 0) bytes += 1 + varintBytes(value);
  }
  return bytes;
};

const writeHead = (writer: ByteWriter, { lane, total, offset }: Fields): void => {
  uint32Field(writer, 0x08, enumNumber(LANES, lane, "lane"));
  uint32Field(writer, 0x10, total);
  uint32Field(writer, 0x18, offset);
};
