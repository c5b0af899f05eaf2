/**
 * Names of nodes and messages.
 *
 * Problem: a node needs a name nobody else has without asking anyone, and a message one that
 * repeats neither across nodes nor across restarts. Approach: a node id is 100 random bits, given
 * by the caller, in 20 characters; a message id is made of the node id and the message's position,
 * and is rendered only when somebody reads it. Base32 in Crockford's alphabet has no letters that
 * look like digits, needs no quoting in file names, subjects or URLs, and sorts like the bits it
 * stands for.
 *
 * Invariants: every id has exactly one spelling (lower case, no leading zeros), so ids compare as
 * strings; `parseMessageId(messageId(n, e, s))` gives back n, e and s.
 * Rejected: UUIDs (longer, and a v4 as message id would have to be stored instead of derived).
 * Source: Douglas Crockford, "Base 32"; DESIGN section 4, "Envelope".
 */
import { MeshError } from "../errors.ts";
import { EPOCH_MAX, SEQ_MAX } from "./position.ts";

declare const brand: unique symbol;

/**
 * 20 characters of lower-case Crockford base32. Branded, so that no other string passes for one.
 */
export type NodeId = string & { readonly [brand]: "NodeId" };

export type MessageIdParts = {
  readonly nodeId: NodeId;
  readonly epoch: number;
  readonly seq: number;
};

/** Random bytes that `nodeIdFrom` reads: 100 of their 104 bits are used. */
export const NODE_ID_RANDOM_BYTES = 13;

const LENGTH = 20;
const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const NODE_ID = /^[0-9a-hjkmnp-tv-z]{20}$/;
const NUMBER = /^(0|[1-9a-z][0-9a-z]{0,10})$/;

/**
 * Makes a node id of the first 100 bits given.
 * @throws MeshError INVALID_OPTIONS for fewer than 13 bytes
 */
export const nodeIdFrom = (bytes: Uint8Array): NodeId => {
  if (bytes.length < NODE_ID_RANDOM_BYTES) {
    throw new MeshError(
      "INVALID_OPTIONS",
      `a node id was asked of ${bytes.length} random bytes; it needs ${NODE_ID_RANDOM_BYTES}`,
    );
  }
  let text = "";
  let held = 0;
  let bits = 0;
  for (let at = 0; text.length < LENGTH; at++) {
    held = ((held << 8) | (bytes[at] as number)) & 0xfff;
    bits += 8;
    while (bits >= 5 && text.length < LENGTH) {
      bits -= 5;
      text += ALPHABET.charAt((held >> bits) & 31);
    }
  }
  return text as NodeId;
};

/** True for text in the one spelling of a node id. */
export const isNodeId = (text: string): text is NodeId => NODE_ID.test(text);

/** "<nodeId>-<epoch>-<seq>", the numbers in base 36. */
export const messageId = (nodeId: NodeId, epoch: number, seq: number): string =>
  `${nodeId}-${epoch.toString(36)}-${seq.toString(36)}`;

/**
 * The parts of a derived message id; undefined for any other text, such as an id a caller chose.
 */
export const parseMessageId = (text: string): MessageIdParts | undefined => {
  const parts = text.split("-", 4);
  const [nodeId, epochText, seqText] = parts;
  if (parts.length !== 3 || nodeId === undefined || !isNodeId(nodeId)) return undefined;
  const epoch = parseBase36(epochText, EPOCH_MAX);
  const seq = parseBase36(seqText, SEQ_MAX);
  return epoch === undefined || seq === undefined ? undefined : { nodeId, epoch, seq };
};

const parseBase36 = (text: string | undefined, max: number): number | undefined => {
  if (text === undefined || !NUMBER.test(text)) return undefined;
  const value = Number.parseInt(text, 36);
  return value <= max ? value : undefined;
};
