/** Random numbers that a seed repeats: mulberry32, and FNV-1a to seed it with a text. */

export type SeededRandom = {
  /** In [0, 1). */
  fraction(): number;
  /** An integer in [min, max]. */
  between(min: number, max: number): number;
};

export const seededRandom = (seed: number, purpose: string): SeededRandom => {
  let state = hashOf(`${purpose}:${seed}`);
  const fraction = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return { fraction, between: (min, max) => min + Math.floor(fraction() * (max - min + 1)) };
};

const hashOf = (text: string): number => {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash | 0;
};
