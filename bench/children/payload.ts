/**
 * Payloads of 128 bytes that carry their round and number, made anew for each message as an application
 * would; the same for every system.
 */
export const PAYLOAD_BYTES = 128;

export const numberedBytes = (round: number, sequence: number): Buffer => {
  const bytes = Buffer.allocUnsafe(PAYLOAD_BYTES);
  bytes.writeUInt32LE(round, 0);
  bytes.writeUInt32LE(sequence, 4);
  return bytes;
};

export const roundOfBytes = (bytes: Uint8Array): number => readUint32(bytes, 0);
export const sequenceOfBytes = (bytes: Uint8Array): number => readUint32(bytes, 4);

/** An object whose JSON text has 128 bytes. */
export type NumberedJson = {
  readonly round: number;
  readonly sequence: number;
  readonly text: string;
};

export const numberedJson = (round: number, sequence: number): NumberedJson => ({
  round: FIRST + round,
  sequence: FIRST + sequence,
  text: FILLING,
});

export const roundOfJson = (value: NumberedJson): number => value.round - FIRST;
export const sequenceOfJson = (value: NumberedJson): number => value.sequence - FIRST;

/** Numbers count from here, so that all have the same number of digits. */
const FIRST = 1_000_000_000;
const EMPTY_BYTES = JSON.stringify({ round: FIRST, sequence: FIRST, text: "" }).length;
const FILLING = "x".repeat(PAYLOAD_BYTES - EMPTY_BYTES);

const readUint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0;
