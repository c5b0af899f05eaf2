/** Sealed bytes for contracts that are not JSON: a `bytes` field of a protobuf message, a whole payload. */
import type { FieldKeys } from "../ports/field-keys.ts";
import { ErasedField } from "./encrypted.ts";
import { newSalt, openBytes, sealBytes } from "./sealed-bytes.ts";

/**
 * @param name whose key seals: a person, or what you name a group of messages
 * @param place where it will stand, such as "customer.moved/name"; the same text opens it
 * @throws what the key ring throws when the name was forgotten
 */
export const sealField = (
  keys: FieldKeys,
  name: string,
  place: string,
  plain: Uint8Array,
): Uint8Array => sealBytes(keys.sealing(name), newSalt(), place, plain);

/** @throws CodecError when it was changed, stood elsewhere, or its key is not known here */
export const openField = (
  keys: FieldKeys,
  place: string,
  sealed: Uint8Array,
): Uint8Array | ErasedField => {
  const plain = openBytes(keys, place, sealed);
  return plain === "erased" ? new ErasedField("erased") : plain;
};
