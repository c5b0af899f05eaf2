/**
 * Subjects and the patterns that select them.
 *
 * Problem: every message is looked up by its subject, and a subject comes from users and from the
 * wire.
 * Approach: names are dot-separated tokens of plain ASCII, so that one character is one byte and no
 * two spellings look alike. A pattern replaces one token by "*" or the whole rest, at least one
 * token, by ">". Matching walks both texts once and allocates nothing; `compilePattern` spares even
 * that where a pattern is a literal or a literal head with ">".
 *
 * Invariants: a subject is a pattern that selects exactly itself; whatever is given, validation
 * ends after a bounded number of steps and matching never throws.
 * Rejected: "#" for zero or more tokens (a pattern that also selects its own head surprises more
 * often than it helps), partial wildcards ("ord*"): they make overlap and indexing expensive.
 * Source: the subject rules of NATS, without "$" names, which are kept for meshbus itself.
 */
import { MeshError } from "../errors.ts";

/** Longest subject or pattern, in bytes (and characters: they are ASCII). */
export const SUBJECT_BYTES_MAX = 255;
/** Most tokens in a subject or pattern. */
export const SUBJECT_TOKENS_MAX = 16;

const DOT = 46;
const STAR = 42;
const TAIL = 62;
const SHOWN_MAX = 80;

/** @throws MeshError INVALID_SUBJECT that says what is wrong and at which character (from 0) */
export function assertSubject(text: unknown): asserts text is string {
  check("subject", text, false);
}

/** Every subject is a pattern too. @throws MeshError INVALID_SUBJECT, as `assertSubject` */
export function assertPattern(text: unknown): asserts text is string {
  check("pattern", text, true);
}

/** True when a valid pattern can select more than one subject. */
export const hasWildcard = (pattern: string): boolean =>
  pattern.includes("*") || pattern.endsWith(">");

/**
 * Whether a valid pattern selects a valid subject: "*" stands for one token, ">" for one or more at
 * the end.
 */
export const matchesPattern = (pattern: string, subject: string): boolean => {
  const patternEnd = pattern.length;
  const subjectEnd = subject.length;
  let at = 0;
  let p = 0;
  while (p < patternEnd) {
    const wanted = pattern.charCodeAt(p);
    if (wanted === TAIL) return at < subjectEnd;
    if (wanted === STAR) {
      const start = at;
      while (at < subjectEnd && subject.charCodeAt(at) !== DOT) at++;
      if (at === start) return false;
      p++;
    } else {
      if (at >= subjectEnd || subject.charCodeAt(at) !== wanted) return false;
      at++;
      p++;
    }
  }
  return at === subjectEnd;
};

/**
 * The pattern as a test of valid subjects.
 * @throws MeshError INVALID_SUBJECT
 */
export const compilePattern = (pattern: string): ((subject: string) => boolean) => {
  assertPattern(pattern);
  if (!hasWildcard(pattern)) return (subject) => subject === pattern;
  if (pattern === ">") return (subject) => subject.length > 0;
  if (pattern.indexOf("*") < 0) {
    const head = pattern.slice(0, -1);
    const headLength = head.length;
    return (subject) => subject.length > headLength && subject.startsWith(head);
  }
  return (subject) => matchesPattern(pattern, subject);
};

/**
 * Whether two valid patterns can select the same subject. Only their tokens are compared: two long
 * patterns whose one common subject would exceed SUBJECT_BYTES_MAX count as overlapping.
 */
export const patternsOverlap = (first: string, second: string): boolean => {
  const a = first.split(".");
  const b = second.split(".");
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const left = a[i];
    const right = b[i];
    if (left === ">" || right === ">") return true;
    if (left !== right && left !== "*" && right !== "*") return false;
  }
  return a.length === b.length;
};

/** Whether `pattern` selects everything that `part` selects; both are valid patterns. */
export const patternCovers = (pattern: string, part: string): boolean => {
  const a = pattern.split(".");
  const b = part.split(".");
  for (let i = 0; i < a.length; i++) {
    const wide = a[i];
    const narrow = b[i];
    if (narrow === undefined) return false;
    if (wide === ">") return true;
    if (narrow === ">" || (wide !== "*" && wide !== narrow)) return false;
  }
  return a.length === b.length;
};

type Noun = "subject" | "pattern";

const check = (noun: Noun, text: unknown, wildcards: boolean): void => {
  if (typeof text !== "string") {
    const given = text === null ? "null" : typeof text;
    throw invalid(noun, given, 0, `${noun} is ${given}, must be a string`);
  }
  const shown = `${noun} ${JSON.stringify(shorten(text))}`;
  const fail = (at: number, what: string): MeshError => invalid(noun, text, at, `${shown} ${what}`);
  if (text.length === 0) throw fail(0, "is empty, must have at least one token");
  if (text.length > SUBJECT_BYTES_MAX) {
    throw fail(SUBJECT_BYTES_MAX, `is ${text.length} B long, at most ${SUBJECT_BYTES_MAX}`);
  }
  if (text.startsWith("$")) throw fail(0, "starts with '$', which is kept for meshbus itself");
  let tokens = 0;
  for (let start = 0; start <= text.length; tokens++) {
    const dot = text.indexOf(".", start);
    const end = dot < 0 ? text.length : dot;
    if (end === start) throw fail(start, `has an empty token at character ${start}`);
    checkToken(text, start, end, wildcards, fail);
    start = end + 1;
  }
  if (tokens > SUBJECT_TOKENS_MAX) {
    throw fail(0, `has ${tokens} tokens, at most ${SUBJECT_TOKENS_MAX}`);
  }
};

const checkToken = (
  text: string,
  start: number,
  end: number,
  wildcards: boolean,
  fail: (at: number, what: string) => MeshError,
): void => {
  const first = text.charCodeAt(start);
  if (wildcards && end - start === 1 && (first === STAR || first === TAIL)) {
    if (first === TAIL && end !== text.length) {
      throw fail(start, `has '>' at character ${start}, allowed as the last token only`);
    }
    return;
  }
  for (let at = start; at < end; at++) {
    const code = text.charCodeAt(at);
    if (isTokenCode(code)) continue;
    const character = JSON.stringify(String.fromCodePoint(text.codePointAt(at) as number));
    if (code !== STAR && code !== TAIL) {
      const allowed = "allowed are letters, digits, '-' and '_'";
      throw fail(at, `has ${character} at character ${at}, ${allowed}`);
    }
    const rule = wildcards ? "must stand alone in its token" : "is allowed in patterns only";
    throw fail(at, `has ${character} at character ${at}, which ${rule}`);
  }
};

/** A-Z a-z 0-9 - _ */
const isTokenCode = (code: number): boolean =>
  (code >= 97 && code <= 122) ||
  (code >= 65 && code <= 90) ||
  (code >= 48 && code <= 57) ||
  code === 45 ||
  code === 95;

const shorten = (text: string): string =>
  text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}...`;

const invalid = (noun: Noun, text: string, at: number, message: string): MeshError =>
  new MeshError("INVALID_SUBJECT", message, { details: { [noun]: shorten(text), at } });
