/**
 * The datagram of the heartbeat: 80 bytes, of a fixed layout, little-endian.
 *
 * | at | bytes | |
 * | 0 | 4 | "mbh1" |
 * | 4 | 1 | 1: a question, 2: an answer |
 * | 5 | 3 | zero, not read |
 * | 8 | 4 | of an answer: milliseconds for which the answering event loop has not turned |
 * | 12 | 4 | zero, not read |
 * | 16 | 8 | when the question left, microseconds of the asker's clock; an answer repeats it |
 * | 24 | 20 | node id of the sender |
 * | 44 | 20 | node id of the receiver |
 * | 64 | 16 | seal: whoever made it knows the nonces of both |
 *
 * Invariants: `readDatagram(writeDatagram(d))` gives `d`; anything else than 80 bytes that begin with the magic
 * and a known kind is undefined.
 */

export const DATAGRAM_BYTES = 80;
/** What the seal covers, from the start. */
export const SEALED_BYTES = 64;
export const SEAL_BYTES = 16;

export type HeartbeatDatagram = {
  readonly kind: "question" | "answer";
  readonly lagMs: number;
  readonly sentUs: bigint;
  readonly from: string;
  readonly to: string;
};

const MAGIC = 0x3168_626d; // "mbh1"
const QUESTION = 1;
const ANSWER = 2;
const NODE_ID_BYTES = 20;
const LAG_MS_MAX = 0xffff_ffff;

/** Without its seal. Node ids are 20 ASCII characters each. */
export const writeDatagram = (datagram: HeartbeatDatagram): Uint8Array => {
  const bytes = new Uint8Array(DATAGRAM_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint8(4, datagram.kind === "question" ? QUESTION : ANSWER);
  view.setUint32(8, Math.min(LAG_MS_MAX, Math.max(0, Math.floor(datagram.lagMs))), true);
  view.setBigUint64(16, datagram.sentUs, true);
  writeNodeId(bytes, 24, datagram.from);
  writeNodeId(bytes, 44, datagram.to);
  return bytes;
};

/** Undefined: it is none. The seal is the caller's to check. */
export const readDatagram = (bytes: Uint8Array): HeartbeatDatagram | undefined => {
  if (bytes.length !== DATAGRAM_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = view.getUint8(4);
  if (view.getUint32(0, true) !== MAGIC || (kind !== QUESTION && kind !== ANSWER)) return undefined;
  return {
    kind: kind === QUESTION ? "question" : "answer",
    lagMs: view.getUint32(8, true),
    sentUs: view.getBigUint64(16, true),
    from: readNodeId(bytes, 24),
    to: readNodeId(bytes, 44),
  };
};

const writeNodeId = (bytes: Uint8Array, at: number, nodeId: string): void => {
  for (let n = 0; n < NODE_ID_BYTES; n++) bytes[at + n] = nodeId.charCodeAt(n);
};

const readNodeId = (bytes: Uint8Array, at: number): string =>
  String.fromCharCode(...bytes.subarray(at, at + NODE_ID_BYTES));
