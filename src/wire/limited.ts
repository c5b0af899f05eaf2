/**
 * Limited: a node tells its peer which limit of one peer it has reached, and for how long.
 *
 * It may get lost, and a reader that does not know it goes on as before: what the limit means is kept by who sends it.
 */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { textField, uint32Field } from "./field-writer.ts";

export type LimitedFrame = {
  readonly type: "limited";
  readonly session: number;
  /** An error code: RATE_LIMITED. */
  readonly code: string;
  /** Which limit: "messages", "bytes". */
  readonly kind: string;
  readonly message: string;
  /** For so long at least. */
  readonly waitMs: number;
};

export const writeLimited = (writer: ByteWriter, limited: LimitedFrame): void => {
  textField(writer, 0x0a, limited.code);
  textField(writer, 0x12, limited.kind);
  textField(writer, 0x1a, limited.message);
  uint32Field(writer, 0x20, limited.waitMs);
};

export const readLimited = (reader: ByteReader, session: number): LimitedFrame => {
  let code = "";
  let kind = "";
  let message = "";
  let waitMs = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) code = reader.string();
    else if (tag === 0x12) kind = reader.string();
    else if (tag === 0x1a) message = reader.string();
    else if (tag === 0x20) waitMs = reader.uint32();
    else reader.skip(tag, 0x1e);
  }
  return { type: "limited", session, code, kind, message, waitMs };
};
