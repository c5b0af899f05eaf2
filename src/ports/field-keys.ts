/**
 * The port of keys for encrypted fields: a key for each name, found again by its id.
 *
 * A name is a subject of messages, or a person whose data can be forgotten. Calls are synchronous, because
 * they are part of encoding a value: an implementation that asks a service does so beforehand.
 */

/** Bytes of a key's id, and of a key. */
export const FIELD_KEY_ID_BYTES = 16;
export const FIELD_KEY_BYTES = 32;

export type FieldKey = {
  /** 16 B, of this key alone. */
  readonly id: Uint8Array;
  /** 32 B. */
  readonly key: Uint8Array;
};

export interface FieldKeys {
  /**
   * The key to encrypt with, made and kept if there is none. What is encrypted with it is lost with it.
   * @throws Error when the name was forgotten, or no key can be kept
   */
  sealing(name: string): FieldKey;
  /** The key of this id; "erased" when it was destroyed on purpose; undefined: not known here. */
  opening(id: Uint8Array): Uint8Array | "erased" | undefined;
}
