/** Claims for property tests: few members, few lives, so that they often meet. */
import fc from "fast-check";
import { type Claim, SWIM_STATES } from "../../../src/core/swim/claim.ts";

export const MEMBERS = ["ann", "bob", "cid"] as const;

export const claims: fc.Arbitrary<Claim> = fc.record({
  id: fc.constantFrom(...MEMBERS),
  epoch: fc.integer({ min: 1, max: 2 }),
  incarnation: fc.integer({ min: 0, max: 2 }),
  vouch: fc.integer({ min: 0, max: 2 }),
  state: fc.constantFrom(...SWIM_STATES),
  accuser: fc.constantFrom("", ...MEMBERS),
});

export const claim = (id: string, parts: Partial<Claim> = {}): Claim => ({
  id,
  epoch: 1,
  incarnation: 0,
  vouch: 0,
  state: "alive",
  accuser: "",
  ...parts,
});
