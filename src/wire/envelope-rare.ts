/**
 * The fields of an envelope that most messages do not have: ids, trace context, headers. Kept apart so
 * that the common message pays one check for all of them, both ways.
 */
import type { ByteReader } from "./byte-reader.ts";
import { type ByteWriter, varintBytes } from "./byte-writer.ts";
import { textField } from "./field-writer.ts";

/** What an absent content type means. */
export const CONTENT_TYPE_DEFAULT = "application/json";

/** An empty text is the same as none. */
export type RareFields = {
  /** Given by the caller, or kept from an earlier position. */
  readonly id?: string | undefined;
  readonly correlationId?: string | undefined;
  readonly causationId?: string | undefined;
  /** W3C trace context. */
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
  readonly idempotencyKey?: string | undefined;
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Id of the dead letter that this message replays. */
  readonly replayOf?: string | undefined;
};

/** The rare fields as read. */
export class RareValues {
  id: string | undefined = undefined;
  correlationId: string | undefined = undefined;
  causationId: string | undefined = undefined;
  traceparent: string | undefined = undefined;
  tracestate: string | undefined = undefined;
  idempotencyKey: string | undefined = undefined;
  /** Without a prototype; of one name the last value holds. */
  headers: Record<string, string> | undefined = undefined;
  replayOf: string | undefined = undefined;

  /** Reads the field if it is one of these, with the right wire type; else says false. */
  read(reader: ByteReader, tag: number): boolean {
    if (tag === 0x6a) {
      this.headers ??= Object.create(null) as Record<string, string>;
      readHeader(reader, this.headers);
      return true;
    }
    // Length-delimited, field 5 to 14, but not 6 and 7.
    if ((tag & 7) !== 2 || tag < 0x2a || tag > 0x72 || tag === 0x32 || tag === 0x3a) return false;
    const text = reader.string();
    const value = text === "" ? undefined : text;
    if (tag === 0x2a) this.id = value;
    else if (tag === 0x42) this.correlationId = value;
    else if (tag === 0x4a) this.causationId = value;
    else if (tag === 0x52) this.traceparent = value;
    else if (tag === 0x5a) this.tracestate = value;
    else if (tag === 0x62) this.idempotencyKey = value;
    else this.replayOf = value;
    return true;
  }
}

export const hasRareFields = (fields: RareFields): boolean =>
  fields.id !== undefined ||
  fields.correlationId !== undefined ||
  fields.causationId !== undefined ||
  fields.traceparent !== undefined ||
  fields.tracestate !== undefined ||
  fields.idempotencyKey !== undefined ||
  fields.headers !== undefined ||
  fields.replayOf !== undefined;

export const writeRareFields = (writer: ByteWriter, fields: RareFields): void => {
  textField(writer, 0x2a, fields.id);
  textField(writer, 0x42, fields.correlationId);
  textField(writer, 0x4a, fields.causationId);
  textField(writer, 0x52, fields.traceparent);
  textField(writer, 0x5a, fields.tracestate);
  textField(writer, 0x62, fields.idempotencyKey);
  if (fields.headers !== undefined) writeHeaders(writer, fields.headers);
  textField(writer, 0x72, fields.replayOf);
};

/** Upper bound of what `writeRareFields` takes. */
export const rareFieldsBound = (fields: RareFields): number => {
  let bound = textBound(fields.id) + textBound(fields.correlationId);
  bound += textBound(fields.causationId) + textBound(fields.traceparent);
  bound += textBound(fields.tracestate) + textBound(fields.idempotencyKey);
  bound += textBound(fields.replayOf);
  const headers = fields.headers ?? {};
  for (const name of Object.keys(headers)) {
    bound += fieldBound(textBound(name) + textBound(headers[name]));
  }
  return bound;
};

/** Most bytes that a text field takes. */
export const textBound = (text: string | undefined): number =>
  text === undefined ? 0 : fieldBound(text.length * 3);

/** Bytes of a length-delimited field with a one-byte tag. */
export const fieldBound = (bytes: number): number => 1 + varintBytes(bytes) + bytes;

const writeHeaders = (writer: ByteWriter, headers: Readonly<Record<string, string>>): void => {
  for (const name of Object.keys(headers)) {
    writer.byte(0x6a);
    const start = writer.open(1);
    textField(writer, 0x0a, name);
    textField(writer, 0x12, headers[name]);
    writer.close(start, 1);
  }
};

const readHeader = (reader: ByteReader, into: Record<string, string>): void => {
  const outer = reader.enter();
  let name = "";
  let value = "";
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) name = reader.string();
    else if (tag === 0x12) value = reader.string();
    else reader.skip(tag, 0b110);
  }
  reader.leave(outer);
  // Without a prototype there is no setter: "__proto__" becomes an ordinary property.
  into[name] = value;
};
