/**
 * The envelope: one message as it is journaled, sent and handed to a consumer.
 *
 * Problem: both ways run once per message. Most of the bytes (subject, kind, content type, version) are
 * the same for every message of a contract; a consumer mostly needs the payload, sometimes the key, and
 * seldom the rest. Approach: to write, an `EnvelopeTemplate` holds the constants encoded, and a message
 * is a copy of them and what differs, straight into the caller's arena (protobuf allows any order of
 * fields). To read, `EnvelopeView` parses nothing before it is asked; then it scans once, checks
 * everything and remembers where the fields are. Defaults are not written.
 *
 * Invariants: what is written is a valid `meshbus.v1.Envelope`; a getter returns what the bytes say or
 * throws WireError, and when one throws, all do. Of a repeated singular field the last one holds.
 */
import { ByteReader, isAscii, readFixed32, readText } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { CONTENT_TYPE_DEFAULT, RareValues } from "./envelope-rare.ts";
import { type EnvelopeVariables, restBytesBound, writeRest } from "./envelope-rest.ts";
import { textField, uint32Field } from "./field-writer.ts";
import { type HybridTime, hybridTimeFrom } from "./hybrid-time.ts";
import { WireError } from "./wire-error.ts";

/** 0: event, 1: command, 2: query. */
export type EnvelopeKind = 0 | 1 | 2;

/** What every message of one contract has in common. */
export type EnvelopeConstants = {
  /** Dot-separated tokens, never empty. */
  readonly subject: string;
  readonly kind: EnvelopeKind;
  /** Default "application/json". */
  readonly contentType?: string | undefined;
  /** The contract's version, below 2^32; default 0: none was declared. */
  readonly schemaVersion?: number | undefined;
};

export type EnvelopeFields = EnvelopeConstants & EnvelopeVariables;

/** Bits of the fields 1 to 15. */
const KNOWN = 0xfffe;
const NO_HEADERS: Readonly<Record<string, string>> = Object.freeze(Object.create(null));

/** The constant part, encoded once. Immutable; share it freely. */
export class EnvelopeTemplate {
  /** Encoded constants. Do not change. */
  readonly head: Uint8Array;

  /** @throws WireError when the subject is empty or schemaVersion is not below 2^32 */
  constructor(constants: EnvelopeConstants) {
    const { subject, kind, contentType, schemaVersion } = constants;
    if (subject === "") throw new WireError("envelope without subject");
    const writer = new ByteWriter();
    textField(writer, 0x0a, subject);
    uint32Field(writer, 0x10, kind);
    if (contentType !== CONTENT_TYPE_DEFAULT) textField(writer, 0x32, contentType);
    uint32Field(writer, 0x38, schemaVersion ?? 0);
    this.head = writer.take();
  }
}

/** Writes one envelope at the writer's position; returns how many bytes it took. */
export const writeEnvelope = (
  writer: ByteWriter,
  template: EnvelopeTemplate,
  fields: EnvelopeVariables,
): number => {
  const start = writer.position;
  const { head } = template;
  const headBytes = head.length;
  writer.ensure(headBytes + 33 + fields.payload.length);
  const buffer = writer.buffer;
  let at = start;
  for (let index = 0; index < headBytes; index++) buffer[at++] = head[index] as number;
  writer.position = at;
  return headBytes + writeRest(writer, fields);
};

/** Upper bound of what `writeEnvelope` takes: exact but for texts, which count three bytes a character. */
export const envelopeBytesBound = (template: EnvelopeTemplate, fields: EnvelopeVariables): number =>
  template.head.length + restBytesBound(fields);

/** One envelope as bytes of its own. Where a template is known, `envelopeOf` is cheaper. @throws WireError */
export const encodeEnvelope = (fields: EnvelopeFields): Uint8Array =>
  envelopeOf(new EnvelopeTemplate(fields), fields);

/** One envelope of a known template as bytes of its own. @throws WireError */
export const envelopeOf = (template: EnvelopeTemplate, fields: EnvelopeVariables): Uint8Array => {
  const writer = new ByteWriter(envelopeBytesBound(template, fields));
  writeEnvelope(writer, template, fields);
  return writer.take();
};

/** An envelope that is written straight into the frame that takes it. */
export class UnwrittenEnvelope {
  readonly template: EnvelopeTemplate;
  readonly variables: EnvelopeVariables;

  constructor(template: EnvelopeTemplate, variables: EnvelopeVariables) {
    this.template = template;
    this.variables = variables;
  }
}

/** An envelope read where it lies. It keeps the bytes alive; whoever wants less keeps a copy. */
export class EnvelopeView {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  readonly #head: EnvelopeView | undefined;
  #scanned = false;
  #kind: EnvelopeKind = 0;
  #subjectStart = 0;
  #subjectEnd = 0;
  /** -1: no key. */
  #keyStart = -1;
  #keyEnd = 0;
  /** Where the fixed64 is; -1: absent, which means zero. */
  #timeAt = -1;
  #payloadStart = 0;
  #payloadEnd = 0;
  #contentType: string = CONTENT_TYPE_DEFAULT;
  #schemaVersion = 0;
  #rare: RareValues | undefined = undefined;

  /**
   * The envelope is `bytes` from `start` (default 0) to `end` (default: its length), behind what `head` says,
   * which lies in the same bytes and holds constants alone.
   */
  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length, head?: EnvelopeView) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
    this.#head = head;
  }

  /** Whether it says nothing but what a template does. */
  get isConstant(): boolean {
    if (!this.#scanned) this.#scan();
    const isEmpty = this.#payloadEnd === 0 && this.#rare === undefined;
    return isEmpty && this.#keyStart < 0 && this.#timeAt < 0;
  }

  /** Never empty. */
  get subject(): string {
    if (!this.#scanned) this.#scan();
    return readText(this.#bytes, this.#subjectStart, this.#subjectEnd);
  }

  get kind(): EnvelopeKind {
    if (!this.#scanned) this.#scan();
    return this.#kind;
  }

  /** Undefined when the message has none; may be empty. */
  get key(): string | undefined {
    if (!this.#scanned) this.#scan();
    return this.#keyStart < 0 ? undefined : readText(this.#bytes, this.#keyStart, this.#keyEnd);
  }

  /** When the producer accepted it. */
  get time(): HybridTime {
    if (!this.#scanned) this.#scan();
    const at = this.#timeAt;
    if (at < 0) return hybridTimeFrom(0, 0);
    return hybridTimeFrom(readFixed32(this.#bytes, at + 4), readFixed32(this.#bytes, at));
  }

  /** Undefined when it is to be derived from producer and position. */
  get id(): string | undefined {
    return this.#rareValues()?.id;
  }

  /** "application/json" when absent. */
  get contentType(): string {
    if (!this.#scanned) this.#scan();
    return this.#contentType;
  }

  /** 0: none was declared. */
  get schemaVersion(): number {
    if (!this.#scanned) this.#scan();
    return this.#schemaVersion;
  }

  get correlationId(): string | undefined {
    return this.#rareValues()?.correlationId;
  }

  get causationId(): string | undefined {
    return this.#rareValues()?.causationId;
  }

  get traceparent(): string | undefined {
    return this.#rareValues()?.traceparent;
  }

  get tracestate(): string | undefined {
    return this.#rareValues()?.tracestate;
  }

  get idempotencyKey(): string | undefined {
    return this.#rareValues()?.idempotencyKey;
  }

  /** Frozen and without a prototype; of one name the last value holds. */
  get headers(): Readonly<Record<string, string>> {
    const headers = this.#rareValues()?.headers;
    return headers === undefined ? NO_HEADERS : Object.freeze(headers);
  }

  get replayOf(): string | undefined {
    return this.#rareValues()?.replayOf;
  }

  /** A view of the bytes, not a copy; a Buffer when the envelope lies in one. */
  get payload(): Uint8Array {
    if (!this.#scanned) this.#scan();
    return this.#bytes.subarray(this.#payloadStart, this.#payloadEnd);
  }

  /** The envelope as it came, unknown fields included, its head left out; a view, not checked. */
  rawBytes(): Uint8Array {
    return this.#bytes.subarray(this.#start, this.#end);
  }

  /** Checks everything now instead of at the first getter. @throws WireError */
  validate(): void {
    if (!this.#scanned) this.#scan();
  }

  #rareValues(): RareValues | undefined {
    if (!this.#scanned) this.#scan();
    return this.#rare;
  }

  #scan(): void {
    const reader = new ByteReader(this.#bytes, this.#start, this.#end);
    if (this.#head !== undefined) this.#takeHead(this.#head);
    while (reader.position < reader.limit) {
      const tag = reader.tag();
      if (tag === 0x7a) {
        this.#payloadEnd = reader.end();
        this.#payloadStart = reader.position;
        reader.position = this.#payloadEnd;
      } else if (tag === 0x0a) {
        this.#subjectEnd = checkedTextEnd(reader);
        this.#subjectStart = reader.position;
        reader.position = this.#subjectEnd;
      } else if (tag === 0x1a) {
        this.#keyEnd = checkedTextEnd(reader);
        this.#keyStart = reader.position;
        reader.position = this.#keyEnd;
      } else if (tag === 0x21) {
        this.#timeAt = reader.fixed64At();
      } else if (tag === 0x10) {
        this.#kind = readKind(reader);
      } else if (tag === 0x32) {
        this.#contentType = readContentType(reader);
      } else if (tag === 0x38) {
        this.#schemaVersion = reader.uint32();
      } else {
        this.#rare ??= new RareValues();
        if (!this.#rare.read(reader, tag)) reader.skip(tag, KNOWN);
      }
    }
    if (this.#subjectEnd === this.#subjectStart) throw new WireError("envelope without subject");
    this.#scanned = true;
  }

  #takeHead(head: EnvelopeView): void {
    head.validate();
    this.#kind = head.#kind;
    this.#subjectStart = head.#subjectStart;
    this.#subjectEnd = head.#subjectEnd;
    this.#contentType = head.#contentType;
    this.#schemaVersion = head.#schemaVersion;
  }
}

/** Reads a length, checks that the text behind it is UTF-8, and returns where it ends. */
const checkedTextEnd = (reader: ByteReader): number => {
  const end = reader.end();
  if (!isAscii(reader.bytes, reader.position, end)) readText(reader.bytes, reader.position, end);
  return end;
};

/** Neighbours have the same one mostly: compared with the last, it costs no string. */
const readContentType = (reader: ByteReader): string => {
  const end = reader.end();
  const { bytes, position } = reader;
  reader.position = end;
  const last = lastContentType;
  if (end - position === last.length) {
    let at = 0;
    while (at < last.length && bytes[position + at] === last.charCodeAt(at)) at++;
    if (at === last.length) return last;
  }
  const text = readText(bytes, position, end);
  if (text === "") return CONTENT_TYPE_DEFAULT;
  // Of ASCII a byte is a character; a long one is not worth keeping.
  if (text.length === end - position && text.length <= 64) lastContentType = text;
  return text;
};

let lastContentType: string = CONTENT_TYPE_DEFAULT;

const readKind = (reader: ByteReader): EnvelopeKind => {
  const kind = reader.uint64();
  if (kind !== 0 && kind !== 1 && kind !== 2) throw new WireError(`unknown kind ${kind}`);
  return kind;
};
