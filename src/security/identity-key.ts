/**
 * Identity keys, and what follows from them: the node's id and its key pair for ZeroMQ.
 *
 * Problem: a node has an identity on every transport, and each further key would have to be made, kept,
 * distributed and changed. Approach: one Ed25519 key. The id is the first 100 bits of the SHA-256 of the
 * public key, so nobody can have another's id without its key; the CURVE secret is derived from the
 * private seed, so its public half is known when the certificate is made.
 *
 * Rejected: using the Ed25519 key itself for X25519 (one key for two schemes).
 * Source: RFC 8032, RFC 8410 (Ed25519 in DER), RFC 5869 (HKDF), ZeroMQ RFC 32 (Z85).
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hkdfSync,
  type KeyObject,
} from "node:crypto";
import { type NodeId, nodeIdFrom } from "../core/ids.ts";
import { MeshError } from "../errors.ts";

export type CurveKeys = { readonly publicKey: Uint8Array; readonly secretKey: Uint8Array };

const CURVE_INFO = "meshbus curve v1";
const KEY_BYTES = 32;
const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");
const X25519_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex");
const X25519_SPKI_HEAD_BYTES = 12;
const Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#";

export const generateIdentityKey = (): KeyObject => generateKeyPairSync("ed25519").privateKey;

/** The public half, DER. */
export const spkiOf = (key: KeyObject): Uint8Array => {
  const half = key.type === "private" ? createPublicKey(key) : key;
  return new Uint8Array(half.export({ type: "spki", format: "der" }));
};

/** The Ed25519 key in SPKI DER, undefined for anything else. */
export const publicKeyOf = (spki: Uint8Array): KeyObject | undefined => {
  if (!isIdentitySpki(spki)) return undefined;
  return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
};

export const isIdentitySpki = (spki: Uint8Array): boolean =>
  spki.length === SPKI_HEAD.length + KEY_BYTES &&
  SPKI_HEAD.equals(spki.subarray(0, SPKI_HEAD.length));

/** @throws MeshError INVALID_KEYS when the text is no Ed25519 private key */
export const readPrivateKey = (pem: string, name: string): KeyObject => {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch (cause) {
    throw new MeshError("INVALID_KEYS", `${name} holds no private key (PKCS#8, PEM)`, { cause });
  }
  if (key.asymmetricKeyType === "ed25519") return key;
  const kind = key.asymmetricKeyType ?? "unknown";
  throw new MeshError("INVALID_KEYS", `${name} holds a key of type ${kind}, not ed25519`);
};

/** The id of whoever has this key. */
export const nodeIdOfKey = (spki: Uint8Array): NodeId =>
  nodeIdFrom(createHash("sha256").update(spki).digest());

/** The key pair of the node's ZeroMQ sockets. */
export const curveKeysOf = (key: KeyObject): CurveKeys => {
  const { d } = key.export({ format: "jwk" });
  const seed = Buffer.from(d ?? "", "base64url");
  const secretKey = new Uint8Array(hkdfSync("sha256", seed, "", CURVE_INFO, KEY_BYTES));
  seed.fill(0);
  const der = Buffer.concat([X25519_HEAD, secretKey]);
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  const spki = createPublicKey(secret).export({ type: "spki", format: "der" });
  return { publicKey: new Uint8Array(spki.subarray(X25519_SPKI_HEAD_BYTES)), secretKey };
};

/** 32 bytes in the 40 characters that ZeroMQ takes. */
export const z85 = (bytes: Uint8Array): string => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let at = 0; at + 4 <= bytes.length; at += 4) {
    const value = view.getUint32(at);
    for (let scale = 85 ** 4; scale >= 1; scale /= 85) {
      text += Z85.charAt(Math.floor(value / scale) % 85);
    }
  }
  return text;
};
