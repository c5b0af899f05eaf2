/**
 * Who tries, and what is expected of each cell of principal, action and subject: written down here, not asked of the code
 * under test.
 */
import type { RightsOptions } from "../../src/security/rights.ts";

export const SUBJECTS = ["a.b", "a.c", "a.b.c", "x", "A.b"] as const;
export type Subject = (typeof SUBJECTS)[number];
/** Taken as a whole or not at all. */
export const PATTERNS = [">", "a.>", "a.*", "*.b"] as const;
export type Pattern = (typeof PATTERNS)[number];
export type Says = "publish" | "emit" | "send" | "request";
export type Takes = "subscribe" | "handle" | "reply";

type Principal = {
  readonly rights: RightsOptions;
  readonly may: (action: Says | Takes, subject: Subject) => boolean;
  readonly mayTake: (action: "subscribe", pattern: Pattern) => boolean;
};

const everywhere = (patterns: readonly string[]): NonNullable<RightsOptions["allow"]> => ({
  publish: patterns,
  subscribe: patterns,
  send: patterns,
  handle: patterns,
  request: patterns,
});

export const PRINCIPALS: Readonly<Record<string, Principal>> = {
  nothing: { rights: {}, may: () => false, mayTake: () => false },
  everything: { rights: { allow: everywhere([">"]) }, may: () => true, mayTake: () => true },
  "one-token": {
    rights: { allow: everywhere(["a.*"]) },
    may: (_, subject) => subject === "a.b" || subject === "a.c",
    mayTake: (_, pattern) => pattern === "a.*",
  },
  "deny-wins": {
    rights: { allow: everywhere(["a.>"]), deny: everywhere(["a.b"]) },
    may: (_, subject) => subject === "a.c" || subject === "a.b.c",
    mayTake: () => false,
  },
  "writer-only": {
    rights: { allow: { publish: [">"] } },
    may: (action) => action === "publish" || action === "emit",
    mayTake: () => false,
  },
  "reader-only": {
    rights: { allow: { subscribe: [">"] } },
    may: (action) => action === "subscribe",
    mayTake: () => true,
  },
  "asker-only": {
    rights: { allow: { request: [">"] } },
    may: (action) => action === "request",
    mayTake: () => false,
  },
  "worker-only": {
    rights: { allow: { handle: [">"] } },
    may: (action) => action === "handle" || action === "reply",
    mayTake: () => false,
  },
};
