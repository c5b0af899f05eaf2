import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Claim,
  compareClaims,
  EPOCH_MAX,
  INCARNATION_MAX,
  incarnationOf,
  isSound,
  packWord,
  SWIM_STATES,
  stateOf,
  VOUCH_MAX,
  vouchOf,
} from "../../../src/core/swim/claim.ts";
import { claim, claims } from "./claim-arbitraries.ts";

/** The dumb oracle: parts compared one after the other. */
const byParts = (a: Claim, b: Claim): number =>
  a.epoch - b.epoch ||
  a.incarnation - b.incarnation ||
  a.vouch - b.vouch ||
  SWIM_STATES.indexOf(a.state) - SWIM_STATES.indexOf(b.state);

describe("a claim", () => {
  it("is ordered by life, incarnation, vouch and state, in this order", () => {
    fc.assert(
      fc.property(claims, claims, (a, b) => {
        expect(Math.sign(compareClaims(a, b))).toBe(Math.sign(byParts(a, b)));
      }),
    );
  });

  it("fits one unsigned word, to the last bit", () => {
    for (const state of SWIM_STATES) {
      const word = packWord(INCARNATION_MAX, VOUCH_MAX, state);
      expect(word).toBeLessThan(2 ** 32);
      expect([incarnationOf(word), vouchOf(word), stateOf(word)]).toEqual([
        INCARNATION_MAX,
        VOUCH_MAX,
        state,
      ]);
    }
  });

  it("is refused when a part is out of bounds", () => {
    expect(isSound(claim("a", { epoch: EPOCH_MAX, incarnation: INCARNATION_MAX }))).toBe(true);
    for (const wrong of [
      claim(""),
      claim("a".repeat(65)),
      claim("a", { epoch: 0 }),
      claim("a", { epoch: EPOCH_MAX + 1 }),
      claim("a", { incarnation: INCARNATION_MAX + 1 }),
      claim("a", { incarnation: 0.5 }),
      claim("a", { vouch: VOUCH_MAX + 1 }),
      claim("a", { accuser: "a".repeat(65) }),
    ]) {
      expect(isSound(wrong)).toBe(false);
    }
  });
});
