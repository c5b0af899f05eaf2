/**
 * The signed list of what a mesh does not trust any more, and of its authorities.
 *
 * Problem: a certificate lives until it ends, whatever became of its key; and an authority is replaced
 * while nodes run. Approach: one list for both, numbered and signed by an authority that the reader
 * trusts, so that it may travel through anybody's hands. A larger number replaces a smaller one whole.
 *
 * Invariants: whatever the bytes, reading gives a list or throws WireError; a list is of one mesh, has 1
 * or 2 authorities and at most ENTRIES_MAX entries.
 * Source: proto/meshbus/security/v1/revocations.proto.
 */
import { type KeyObject, sign, verify } from "node:crypto";
import { isNodeId, type NodeId } from "../core/ids.ts";
import { REVOCATIONS_BYTES_MAX } from "../ports/security.ts";
import { ByteReader } from "../wire/byte-reader.ts";
import { ByteWriter } from "../wire/byte-writer.ts";
import { bytesField, messageFields, textField, uint64Field } from "../wire/field-writer.ts";
import { WireError } from "../wire/wire-error.ts";
import { type Certificate, readCertificate, SERIAL_BYTES } from "./certificate.ts";
import { nodeIdOfKey, publicKeyOf } from "./identity-key.ts";
import { SECRETS_MAX } from "./mesh-secrets.ts";

export const ENTRIES_MAX = 16_384;
export const AUTHORITIES_MAX = 2;
const CONTEXT = Buffer.from("meshbus revocations v1\0");

export type Revoked =
  | { readonly serial: string; readonly untilMs: number }
  | { readonly keyId: NodeId; readonly untilMs: number };

export type Revocations = {
  readonly mesh: string;
  readonly number: number;
  readonly madeMs: number;
  readonly revoked: readonly Revoked[];
  readonly authorities: readonly Certificate[];
  /** Of the mesh's secrets; none: the list does not say. */
  readonly secretHashes: readonly Uint8Array[];
};

export type SignedRevocations = {
  readonly bytes: Uint8Array;
  readonly revocations: Revocations;
  readonly signerKeyId: string;
  readonly list: Uint8Array;
  readonly signature: Uint8Array;
};

export const signRevocations = (
  revocations: Revocations,
  signer: Certificate,
  key: KeyObject,
): Uint8Array => {
  const inner = new ByteWriter();
  textField(inner, 0x0a, revocations.mesh);
  uint64Field(inner, 0x10, revocations.number);
  uint64Field(inner, 0x18, Math.floor(revocations.madeMs));
  messageFields(inner, 0x22, revocations.revoked, writeRevoked);
  for (const { der } of revocations.authorities) bytesField(inner, 0x2a, der);
  for (const hash of revocations.secretHashes) bytesField(inner, 0x32, hash);
  const list = inner.take();
  const writer = new ByteWriter();
  bytesField(writer, 0x0a, list);
  bytesField(writer, 0x12, Buffer.from(signer.keyId, "hex"));
  bytesField(writer, 0x1a, sign(null, Buffer.concat([CONTEXT, list]), key));
  return writer.take();
};

/** Only the form: see `isSignedByOneOf`. @throws WireError */
export const readRevocations = (bytes: Uint8Array): SignedRevocations => {
  if (bytes.length > REVOCATIONS_BYTES_MAX) {
    throw new WireError(`a list of ${bytes.length} B exceeds ${REVOCATIONS_BYTES_MAX}`);
  }
  const own = Uint8Array.from(bytes);
  const reader = new ByteReader(own);
  let list = new Uint8Array(0);
  let signer = new Uint8Array(0);
  let signature = new Uint8Array(0);
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) list = Uint8Array.from(reader.view());
    else if (tag === 0x12) signer = Uint8Array.from(reader.view());
    else if (tag === 0x1a) signature = Uint8Array.from(reader.view());
    else reader.skip(tag, 0x0e);
  }
  const signerKeyId = Buffer.from(signer).toString("hex");
  return { bytes: own, revocations: readList(list), signerKeyId, list, signature };
};

export const isSignedByOneOf = (
  signed: SignedRevocations,
  authorities: readonly Certificate[],
): boolean =>
  authorities.some(({ keyId, publicKey }) => {
    const key = keyId === signed.signerKeyId ? publicKeyOf(publicKey) : undefined;
    if (key === undefined) return false;
    return verify(null, Buffer.concat([CONTEXT, signed.list]), key, signed.signature);
  });

/** Looks a certificate up by serial and by key. */
export class RevokedIndex {
  readonly #serials: ReadonlySet<string>;
  readonly #keys: ReadonlySet<string>;

  constructor(revoked: readonly Revoked[]) {
    this.#serials = new Set(revoked.flatMap((each) => ("serial" in each ? [each.serial] : [])));
    this.#keys = new Set(revoked.flatMap((each) => ("keyId" in each ? [each.keyId] : [])));
  }

  hasSerial(serial: string): boolean {
    return this.#serials.has(serial);
  }

  hasKey(keyId: NodeId): boolean {
    return this.#keys.has(keyId);
  }

  has({ serial, publicKey }: Certificate): boolean {
    if (this.#serials.has(serial)) return true;
    return this.#keys.size > 0 && this.#keys.has(nodeIdOfKey(publicKey));
  }
}

const writeRevoked = (writer: ByteWriter, revoked: Revoked): void => {
  if ("serial" in revoked) bytesField(writer, 0x0a, Buffer.from(revoked.serial, "hex"));
  else textField(writer, 0x12, revoked.keyId);
  uint64Field(writer, 0x18, Math.floor(revoked.untilMs));
};

const readList = (bytes: Uint8Array): Revocations => {
  const reader = new ByteReader(bytes);
  let mesh = "";
  let number = 0;
  let madeMs = 0;
  const revoked: Revoked[] = [];
  const authorities: Certificate[] = [];
  const secretHashes: Uint8Array[] = [];
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) mesh = reader.string();
    else if (tag === 0x10) number = reader.uint64();
    else if (tag === 0x18) madeMs = reader.uint64();
    else if (tag === 0x22) revoked.push(reader.message(readRevoked));
    else if (tag === 0x2a) authorities.push(readAuthority(reader.view()));
    else if (tag === 0x32) secretHashes.push(Uint8Array.from(reader.view()));
    else reader.skip(tag, 0x7e);
    if (secretHashes.length > SECRETS_MAX) throw new WireError("more than 2 secrets");
    if (revoked.length > ENTRIES_MAX) throw new WireError(`more than ${ENTRIES_MAX} entries`);
    if (authorities.length > AUTHORITIES_MAX) throw new WireError("more than 2 authorities");
  }
  if (authorities.length === 0) throw new WireError("a list without an authority");
  for (const { name } of authorities) {
    if (name.mesh !== mesh)
      throw new WireError(`an authority of ${name.mesh} in a list of ${mesh}`);
  }
  return { mesh, number, madeMs, revoked, authorities, secretHashes };
};

const readAuthority = (der: Uint8Array): Certificate => {
  const certificate = readCertificate(der);
  if ("malformed" in certificate) throw new WireError(certificate.malformed);
  if (certificate.name.role !== "authority") throw new WireError("not an authority's certificate");
  return certificate;
};

const readRevoked = (reader: ByteReader): Revoked => {
  let serial = "";
  let keyId = "";
  let untilMs = 0;
  while (reader.position < reader.limit) {
    const tag = reader.tag();
    if (tag === 0x0a) serial = Buffer.from(reader.view()).toString("hex");
    else if (tag === 0x12) keyId = reader.string();
    else if (tag === 0x18) untilMs = reader.uint64();
    else reader.skip(tag, 0x0e);
  }
  if (isNodeId(keyId) && serial === "") return { keyId, untilMs };
  if (serial.length === SERIAL_BYTES * 2 && keyId === "") return { serial, untilMs };
  throw new WireError("an entry names neither a serial nor a key");
};
