/**
 * The frames about how messages ended: Settle from the consumer, Accepted from the producer, Ask after
 * a reconnect, Resync when delivery numbers have a gap.
 */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { enumName, enumNumber } from "./enum-codec.ts";
import { messageFields, packedField, textField, uint32Field, uint64Field } from "./field-writer.ts";
import { WireError } from "./wire-error.ts";

const OUTCOMES = ["retry", "dead", "return"] as const;
const VERDICTS = ["yours", "other", "pending"] as const;

export type Outcome = (typeof OUTCOMES)[number];
export type Verdict = (typeof VERDICTS)[number];

/** Where a message is in its producer's journal. */
export type Position = { readonly epoch: number; readonly seq: number };

export type Nack = {
  /** Delivery number. */
  readonly number: number;
  readonly outcome: Outcome;
  readonly delayMs: number;
  /** Failed attempts after this one. */
  readonly attempts: number;
  readonly reason: string;
  readonly errorName: string;
  readonly errorMessage: string;
  /** Attempts before the last that nobody was told of, oldest first. */
  readonly earlier: readonly NackError[];
};

export type NackError = {
  readonly name: string;
  readonly message: string;
  /** Milliseconds before the nack. */
  readonly agoMs: number;
};

export type SettleSection = {
  readonly subscription: number;
  /**
   * Pairs of first delivery number and count, flat; always an even number of them. A count is whatever
   * the peer says: bound it by what was sent before looping over it.
   */
  readonly acked: readonly number[];
  /** Delivery numbers. */
  readonly held: readonly number[];
  readonly nacks: readonly Nack[];
  readonly released: readonly Position[];
};

export type SettleFrame = {
  readonly type: "settle";
  readonly session: number;
  readonly sections: readonly SettleSection[];
};

export type AcceptedEntry = {
  readonly subscription: number;
  /** Of a subscription that the member does not declare; `subscription` is 0 then. Else "". */
  readonly name: string;
  readonly epoch: number;
  readonly seq: number;
  readonly verdict: Verdict;
};

export type AcceptedFrame = {
  readonly type: "accepted";
  readonly session: number;
  readonly entries: readonly AcceptedEntry[];
};

export type AskFrame = {
  readonly type: "ask";
  readonly session: number;
  readonly subscription: number;
  /** Of a subscription that the asker does not declare; `subscription` is 0 then. Else "". */
  readonly name: string;
  readonly positions: readonly Position[];
  /** Output of these has left. */
  readonly released: readonly Position[];
};

export type ResyncFrame = {
  readonly type: "resync";
  readonly session: number;
  readonly subscription: number;
  /** Delivery number from which to send again. */
  readonly from: number;
};

export const writeSettle = (writer: ByteWriter, frame: SettleFrame): void => {
  messageFields(writer, 0x0a, frame.sections, writeSettleSection);
};

export const readSettle = (reader: ByteReader, session: number): SettleFrame => {
  const sections: SettleSection[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) sections.push(reader.message(readSettleSection));
    else reader.skip(tag, 0x02);
  }
  return { type: "settle", session, sections };
};

export const writeAccepted = (writer: ByteWriter, frame: AcceptedFrame): void => {
  messageFields(writer, 0x0a, frame.entries, writeAcceptedEntry);
};

export const readAccepted = (reader: ByteReader, session: number): AcceptedFrame => {
  const entries: AcceptedEntry[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) entries.push(reader.message(readAcceptedEntry));
    else reader.skip(tag, 0x02);
  }
  return { type: "accepted", session, entries };
};

export const writeAsk = (writer: ByteWriter, frame: AskFrame): void => {
  uint32Field(writer, 0x08, frame.subscription);
  messageFields(writer, 0x12, frame.positions, writePosition);
  textField(writer, 0x1a, frame.name);
  messageFields(writer, 0x22, frame.released, writePosition);
};

export const readAsk = (reader: ByteReader, session: number): AskFrame => {
  let subscription = 0;
  let name = "";
  const positions: Position[] = [];
  const released: Position[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) subscription = reader.uint32();
    else if (tag === 0x12) positions.push(reader.message(readPosition));
    else if (tag === 0x1a) name = reader.string();
    else if (tag === 0x22) released.push(reader.message(readPosition));
    else reader.skip(tag, 0x1e);
  }
  return { type: "ask", session, subscription, name, positions, released };
};

export const writeResync = (writer: ByteWriter, frame: ResyncFrame): void => {
  uint32Field(writer, 0x08, frame.subscription);
  uint64Field(writer, 0x10, frame.from);
};

export const readResync = (reader: ByteReader, session: number): ResyncFrame => {
  let subscription = 0;
  let from = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) subscription = reader.uint32();
    else if (tag === 0x10) from = reader.uint64();
    else reader.skip(tag, 0x06);
  }
  return { type: "resync", session, subscription, from };
};

const writeSettleSection = (writer: ByteWriter, section: SettleSection): void => {
  uint32Field(writer, 0x08, section.subscription);
  packedField(writer, 0x12, section.acked);
  packedField(writer, 0x1a, section.held);
  messageFields(writer, 0x22, section.nacks, writeNack);
  messageFields(writer, 0x2a, section.released, writePosition);
};

const readSettleSection = (reader: ByteReader): SettleSection => {
  let subscription = 0;
  const acked: number[] = [];
  const held: number[] = [];
  const nacks: Nack[] = [];
  const released: Position[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) subscription = reader.uint32();
    else if (tag === 0x12) reader.packed(acked);
    else if (tag === 0x10) acked.push(reader.uint64());
    else if (tag === 0x1a) reader.packed(held);
    else if (tag === 0x18) held.push(reader.uint64());
    else if (tag === 0x22) nacks.push(reader.message(readNack));
    else if (tag === 0x2a) released.push(reader.message(readPosition));
    else reader.skip(tag, 0x3e);
  }
  if (acked.length % 2 === 1) throw new WireError(`acked has ${acked.length} numbers, not pairs`);
  return { subscription, acked, held, nacks, released };
};

const writeNack = (writer: ByteWriter, nack: Nack): void => {
  uint64Field(writer, 0x08, nack.number);
  uint32Field(writer, 0x10, enumNumber(OUTCOMES, nack.outcome, "outcome"));
  uint64Field(writer, 0x18, nack.delayMs);
  uint32Field(writer, 0x20, nack.attempts);
  textField(writer, 0x2a, nack.reason);
  textField(writer, 0x32, nack.errorName);
  textField(writer, 0x3a, nack.errorMessage);
  messageFields(writer, 0x42, nack.earlier, writeNackError);
};

const writeNackError = (writer: ByteWriter, error: NackError): void => {
  textField(writer, 0x0a, error.name);
  textField(writer, 0x12, error.message);
  uint64Field(writer, 0x18, error.agoMs);
};

const readNackError = (reader: ByteReader): NackError => {
  const error = { name: "", message: "", agoMs: 0 };
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) error.name = reader.string();
    else if (tag === 0x12) error.message = reader.string();
    else if (tag === 0x18) error.agoMs = reader.uint64();
    else reader.skip(tag, 0x0e);
  }
  return error;
};

const readNack = (reader: ByteReader): Nack => {
  const nack = {
    number: 0,
    outcome: "retry" as Outcome,
    delayMs: 0,
    attempts: 0,
    reason: "",
    errorName: "",
    errorMessage: "",
    earlier: [] as NackError[],
  };
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) nack.number = reader.uint64();
    else if (tag === 0x10) nack.outcome = enumName(OUTCOMES, reader.uint64(), "outcome");
    else if (tag === 0x18) nack.delayMs = reader.uint64();
    else if (tag === 0x20) nack.attempts = reader.uint32();
    else if (tag === 0x2a) nack.reason = reader.string();
    else if (tag === 0x32) nack.errorName = reader.string();
    else if (tag === 0x3a) nack.errorMessage = reader.string();
    else if (tag === 0x42) nack.earlier.push(reader.message(readNackError));
    else reader.skip(tag, 0x1fe);
  }
  return nack;
};

const writePosition = (writer: ByteWriter, position: Position): void => {
  uint32Field(writer, 0x08, position.epoch);
  uint64Field(writer, 0x10, position.seq);
};

const readPosition = (reader: ByteReader): Position => {
  let epoch = 0;
  let seq = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) epoch = reader.uint32();
    else if (tag === 0x10) seq = reader.uint64();
    else reader.skip(tag, 0x06);
  }
  return { epoch, seq };
};

const writeAcceptedEntry = (writer: ByteWriter, entry: AcceptedEntry): void => {
  uint32Field(writer, 0x08, entry.subscription);
  uint32Field(writer, 0x10, entry.epoch);
  uint64Field(writer, 0x18, entry.seq);
  uint32Field(writer, 0x20, enumNumber(VERDICTS, entry.verdict, "verdict"));
  textField(writer, 0x2a, entry.name);
};

const readAcceptedEntry = (reader: ByteReader): AcceptedEntry => {
  let subscription = 0;
  let epoch = 0;
  let seq = 0;
  let verdict: Verdict = "yours";
  let name = "";
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) subscription = reader.uint32();
    else if (tag === 0x10) epoch = reader.uint32();
    else if (tag === 0x18) seq = reader.uint64();
    else if (tag === 0x20) verdict = enumName(VERDICTS, reader.uint64(), "verdict");
    else if (tag === 0x2a) name = reader.string();
    else reader.skip(tag, 0x3e);
  }
  return { subscription, name, epoch, seq, verdict };
};
