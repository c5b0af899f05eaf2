/**
 * What a certificate allows, as answers to questions.
 *
 * Problem: each message is judged, so the answer has to cost less than a hash of it; and an answer that
 * is wrong for a strange subject is a hole. Approach: deny by default, deny beats allow, both by the
 * matcher that selects subjects everywhere else; what was asked is remembered, per action.
 *
 * Invariants: a text that is no subject is denied; at most REMEMBERED_MAX answers are kept for an action
 * (a flood of subjects costs the matching, not memory); rights never change after they were made.
 */
import {
  assertPattern,
  assertSubject,
  compilePattern,
  patternCovers,
  patternsOverlap,
} from "../core/subject.ts";
import { MeshError } from "../errors.ts";
import type { Action, AdminLevel, Extent } from "../ports/security.ts";

export const SUBJECT_ACTIONS = Object.freeze([
  "publish",
  "subscribe",
  "send",
  "handle",
  "request",
] as const);
export type SubjectAction = (typeof SUBJECT_ACTIONS)[number];

export const ADMIN_LEVELS: readonly AdminLevel[] = Object.freeze(["none", "read", "full"] as const);

export type Grants = Readonly<Record<SubjectAction, readonly string[]>>;

/** What an authority is asked to certify. */
export type RightsOptions = {
  /** Patterns by action; default: nothing. */
  readonly allow?: Partial<Grants>;
  /** Beats `allow`. */
  readonly deny?: Partial<Grants>;
  /** Default "none". */
  readonly admin?: AdminLevel;
};

export type Rights = {
  readonly allow: Grants;
  readonly deny: Grants;
  readonly admin: AdminLevel;
};

/** Patterns in one certificate. */
export const PATTERNS_MAX = 256;
const REMEMBERED_MAX = 1_024;

/** @throws MeshError INVALID_SUBJECT, INVALID_OPTIONS */
export const rightsOf = (options: RightsOptions): Rights => {
  const { admin = "none" } = options;
  if (!ADMIN_LEVELS.includes(admin)) {
    throw invalid(`admin is ${JSON.stringify(admin)}, must be one of ${ADMIN_LEVELS.join(", ")}`);
  }
  const rights = {
    allow: grantsOf("allow", options.allow),
    deny: grantsOf("deny", options.deny),
    admin,
  };
  const count = SUBJECT_ACTIONS.reduce(
    (sum, action) => sum + rights.allow[action].length + rights.deny[action].length,
    0,
  );
  if (count > PATTERNS_MAX)
    throw invalid(`${count} patterns exceed the ${PATTERNS_MAX} there may be`);
  return Object.freeze(rights);
};

const grantsOf = (name: string, given: Partial<Grants> = {}): Grants => {
  for (const action of Object.keys(given)) {
    if ((SUBJECT_ACTIONS as readonly string[]).includes(action)) continue;
    throw invalid(`${name} has "${action.slice(0, 32)}", known are ${SUBJECT_ACTIONS.join(", ")}`);
  }
  const list = (action: SubjectAction): readonly string[] => {
    const patterns: readonly unknown[] = given[action] ?? [];
    for (const pattern of patterns) assertPattern(pattern);
    return Object.freeze([...new Set(patterns as readonly string[])].sort());
  };
  return Object.freeze({
    publish: list("publish"),
    subscribe: list("subscribe"),
    send: list("send"),
    handle: list("handle"),
    request: list("request"),
  });
};

const invalid = (message: string): MeshError =>
  new MeshError("INVALID_OPTIONS", `rights: ${message}`);

type Test = (subject: string) => boolean;

/** Answers for one set of rights. */
export class Permissions {
  readonly rights: Rights;
  readonly #answers = new Map<SubjectAction, Map<string, boolean>>();
  readonly #tests = new Map<SubjectAction, { allow: readonly Test[]; deny: readonly Test[] }>();

  constructor(rights: Rights) {
    this.rights = rights;
    for (const action of SUBJECT_ACTIONS) {
      this.#answers.set(action, new Map());
      this.#tests.set(action, {
        allow: rights.allow[action].map(compilePattern),
        deny: rights.deny[action].map(compilePattern),
      });
    }
  }

  may(action: Action, subject: string): boolean {
    if (action === "admin") return this.#mayAdminister(subject);
    const answers = this.#answers.get(action);
    if (answers === undefined) return false;
    const known = answers.get(subject);
    if (known !== undefined) return known;
    // What is no subject is not remembered: it may be of any length.
    if (!isSubject(subject)) return false;
    const answer = this.#judge(action, subject);
    if (answers.size >= REMEMBERED_MAX) answers.clear();
    answers.set(subject, answer);
    return answer;
  }

  mayOverlap(action: SubjectAction, pattern: string): Extent {
    const { allow, deny } = this.rights;
    if (!isPattern(pattern)) return "none";
    const allowed = allow[action]?.filter((grant) => patternsOverlap(grant, pattern)) ?? [];
    if (allowed.length === 0) return "none";
    const denied = deny[action].filter((grant) => patternsOverlap(grant, pattern));
    if (denied.some((grant) => patternCovers(grant, pattern))) return "none";
    const whole = denied.length === 0 && allowed.some((grant) => patternCovers(grant, pattern));
    return whole ? "all" : "some";
  }

  #mayAdminister(level: string): boolean {
    const { admin } = this.rights;
    if (level === "read") return admin !== "none";
    return level === "full" && admin === "full";
  }

  #judge(action: SubjectAction, subject: string): boolean {
    const tests = this.#tests.get(action);
    if (tests === undefined || tests.deny.some((test) => test(subject))) return false;
    return tests.allow.some((test) => test(subject));
  }
}

const isSubject = (text: string): boolean => isValid(assertSubject, text);
const isPattern = (text: string): boolean => isValid(assertPattern, text);

const isValid = (assert: (text: unknown) => void, text: string): boolean => {
  try {
    assert(text);
    return true;
  } catch {
    return false;
  }
};
