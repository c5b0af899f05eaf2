/**
 * The frames of nodes with keys: Challenge and Proof in the greeting, Credentials in a session.
 *
 * What they carry is bytes that the reader's port of security judges; nothing here knows a certificate. A reader
 * takes at most CHAIN_MAX certificates: more is malformed.
 */
import type { ByteReader } from "./byte-reader.ts";
import type { ByteWriter } from "./byte-writer.ts";
import { bytesField } from "./field-writer.ts";
import { WireError } from "./wire-error.ts";

/** More than any mesh has: the leaf and its issuers. */
const CHAIN_MAX = 8;

/** What a Hello of a node with keys carries beside the rest. */
export type ShownCertificate = {
  /** 32 random bytes, for this connection alone. */
  readonly nonce: Uint8Array;
  /** Leaf first, DER. */
  readonly chain: readonly Uint8Array[];
};

export type ChallengeFrame = ShownCertificate & {
  readonly type: "challenge";
  readonly session: number;
  readonly signature: Uint8Array;
};

export type ProofFrame = {
  readonly type: "proof";
  readonly session: number;
  readonly signature: Uint8Array;
};

export type CredentialsFrame = {
  readonly type: "credentials";
  readonly session: number;
  /** A newer certificate of the sender; empty: none. */
  readonly chain: readonly Uint8Array[];
  /** A signed list of what is revoked; empty: none. */
  readonly revocations: Uint8Array;
  /** The mesh's secrets that the list names; empty: none. */
  readonly secrets: readonly Uint8Array[];
};

export type ProofFrames = ChallengeFrame | ProofFrame | CredentialsFrame;

const NO_BYTES: Uint8Array = Buffer.alloc(0);

const writeChain = (writer: ByteWriter, tag: number, chain: readonly Uint8Array[]): void => {
  for (const certificate of chain) {
    writer.tag(tag);
    writer.bytes(certificate);
  }
};

/** Takes one more certificate. @throws WireError when there are too many */
const readCertificate = (reader: ByteReader, chain: Uint8Array[]): void => {
  if (chain.length >= CHAIN_MAX) throw new WireError(`more than ${CHAIN_MAX} in a chain`);
  chain.push(reader.view());
};

export const writeShown = (writer: ByteWriter, shown: ShownCertificate): void => {
  bytesField(writer, 0x0a, shown.nonce);
  writeChain(writer, 0x12, shown.chain);
};

export const readShown = (reader: ByteReader): ShownCertificate => {
  let nonce = NO_BYTES;
  const chain: Uint8Array[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) nonce = reader.view();
    else if (tag === 0x12) readCertificate(reader, chain);
    else reader.skip(tag, 0x06);
  }
  return { nonce, chain };
};

export const writeChallenge = (writer: ByteWriter, frame: ChallengeFrame): void => {
  bytesField(writer, 0x0a, frame.nonce);
  writeChain(writer, 0x12, frame.chain);
  bytesField(writer, 0x1a, frame.signature);
};

export const readChallenge = (reader: ByteReader, session: number): ChallengeFrame => {
  let nonce = NO_BYTES;
  let signature = NO_BYTES;
  const chain: Uint8Array[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) nonce = reader.view();
    else if (tag === 0x12) readCertificate(reader, chain);
    else if (tag === 0x1a) signature = reader.view();
    else reader.skip(tag, 0x0e);
  }
  return { type: "challenge", session, nonce, chain, signature };
};

export const writeProof = (writer: ByteWriter, frame: ProofFrame): void => {
  bytesField(writer, 0x0a, frame.signature);
};

export const readProof = (reader: ByteReader, session: number): ProofFrame => {
  let signature = NO_BYTES;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) signature = reader.view();
    else reader.skip(tag, 0x02);
  }
  return { type: "proof", session, signature };
};

export const writeCredentials = (writer: ByteWriter, frame: CredentialsFrame): void => {
  writeChain(writer, 0x0a, frame.chain);
  bytesField(writer, 0x12, frame.revocations);
  writeChain(writer, 0x1a, frame.secrets);
};

export const readCredentials = (reader: ByteReader, session: number): CredentialsFrame => {
  let revocations = NO_BYTES;
  const chain: Uint8Array[] = [];
  const secrets: Uint8Array[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) readCertificate(reader, chain);
    else if (tag === 0x12) revocations = reader.view();
    else if (tag === 0x1a) readCertificate(reader, secrets);
    else reader.skip(tag, 0x0e);
  }
  return { type: "credentials", session, chain, revocations, secrets };
};
