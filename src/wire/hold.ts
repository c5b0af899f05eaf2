/** The frame about tokens: who holds which shards of a subscription, and whom the sender is linked with. */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { enumName, enumNumber } from "./enum-codec.ts";
import { messageFields, packedField, textField, uint32Field, uint64Field } from "./field-writer.ts";
import { WireError } from "./wire-error.ts";

const PHASES = ["claimed", "held", "moving", "released"] as const;

export type HoldPhase = (typeof PHASES)[number];

export type HoldEntry = {
  /** Node id of the member whose token it is. */
  readonly holder: string;
  readonly term: number;
  readonly phase: HoldPhase;
  /** For released shards: who may take them. */
  readonly next: string;
  /** Pairs of how many shards are skipped and how many follow, flat; always an even number of them. */
  readonly shards: readonly number[];
};

export type HoldFrame = {
  readonly type: "hold";
  readonly session: number;
  /** "event <group> <pattern>" or "command <pattern>". */
  readonly subscription: string;
  readonly entries: readonly HoldEntry[];
  /** Members of the subscription that the sender has a session with. */
  readonly linked: readonly string[];
};

export const writeHold = (writer: ByteWriter, frame: HoldFrame): void => {
  textField(writer, 0x0a, frame.subscription);
  messageFields(writer, 0x12, frame.entries, writeEntry);
  for (const nodeId of frame.linked) {
    writer.tag(0x1a);
    writer.string(nodeId);
  }
};

export const readHold = (reader: ByteReader, session: number): HoldFrame => {
  let subscription = "";
  const entries: HoldEntry[] = [];
  const linked: string[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) subscription = reader.string();
    else if (tag === 0x12) entries.push(reader.message(readEntry));
    else if (tag === 0x1a) linked.push(reader.string());
    else reader.skip(tag, 0x0e);
  }
  return { type: "hold", session, subscription, entries, linked };
};

const writeEntry = (writer: ByteWriter, entry: HoldEntry): void => {
  textField(writer, 0x0a, entry.holder);
  uint64Field(writer, 0x10, entry.term);
  uint32Field(writer, 0x18, enumNumber(PHASES, entry.phase, "phase"));
  textField(writer, 0x22, entry.next);
  packedField(writer, 0x2a, entry.shards);
};

const readEntry = (reader: ByteReader): HoldEntry => {
  let holder = "";
  let term = 0;
  let phase: HoldPhase = "claimed";
  let next = "";
  const shards: number[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) holder = reader.string();
    else if (tag === 0x10) term = reader.uint64();
    else if (tag === 0x18) phase = enumName(PHASES, reader.uint64(), "phase");
    else if (tag === 0x22) next = reader.string();
    else if (tag === 0x2a) reader.packed32(shards);
    else if (tag === 0x28) shards.push(reader.uint32());
    else reader.skip(tag, 0x3e);
  }
  if (shards.length % 2 === 1) {
    throw new WireError(`shards has ${shards.length} numbers, not pairs`);
  }
  return { holder, term, phase, next, shards };
};
