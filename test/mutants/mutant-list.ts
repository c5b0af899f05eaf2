/** Every mutant, in the order of a message's way. */
import { CONSUMER_MUTANTS } from "./consumer-mutants.ts";
import { JOURNAL_MUTANTS } from "./journal-mutants.ts";
import { LINK_MUTANTS } from "./link-mutants.ts";
import { MEMBERSHIP_MUTANTS } from "./membership-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { OWNERSHIP_MUTANTS } from "./ownership-mutants.ts";
import { PRODUCER_MUTANTS } from "./producer-mutants.ts";
import { SECURITY_MUTANTS } from "./security-mutants.ts";

export const MUTANTS: readonly Mutant[] = [
  ...JOURNAL_MUTANTS,
  ...PRODUCER_MUTANTS,
  ...LINK_MUTANTS,
  ...CONSUMER_MUTANTS,
  ...OWNERSHIP_MUTANTS,
  ...MEMBERSHIP_MUTANTS,
  ...SECURITY_MUTANTS,
];
