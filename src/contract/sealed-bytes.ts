/**
 * Bytes that only holders of a key can read, bound to where they stand.
 *
 * Sealed bytes are: a version (1 B), the key's id (16 B), the message's salt (16 B), a nonce (12 B), the
 * ciphertext and its tag (16 B), by AES-256-GCM. Authenticated beside them is what must not change: the
 * place (which contract, which field), the key's id and the salt. So a sealed field cannot be moved to another
 * field, another subject or another person; and fields with one salt belong to one message.
 *
 * Invariant: a nonce is random, so one key must not seal more than 2^32 times: keys are replaced in time
 * by the ring.
 * Source: NIST SP 800-38D section 8.3.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import {
  FIELD_KEY_BYTES,
  FIELD_KEY_ID_BYTES,
  type FieldKey,
  type FieldKeys,
} from "../ports/field-keys.ts";
import { CodecError } from "./codec.ts";

const VERSION = 1;
export const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + FIELD_KEY_ID_BYTES + SALT_BYTES + NONCE_BYTES;
const CONTEXT = "meshbus field v1";
const CIPHER = "aes-256-gcm";

/** What a sealed value says of itself without any key. */
export type SealedHead = { readonly keyId: Uint8Array; readonly salt: Uint8Array };

/** Random, one for each message. */
export const newSalt = (): Uint8Array => randomBytes(SALT_BYTES);

/** @param place which contract and field; the same text opens it */
export const sealBytes = (
  { id, key }: FieldKey,
  salt: Uint8Array,
  place: string,
  plain: Uint8Array,
): Uint8Array => {
  if (id.length !== FIELD_KEY_ID_BYTES || key.length !== FIELD_KEY_BYTES) {
    throw new CodecError("", "the key ring gave a key of a wrong size");
  }
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce);
  cipher.setAAD(boundTo(place, id, salt));
  const parts = [Uint8Array.of(VERSION), id, salt, nonce, cipher.update(plain), cipher.final()];
  return Buffer.concat([...parts, cipher.getAuthTag()]);
};

/** Undefined: these are no sealed bytes of a version that is known. */
export const readSealedHead = (sealed: Uint8Array): SealedHead | undefined => {
  if (sealed.length < HEAD_BYTES + TAG_BYTES || sealed[0] !== VERSION) return undefined;
  const saltAt = 1 + FIELD_KEY_ID_BYTES;
  return { keyId: sealed.subarray(1, saltAt), salt: sealed.subarray(saltAt, saltAt + SALT_BYTES) };
};

/**
 * What was sealed at this place; "erased" when its key was destroyed.
 * @throws CodecError when it was changed or moved, or the key is not known
 */
export const openBytes = (
  keys: FieldKeys,
  place: string,
  sealed: Uint8Array,
): Uint8Array | "erased" => {
  const head = readSealedHead(sealed);
  if (head === undefined) throw new CodecError("", "is not encrypted as it should be");
  const key = keys.opening(head.keyId);
  if (key === "erased") return "erased";
  if (key === undefined) throw new CodecError("", "is encrypted with a key that is not known here");
  const tagAt = sealed.length - TAG_BYTES;
  const nonce = sealed.subarray(HEAD_BYTES - NONCE_BYTES, HEAD_BYTES);
  try {
    const decipher = createDecipheriv(CIPHER, key, nonce);
    decipher.setAAD(boundTo(place, head.keyId, head.salt));
    decipher.setAuthTag(sealed.subarray(tagAt));
    return Buffer.concat([decipher.update(sealed.subarray(HEAD_BYTES, tagAt)), decipher.final()]);
  } catch {
    throw new CodecError("", "was changed, or belongs to another place");
  }
};

const boundTo = (place: string, keyId: Uint8Array, salt: Uint8Array): Uint8Array =>
  Buffer.concat([Buffer.from(`${CONTEXT}\0${place}\0`), keyId, salt]);
