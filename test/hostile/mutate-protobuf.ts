/**
 * Protobuf bytes, broken with knowledge of their structure: a random change in a tree of fields, lengths made right
 * again or not, or in the bytes themselves.
 *
 * Random bytes seldom pass the first field; what finds faults is a message that is right but for one thing. The same
 * seed gives the same bytes.
 */
export type Dice = { readonly below: (max: number) => number };

/** Mulberry32. */
export const diceOf = (seed: number): Dice => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return { below: (max) => next() % max };
};

type Field = {
  readonly at: number;
  readonly valueAt: number;
  readonly end: number;
  readonly wire: number;
};

export const mutateProtobuf = (bytes: Uint8Array, other: Uint8Array, dice: Dice): Uint8Array => {
  switch (dice.below(10)) {
    case 0:
      return flipped(bytes, dice);
    case 1:
      return bytes.subarray(0, dice.below(bytes.length + 1));
    case 2:
      return Buffer.concat([bytes, other.subarray(0, dice.below(other.length + 1))]);
    case 3:
      return nested(bytes, dice);
    default:
      return inField(bytes, other, dice, 0);
  }
};

const inField = (bytes: Uint8Array, other: Uint8Array, dice: Dice, depth: number): Uint8Array => {
  const fields = fieldsOf(bytes);
  const field = fields[dice.below(Math.max(1, fields.length))];
  if (field === undefined) return flipped(bytes, dice);
  const before = bytes.subarray(0, field.at);
  const whole = bytes.subarray(field.at, field.end);
  const after = bytes.subarray(field.end);
  const tag = bytes.subarray(field.at, field.valueAt);
  if (field.wire === 2 && depth < 4 && dice.below(3) > 0) {
    const value = innerOf(bytes, field);
    const inner = inField(value, other, dice, depth + 1);
    const length = dice.below(8) === 0 ? varint(dice.below(2 ** 31)) : varint(inner.length);
    return Buffer.concat([before, tagOnly(tag, bytes, field), length, inner, after]);
  }
  switch (dice.below(7)) {
    case 0:
      return Buffer.concat([before, after]);
    case 1:
      return Buffer.concat([before, whole, whole, after]);
    case 2:
      return Buffer.concat([after, before, whole]);
    case 3: // another wire type
      return Buffer.concat([
        before,
        Buffer.from([(whole[0] as number) ^ (1 + dice.below(7))]),
        whole.subarray(1),
        after,
      ]);
    case 4: // another number
      return Buffer.concat([before, tagOnly(tag, bytes, field), extreme(dice), after]);
    case 5:
      return Buffer.concat([before, other.subarray(0, dice.below(other.length + 1)), after]);
    default:
      return Buffer.concat([before, flipped(whole, dice), after]);
  }
};

/** The bytes deep inside messages of themselves. */
const nested = (bytes: Uint8Array, dice: Dice): Uint8Array => {
  let inner: Uint8Array = bytes;
  const tag = 2 | (dice.below(16) << 3);
  for (let depth = dice.below(64); depth > 0; depth--) {
    inner = Buffer.concat([Buffer.from([tag]), varint(inner.length), inner]);
  }
  return inner;
};

const flipped = (bytes: Uint8Array, dice: Dice): Uint8Array => {
  const copy = Buffer.from(bytes);
  for (let left = 1 + dice.below(4); left > 0 && copy.length > 0; left--) {
    copy[dice.below(copy.length)] = dice.below(256);
  }
  return copy;
};

const EXTREMES = [
  "00",
  "01",
  "7f",
  "ff01",
  "ffffffff0f",
  "ffffffffffffff0f",
  "ffffffffffffffffff01",
  "80808080808080808000",
];
const extreme = (dice: Dice): Uint8Array =>
  Buffer.from(EXTREMES[dice.below(EXTREMES.length)] as string, "hex");

/** Fields up to the first that is none. */
const fieldsOf = (bytes: Uint8Array): Field[] => {
  const fields: Field[] = [];
  let at = 0;
  while (at < bytes.length) {
    const tag = readVarint(bytes, at);
    if (tag === undefined) break;
    const wire = tag.value & 7;
    let end: number;
    if (wire === 0) end = readVarint(bytes, tag.end)?.end ?? -1;
    else if (wire === 1) end = tag.end + 8;
    else if (wire === 5) end = tag.end + 4;
    else if (wire === 2) {
      const length = readVarint(bytes, tag.end);
      end = length === undefined ? -1 : length.end + length.value;
    } else end = -1;
    if (end < 0 || end > bytes.length) break;
    fields.push({ at, valueAt: tag.end, end, wire });
    at = end;
  }
  return fields;
};

const innerOf = (bytes: Uint8Array, { valueAt, end }: Field): Uint8Array =>
  bytes.subarray(readVarint(bytes, valueAt)?.end ?? valueAt, end);

const tagOnly = (tag: Uint8Array, bytes: Uint8Array, { at, valueAt }: Field): Uint8Array =>
  tag.length > 0 ? tag : bytes.subarray(at, valueAt);

const readVarint = (
  bytes: Uint8Array,
  from: number,
): { value: number; end: number } | undefined => {
  let value = 0;
  for (let at = from; at < Math.min(bytes.length, from + 10); at++) {
    const byte = bytes[at] as number;
    value += (byte & 0x7f) * 2 ** (7 * (at - from));
    if (byte < 0x80) return { value, end: at + 1 };
  }
  return undefined;
};

const varint = (value: number): Uint8Array => {
  const bytes: number[] = [];
  let left = value;
  while (left >= 0x80) {
    bytes.push((left % 0x80) | 0x80);
    left = Math.floor(left / 0x80);
  }
  bytes.push(left);
  return Buffer.from(bytes);
};
