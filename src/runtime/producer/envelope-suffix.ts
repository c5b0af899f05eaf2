/**
 * Adds a field to an encoded envelope without decoding it: in protobuf the fields of two concatenated
 * messages are merged, and of a field given twice the last value holds.
 */
const ID_TAG = 0x2a; // Envelope.id = 5
const REPLAY_OF_TAG = 0x72; // Envelope.replay_of = 14

/** The envelope with the id a caller will know it by, whatever position it is appended at. */
export const withId = (envelope: Uint8Array, id: string): Uint8Array =>
  withText(envelope, ID_TAG, id);

export const withReplayOf = (envelope: Uint8Array, id: string): Uint8Array =>
  withText(envelope, REPLAY_OF_TAG, id);

const withText = (envelope: Uint8Array, tag: number, text: string): Uint8Array => {
  const value = Buffer.from(text);
  if (value.length > 0x3fff) throw new RangeError(`field of ${value.length} B exceeds 16383 B`);
  const length =
    value.length < 0x80 ? [value.length] : [(value.length & 0x7f) | 0x80, value.length >> 7];
  return Buffer.concat([envelope, Uint8Array.of(tag, ...length), value]);
};
