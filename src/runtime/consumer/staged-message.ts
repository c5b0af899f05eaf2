/**
 * What a handler sends through `ctx`: kept with its mark until the producer accepted the settle.
 *
 * The stored form is a length-prefixed JSON head and the envelope bytes, per message. Version 1.
 */
export type StagedMessage = {
  readonly kind: "event" | "command";
  readonly subject: string;
  readonly keyHash: number;
  /** Milliseconds from release, or -1. */
  readonly expireAfterMs: number;
  readonly delayMs: number;
  readonly envelope: Uint8Array;
};

const VERSION = 1;

export const encodeStaged = (messages: readonly StagedMessage[]): Uint8Array => {
  const parts: Uint8Array[] = [Uint8Array.of(VERSION)];
  for (const { envelope, ...head } of messages) {
    const json = Buffer.from(JSON.stringify(head));
    const lengths = Buffer.allocUnsafe(8);
    lengths.writeUInt32BE(json.length, 0);
    lengths.writeUInt32BE(envelope.length, 4);
    parts.push(lengths, json, envelope);
  }
  return Buffer.concat(parts);
};

/** @throws RangeError when the bytes are of another version or cut short */
export const decodeStaged = (bytes: Uint8Array): StagedMessage[] => {
  if (bytes[0] !== VERSION) throw new RangeError(`held output of unknown version ${bytes[0]}`);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const messages: StagedMessage[] = [];
  let at = 1;
  while (at < buffer.length) {
    const headEnd = at + 8 + buffer.readUInt32BE(at);
    const end = headEnd + buffer.readUInt32BE(at + 4);
    if (end > buffer.length) throw new RangeError("held output is cut short");
    const head = JSON.parse(buffer.toString("utf8", at + 8, headEnd));
    messages.push({ ...head, envelope: buffer.subarray(headEnd, end) });
    at = end;
  }
  return messages;
};
