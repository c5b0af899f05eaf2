/**
 * Writes one field, tag included, unless it has its default value (proto3 leaves those out). For the
 * messages that are not on the hot path: given fields in ascending order, the bytes are the canonical
 * ones that other protobuf encoders write too.
 */
import type { ByteWriter } from "./byte-writer.ts";
import { type HybridTime, hybridTimeHigh, hybridTimeLow } from "./hybrid-time.ts";

export const textField = (writer: ByteWriter, tag: number, text: string | undefined): void => {
  if (text === undefined || text === "") return;
  writer.tag(tag);
  writer.string(text);
};

export const bytesField = (writer: ByteWriter, tag: number, bytes: Uint8Array): void => {
  if (bytes.length === 0) return;
  writer.tag(tag);
  writer.bytes(bytes);
};

export const uint32Field = (writer: ByteWriter, tag: number, value: number): void => {
  if (value === 0) return;
  writer.tag(tag);
  writer.uint32(value);
};

export const uint64Field = (writer: ByteWriter, tag: number, value: number): void => {
  if (value === 0) return;
  writer.tag(tag);
  writer.uint64(value);
};

export const boolField = (writer: ByteWriter, tag: number, value: boolean): void => {
  if (!value) return;
  writer.tag(tag);
  writer.byte(1);
};

export const timeField = (writer: ByteWriter, tag: number, time: HybridTime): void => {
  if (time.ms === 0 && time.counter === 0) return;
  writer.tag(tag);
  writer.fixed64(hybridTimeHigh(time), hybridTimeLow(time));
};

/** Repeated numbers, packed. */
export const packedField = (writer: ByteWriter, tag: number, values: readonly number[]): void => {
  if (values.length === 0) return;
  const start = openField(writer, tag);
  for (const value of values) writer.uint64(value);
  writer.close(start, 1);
};

/** A nested message, written also when it is empty. */
export const messageField = <Value>(
  writer: ByteWriter,
  tag: number,
  value: Value,
  write: (writer: ByteWriter, value: Value) => void,
): void => {
  const start = openField(writer, tag);
  write(writer, value);
  writer.close(start, 1);
};

/** A repeated nested message. */
export const messageFields = <Value>(
  writer: ByteWriter,
  tag: number,
  values: readonly Value[],
  write: (writer: ByteWriter, value: Value) => void,
): void => {
  for (const value of values) messageField(writer, tag, value, write);
};

const openField = (writer: ByteWriter, tag: number): number => {
  writer.tag(tag);
  return writer.open(1);
};
