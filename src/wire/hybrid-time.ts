/**
 * Hybrid time on the wire: a fixed64 with the milliseconds since 1970 in the upper 48 bits and a
 * counter in the lower 16, so that comparing the 64-bit numbers compares the times. In memory it is
 * two plain numbers (a structural twin of the hybrid clock's), because 64 bits do not fit in one.
 *
 * Invariant: `0 <= ms < 2^48`, `0 <= counter < 2^16`, both integers. Source: Kulkarni et al., "Logical
 * Physical Clocks", 2014, section 6 (the compact 64-bit form).
 */
export type HybridTime = {
  /** Milliseconds since 1970, below 2^48. */
  readonly ms: number;
  /** Orders what happened in one millisecond, below 2^16. */
  readonly counter: number;
};

/** Upper 32 bits of the fixed64. */
export const hybridTimeHigh = (time: HybridTime): number => Math.floor(time.ms / 65_536);

/** Lower 32 bits of the fixed64, unsigned. */
export const hybridTimeLow = (time: HybridTime): number =>
  (((time.ms - Math.floor(time.ms / 65_536) * 65_536) << 16) | time.counter) >>> 0;

/** The time that a fixed64 of these two unsigned halves stands for. Every value is a legal time. */
export const hybridTimeFrom = (high: number, low: number): HybridTime => ({
  ms: high * 65_536 + (low >>> 16),
  counter: low & 0xffff,
});
