/** Randomness as an argument: cryptographic in production, seeded in simulation. */
export interface Random {
  /** `count` random bytes. */
  bytes(count: number): Uint8Array;
  /** Uniform in [0, 1). */
  fraction(): number;
}
