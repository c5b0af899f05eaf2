/**
 * What an issuer and those who ask it say to each other: bytes to values and back, and one message each
 * way over a TLS connection.
 *
 * Invariants: a message is read whole or not at all, within its bound and its time; reading throws
 * WireError or MeshError, nothing else.
 * Source: proto/meshbus/security/v1/join.proto.
 */
import { createHash } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { ByteReader } from "../wire/byte-reader.ts";
import { ByteWriter } from "../wire/byte-writer.ts";
import { boolField, bytesField, textField, uint64Field } from "../wire/field-writer.ts";
import { WireError } from "../wire/wire-error.ts";
import { keysError } from "./key-files.ts";

export const REQUEST_BYTES_MAX = 65_536;
/** A larger list goes to an issuer as a file only. */
export const TOLD_LIST_BYTES_MAX = 49_152;
export const RESPONSE_BYTES_MAX = 2_097_152;
/** For a whole exchange, TLS included. */
export const EXCHANGE_MS = 10_000;
const LENGTH_BYTES = 4;
const LIST_MAX = 4;
const EXPORTER = "EXPORTER-meshbus-issue";
const CONTEXT = Buffer.from("meshbus issue v1\0");

export type IssueQuestion = {
  readonly token: string;
  readonly chain: readonly Uint8Array[];
  readonly publicKey: Uint8Array;
  readonly curveKey: Uint8Array;
  readonly revocations: number;
  /** The signed list that the asker has, for an issuer that has an older one; empty: it does not say. */
  readonly list: Uint8Array;
  /** And the mesh's secrets that it names. */
  readonly secrets: readonly Uint8Array[];
  /** The list is all that it is about. */
  readonly tellsOnly: boolean;
};

export type SignedQuestion = { readonly request: Uint8Array; readonly signature: Uint8Array };

export type IssueAnswer = {
  readonly chain: readonly Uint8Array[];
  readonly revocations: Uint8Array;
  readonly authorities: readonly Uint8Array[];
  readonly meshSecrets: readonly Uint8Array[];
  /** "": granted. */
  readonly refusal: string;
};

/** What the key that asks signs: the question, on this connection. */
export const signedPart = (socket: TLSSocket, request: Uint8Array): Uint8Array => {
  const bound = socket.exportKeyingMaterial(32, EXPORTER, Buffer.alloc(0));
  return Buffer.concat([CONTEXT, bound, request]);
};

/** SHA-256 of a public key (SPKI), base64url. */
export const fingerprintOf = (spki: Uint8Array): string =>
  createHash("sha256").update(spki).digest("base64url");

export const encodeQuestion = (question: IssueQuestion): Uint8Array => {
  const writer = new ByteWriter();
  textField(writer, 0x0a, question.token);
  for (const der of question.chain) bytesField(writer, 0x12, der);
  bytesField(writer, 0x1a, question.publicKey);
  bytesField(writer, 0x22, question.curveKey);
  uint64Field(writer, 0x28, question.revocations);
  bytesField(writer, 0x32, question.list);
  for (const secret of question.secrets) bytesField(writer, 0x3a, secret);
  boolField(writer, 0x40, question.tellsOnly);
  return writer.take();
};

/** @throws WireError */
export const decodeQuestion = (bytes: Uint8Array): IssueQuestion => {
  const reader = new ByteReader(bytes);
  let token = "";
  const chain: Uint8Array[] = [];
  let publicKey: Uint8Array = new Uint8Array(0);
  let curveKey: Uint8Array = new Uint8Array(0);
  let revocations = 0;
  let list: Uint8Array = new Uint8Array(0);
  const secrets: Uint8Array[] = [];
  let tellsOnly = false;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) token = reader.string();
    else if (tag === 0x12) addTo(chain, reader);
    else if (tag === 0x1a) publicKey = Uint8Array.from(reader.view());
    else if (tag === 0x22) curveKey = Uint8Array.from(reader.view());
    else if (tag === 0x28) revocations = reader.uint64();
    else if (tag === 0x32) list = Uint8Array.from(reader.view());
    else if (tag === 0x3a) addTo(secrets, reader);
    else if (tag === 0x40) tellsOnly = reader.bool();
    else reader.skip(tag, 0x1fe);
  }
  return { token, chain, publicKey, curveKey, revocations, list, secrets, tellsOnly };
};

export const encodeSigned = ({ request, signature }: SignedQuestion): Uint8Array => {
  const writer = new ByteWriter();
  bytesField(writer, 0x0a, request);
  bytesField(writer, 0x12, signature);
  return writer.take();
};

/** @throws WireError */
export const decodeSigned = (bytes: Uint8Array): SignedQuestion => {
  const reader = new ByteReader(bytes);
  let request: Uint8Array = new Uint8Array(0);
  let signature: Uint8Array = new Uint8Array(0);
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) request = Uint8Array.from(reader.view());
    else if (tag === 0x12) signature = Uint8Array.from(reader.view());
    else reader.skip(tag, 0x06);
  }
  return { request, signature };
};

export const encodeAnswer = (answer: IssueAnswer): Uint8Array => {
  const writer = new ByteWriter();
  for (const der of answer.chain) bytesField(writer, 0x0a, der);
  bytesField(writer, 0x12, answer.revocations);
  for (const der of answer.authorities) bytesField(writer, 0x1a, der);
  for (const secret of answer.meshSecrets) bytesField(writer, 0x22, secret);
  textField(writer, 0x2a, answer.refusal);
  return writer.take();
};

/** @throws WireError */
export const decodeAnswer = (bytes: Uint8Array): IssueAnswer => {
  const reader = new ByteReader(bytes);
  const chain: Uint8Array[] = [];
  const authorities: Uint8Array[] = [];
  let revocations: Uint8Array = new Uint8Array(0);
  const meshSecrets: Uint8Array[] = [];
  let refusal = "";
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) addTo(chain, reader);
    else if (tag === 0x12) revocations = Uint8Array.from(reader.view());
    else if (tag === 0x1a) addTo(authorities, reader);
    else if (tag === 0x22) addTo(meshSecrets, reader);
    else if (tag === 0x2a) refusal = reader.string();
    else reader.skip(tag, 0x3e);
  }
  return { chain, revocations, authorities, meshSecrets, refusal };
};

export const writeMessage = (socket: TLSSocket, message: Uint8Array): void => {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(message.length);
  socket.write(Buffer.concat([length, message]));
};

/** The other side's one message. @throws MeshError INVALID_KEYS, WireError, or what broke the socket */
export const readMessage = (socket: TLSSocket, bytesMax: number): Promise<Uint8Array> =>
  new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    let have = 0;
    let need = LENGTH_BYTES;
    let isLength = true;
    const end = (settle: () => void): void => {
      socket.off("data", take).off("error", fail).off("close", gone);
      socket.pause();
      settle();
    };
    const fail = (error: Error): void => end(() => reject(error));
    const gone = (): void => fail(keysError("the other side hung up"));
    const take = (bytes: Buffer): void => {
      parts.push(bytes);
      have += bytes.length;
      if (isLength && have >= LENGTH_BYTES) {
        need = LENGTH_BYTES + Buffer.concat(parts).readUInt32BE(0);
        isLength = false;
        if (need - LENGTH_BYTES > bytesMax) {
          fail(new WireError(`a message of ${need - LENGTH_BYTES} B exceeds ${bytesMax}`));
          return;
        }
      }
      if (isLength || have < need) return;
      const whole = Buffer.concat(parts);
      end(() => resolve(new Uint8Array(whole.subarray(LENGTH_BYTES, need))));
    };
    socket.on("data", take).on("error", fail).on("close", gone);
  });

const addTo = (list: Uint8Array[], reader: ByteReader): void => {
  if (list.length >= LIST_MAX) throw new WireError(`more than ${LIST_MAX} certificates`);
  list.push(Uint8Array.from(reader.view()));
};
