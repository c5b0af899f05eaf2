/** The frames of flow control and liveness: Credit, and Ping, which repeats credit and tails. */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { boolField, messageFields, timeField, uint32Field, uint64Field } from "./field-writer.ts";
import { type HybridTime, hybridTimeFrom } from "./hybrid-time.ts";

/** Absolute limits of one subscription: delivery numbers and cumulative envelope bytes. */
export type CreditEntry = {
  readonly subscription: number;
  readonly numberLimit: number;
  readonly bytesLimit: number;
  readonly volatileNumberLimit: number;
  readonly volatileBytesLimit: number;
  /** Takes nothing for now, whatever the limits. */
  readonly paused: boolean;
};

export type CreditFrame = {
  readonly type: "credit";
  readonly session: number;
  readonly entries: readonly CreditEntry[];
};

/** The last delivery number sent, and the producer's durable floor. */
export type Tail = {
  readonly subscription: number;
  readonly last: number;
  readonly floorEpoch: number;
  readonly floorSeq: number;
};

export type PingFrame = {
  readonly type: "ping";
  readonly session: number;
  readonly id: number;
  /** The id of the last Ping heard from the peer; 0: none yet. */
  readonly echo: number;
  readonly time: HybridTime;
  readonly tails: readonly Tail[];
  readonly credits: readonly CreditEntry[];
};

export const writeCredit = (writer: ByteWriter, frame: CreditFrame): void => {
  messageFields(writer, 0x0a, frame.entries, writeCreditEntry);
};

export const readCredit = (reader: ByteReader, session: number): CreditFrame => {
  const entries: CreditEntry[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) entries.push(reader.message(readCreditEntry));
    else reader.skip(tag, 0x02);
  }
  return { type: "credit", session, entries };
};

export const writePing = (writer: ByteWriter, frame: PingFrame): void => {
  uint64Field(writer, 0x08, frame.id);
  uint64Field(writer, 0x10, frame.echo);
  timeField(writer, 0x19, frame.time);
  messageFields(writer, 0x22, frame.tails, writeTail);
  messageFields(writer, 0x2a, frame.credits, writeCreditEntry);
};

export const readPing = (reader: ByteReader, session: number): PingFrame => {
  let id = 0;
  let echo = 0;
  let time = hybridTimeFrom(0, 0);
  const tails: Tail[] = [];
  const credits: CreditEntry[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) id = reader.uint64();
    else if (tag === 0x10) echo = reader.uint64();
    else if (tag === 0x19) time = reader.time();
    else if (tag === 0x22) tails.push(reader.message(readTail));
    else if (tag === 0x2a) credits.push(reader.message(readCreditEntry));
    else reader.skip(tag, 0x3e);
  }
  return { type: "ping", session, id, echo, time, tails, credits };
};

const writeCreditEntry = (writer: ByteWriter, entry: CreditEntry): void => {
  uint32Field(writer, 0x08, entry.subscription);
  uint64Field(writer, 0x10, entry.numberLimit);
  uint64Field(writer, 0x18, entry.bytesLimit);
  uint64Field(writer, 0x20, entry.volatileNumberLimit);
  uint64Field(writer, 0x28, entry.volatileBytesLimit);
  boolField(writer, 0x30, entry.paused);
};

const readCreditEntry = (reader: ByteReader): CreditEntry => {
  let subscription = 0;
  let numberLimit = 0;
  let bytesLimit = 0;
  let volatileNumberLimit = 0;
  let volatileBytesLimit = 0;
  let paused = false;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) subscription = reader.uint32();
    else if (tag === 0x10) numberLimit = reader.uint64();
    else if (tag === 0x18) bytesLimit = reader.uint64();
    else if (tag === 0x20) volatileNumberLimit = reader.uint64();
    else if (tag === 0x28) volatileBytesLimit = reader.uint64();
    else if (tag === 0x30) paused = reader.bool();
    else reader.skip(tag, 0x7e);
  }
  return { subscription, numberLimit, bytesLimit, volatileNumberLimit, volatileBytesLimit, paused };
};

const writeTail = (writer: ByteWriter, tail: Tail): void => {
  uint32Field(writer, 0x08, tail.subscription);
  uint64Field(writer, 0x10, tail.last);
  uint32Field(writer, 0x18, tail.floorEpoch);
  uint64Field(writer, 0x20, tail.floorSeq);
};

const readTail = (reader: ByteReader): Tail => {
  let subscription = 0;
  let last = 0;
  let floorEpoch = 0;
  let floorSeq = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) subscription = reader.uint32();
    else if (tag === 0x10) last = reader.uint64();
    else if (tag === 0x18) floorEpoch = reader.uint32();
    else if (tag === 0x20) floorSeq = reader.uint64();
    else reader.skip(tag, 0x1e);
  }
  return { subscription, last, floorEpoch, floorSeq };
};
