/**
 * The key hash. It is part of the protocol (the handshake names it): every node must place a key in the
 * same shard. The pinned one is XXH32 with seed 0 over the key's UTF-8 bytes.
 */
export interface Hash {
  /** Name exchanged in the handshake. */
  readonly id: string;
  /** Unsigned 32-bit hash of the text's UTF-8 bytes. */
  hash32(text: string): number;
}
