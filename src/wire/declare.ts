/** The frames about subscriptions: Declare says what a side takes, Declared answers each. */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { enumName, enumNumber } from "./enum-codec.ts";
import {
  boolField,
  messageFields,
  packedField,
  textField,
  timeField,
  uint32Field,
  uint64Field,
} from "./field-writer.ts";
import { type HybridTime, hybridTimeFrom } from "./hybrid-time.ts";

const ROLES = ["events", "commands", "queries"] as const;
const DISTRIBUTIONS = ["key", "any"] as const;
const STARTS = ["new", "earliest", "time"] as const;

export type Role = (typeof ROLES)[number];
export type Distribution = (typeof DISTRIBUTIONS)[number];
export type Start = (typeof STARTS)[number];

/** A message passes when it has each of these headers with this value. */
export type HeaderFilter = { readonly name: string; readonly value: string };

export type SubscriptionRecord = {
  /** Chosen by the consumer, unique in its session, from 1. */
  readonly index: number;
  readonly role: Role;
  readonly group: string;
  readonly pattern: string;
  readonly durable: boolean;
  readonly birthTime: HybridTime;
  readonly birthCreator: string;
  readonly distribution: Distribution;
  readonly failoverMove: boolean;
  readonly holdOnDead: boolean;
  readonly start: Start;
  /** Milliseconds since 1970, for start "time". */
  readonly startTimeMs: number;
  readonly weight: number;
  readonly filter: readonly HeaderFilter[];
  readonly definedTime: HybridTime;
  /** Lowest and highest contract version the handler reads; 0: any. */
  readonly versionMin: number;
  readonly versionMax: number;
};

export type EndedSubscription = {
  readonly role: Role;
  readonly group: string;
  readonly pattern: string;
  readonly time: HybridTime;
};

export type DeclareFrame = {
  readonly type: "declare";
  readonly session: number;
  readonly add: readonly SubscriptionRecord[];
  readonly drain: readonly number[];
  readonly remove: readonly number[];
  readonly complete: boolean;
  readonly ended: readonly EndedSubscription[];
};

export type Confirmation = {
  readonly subscription: number;
  /** Empty: confirmed. */
  readonly code: string;
  readonly message: string;
};

export type DeclaredFrame = {
  readonly type: "declared";
  readonly session: number;
  readonly confirmations: readonly Confirmation[];
};

export const writeDeclare = (writer: ByteWriter, frame: DeclareFrame): void => {
  messageFields(writer, 0x0a, frame.add, writeSubscription);
  packedField(writer, 0x12, frame.drain);
  packedField(writer, 0x1a, frame.remove);
  boolField(writer, 0x20, frame.complete);
  messageFields(writer, 0x2a, frame.ended, writeEnded);
};

export const readDeclare = (reader: ByteReader, session: number): DeclareFrame => {
  const add: SubscriptionRecord[] = [];
  const drain: number[] = [];
  const remove: number[] = [];
  const ended: EndedSubscription[] = [];
  let complete = false;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) add.push(reader.message(readSubscription));
    else if (tag === 0x12) reader.packed32(drain);
    else if (tag === 0x10) drain.push(reader.uint32());
    else if (tag === 0x1a) reader.packed32(remove);
    else if (tag === 0x18) remove.push(reader.uint32());
    else if (tag === 0x20) complete = reader.bool();
    else if (tag === 0x2a) ended.push(reader.message(readEnded));
    else reader.skip(tag, 0x3e);
  }
  return { type: "declare", session, add, drain, remove, complete, ended };
};

export const writeDeclared = (writer: ByteWriter, frame: DeclaredFrame): void => {
  messageFields(writer, 0x0a, frame.confirmations, writeConfirmation);
};

export const readDeclared = (reader: ByteReader, session: number): DeclaredFrame => {
  const confirmations: Confirmation[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) confirmations.push(reader.message(readConfirmation));
    else reader.skip(tag, 0x02);
  }
  return { type: "declared", session, confirmations };
};

export const writeSubscription = (writer: ByteWriter, record: SubscriptionRecord): void => {
  uint32Field(writer, 0x08, record.index);
  uint32Field(writer, 0x10, enumNumber(ROLES, record.role, "role"));
  textField(writer, 0x1a, record.group);
  textField(writer, 0x22, record.pattern);
  boolField(writer, 0x28, record.durable);
  timeField(writer, 0x31, record.birthTime);
  textField(writer, 0x3a, record.birthCreator);
  uint32Field(writer, 0x40, enumNumber(DISTRIBUTIONS, record.distribution, "distribution"));
  boolField(writer, 0x48, record.failoverMove);
  boolField(writer, 0x50, record.holdOnDead);
  uint32Field(writer, 0x58, enumNumber(STARTS, record.start, "start"));
  uint64Field(writer, 0x60, record.startTimeMs);
  uint32Field(writer, 0x68, record.weight);
  messageFields(writer, 0x72, record.filter, writeFilter);
  timeField(writer, 0x79, record.definedTime);
  uint32Field(writer, 0x80, record.versionMin);
  uint32Field(writer, 0x88, record.versionMax);
};

export const readSubscription = (reader: ByteReader): SubscriptionRecord => {
  const filter: HeaderFilter[] = [];
  const record = {
    index: 0,
    role: "events" as Role,
    group: "",
    pattern: "",
    durable: false,
    birthTime: hybridTimeFrom(0, 0),
    birthCreator: "",
    distribution: "key" as Distribution,
    failoverMove: false,
    holdOnDead: false,
    start: "new" as Start,
    startTimeMs: 0,
    weight: 0,
    filter,
    definedTime: hybridTimeFrom(0, 0),
    versionMin: 0,
    versionMax: 0,
  };
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) record.index = reader.uint32();
    else if (tag === 0x10) record.role = enumName(ROLES, reader.uint64(), "role");
    else if (tag === 0x1a) record.group = reader.string();
    else if (tag === 0x22) record.pattern = reader.string();
    else if (tag === 0x28) record.durable = reader.bool();
    else if (tag === 0x31) record.birthTime = reader.time();
    else if (tag === 0x3a) record.birthCreator = reader.string();
    else if (tag === 0x40) {
      record.distribution = enumName(DISTRIBUTIONS, reader.uint64(), "distribution");
    } else if (tag === 0x48) record.failoverMove = reader.bool();
    else if (tag === 0x50) record.holdOnDead = reader.bool();
    else if (tag === 0x58) record.start = enumName(STARTS, reader.uint64(), "start");
    else if (tag === 0x60) record.startTimeMs = reader.uint64();
    else if (tag === 0x68) record.weight = reader.uint32();
    else if (tag === 0x72) filter.push(reader.message(readFilter));
    else if (tag === 0x79) record.definedTime = reader.time();
    else if (tag === 0x80) record.versionMin = reader.uint32();
    else if (tag === 0x88) record.versionMax = reader.uint32();
    else reader.skip(tag, 0x3_fffe);
  }
  return record;
};

const writeFilter = (writer: ByteWriter, filter: HeaderFilter): void => {
  textField(writer, 0x0a, filter.name);
  textField(writer, 0x12, filter.value);
};

const readFilter = (reader: ByteReader): HeaderFilter => {
  let name = "";
  let value = "";
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) name = reader.string();
    else if (tag === 0x12) value = reader.string();
    else reader.skip(tag, 0x06);
  }
  return { name, value };
};

export const writeEnded = (writer: ByteWriter, ended: EndedSubscription): void => {
  uint32Field(writer, 0x08, enumNumber(ROLES, ended.role, "role"));
  textField(writer, 0x12, ended.group);
  textField(writer, 0x1a, ended.pattern);
  timeField(writer, 0x21, ended.time);
};

export const readEnded = (reader: ByteReader): EndedSubscription => {
  let role: Role = "events";
  let group = "";
  let pattern = "";
  let time = hybridTimeFrom(0, 0);
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) role = enumName(ROLES, reader.uint64(), "role");
    else if (tag === 0x12) group = reader.string();
    else if (tag === 0x1a) pattern = reader.string();
    else if (tag === 0x21) time = reader.time();
    else reader.skip(tag, 0x1e);
  }
  return { role, group, pattern, time };
};

const writeConfirmation = (writer: ByteWriter, confirmation: Confirmation): void => {
  uint32Field(writer, 0x08, confirmation.subscription);
  textField(writer, 0x12, confirmation.code);
  textField(writer, 0x1a, confirmation.message);
};

const readConfirmation = (reader: ByteReader): Confirmation => {
  let subscription = 0;
  let code = "";
  let message = "";
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x08) subscription = reader.uint32();
    else if (tag === 0x12) code = reader.string();
    else if (tag === 0x1a) message = reader.string();
    else reader.skip(tag, 0x0e);
  }
  return { subscription, code, message };
};
