/**
 * Payloads that carry their round and number, made anew for each message as an application would; the same
 * for every system. Of 128 bytes where nothing else is said.
 */
export const PAYLOAD_BYTES = 128;

export const numberedBytes = (
  round: number,
  sequence: number,
  size: number = PAYLOAD_BYTES,
): Buffer => {
  const bytes = Buffer.allocUnsafe(size);
  bytes.writeUInt32LE(round, 0);
  bytes.writeUInt32LE(sequence, 4);
  return bytes;
};

export const roundOfBytes = (bytes: Uint8Array): number => readUint32(bytes, 0);
export const sequenceOfBytes = (bytes: Uint8Array): number => readUint32(bytes, 4);

/** An object whose JSON text has the size of the payload. */
export type NumberedJson = {
  readonly round: number;
  readonly sequence: number;
  readonly text: string;
};

export const numberedJson = (
  round: number,
  sequence: number,
  size: number = PAYLOAD_BYTES,
): NumberedJson => ({ round: FIRST + round, sequence: FIRST + sequence, text: fillingOf(size) });

export const makePayload = (
  codec: "bytes" | "json",
  round: number,
  sequence: number,
  size: number,
): Buffer | NumberedJson =>
  codec === "json" ? numberedJson(round, sequence, size) : numberedBytes(round, sequence, size);

export const roundOf = (payload: unknown): number =>
  payload instanceof Uint8Array ? roundOfBytes(payload) : roundOfJson(payload as NumberedJson);

export const sequenceOf = (payload: unknown): number =>
  payload instanceof Uint8Array
    ? sequenceOfBytes(payload)
    : sequenceOfJson(payload as NumberedJson);

export const roundOfJson = (value: NumberedJson): number => value.round - FIRST;
export const sequenceOfJson = (value: NumberedJson): number => value.sequence - FIRST;

/** Numbers count from here, so that all have the same number of digits. */
const FIRST = 1_000_000_000;
const EMPTY_BYTES = JSON.stringify({ round: FIRST, sequence: FIRST, text: "" }).length;
let filling = "";
const fillingOf = (size: number): string => {
  if (filling.length !== size - EMPTY_BYTES) filling = "x".repeat(size - EMPTY_BYTES);
  return filling;
};

const readUint32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0;
