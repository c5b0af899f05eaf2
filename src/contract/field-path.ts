/**
 * Fields inside a value, by path: "name", "address.street", "items.*.note" ("*": each element of a list,
 * or each member of an object).
 *
 * Invariants: what is not there is skipped; a path is followed through own properties only, so that no
 * name reaches a prototype; the value given is never changed, what lies on a path is copied.
 */
import { MeshError } from "../errors.ts";

const STEPS_MAX = 16;
const PATH_CHARS_MAX = 255;
const FORBIDDEN = new Set(["__proto__", "constructor", "prototype"]);

export type FieldPath = readonly string[];

/** @throws MeshError INVALID_OPTIONS */
export const parseFieldPath = (text: unknown): FieldPath => {
  const steps = typeof text === "string" && text.length <= PATH_CHARS_MAX ? text.split(".") : [];
  const isWhole = steps.length > 0 && steps.length <= STEPS_MAX;
  if (isWhole && steps.every((step) => step !== "" && !FORBIDDEN.has(step)) && steps[0] !== "*") {
    return Object.freeze(steps);
  }
  const shown = JSON.stringify(text)?.slice(0, 80) ?? typeof text;
  const rule = `a path like "address.street" of at most ${STEPS_MAX} names`;
  throw new MeshError("INVALID_OPTIONS", `encrypted(): fields has ${shown}, must be ${rule}`);
};

/** A copy of the value in which `change` has replaced each field at the path. */
export const changeAt = (
  value: unknown,
  path: FieldPath,
  change: (field: unknown, at: string) => unknown,
): unknown => follow(value, path, 0, "", change);

const follow = (
  value: unknown,
  path: FieldPath,
  depth: number,
  at: string,
  change: (field: unknown, at: string) => unknown,
): unknown => {
  const step = path[depth];
  if (step === undefined) return change(value, at);
  if (typeof value !== "object" || value === null) return value;
  const next = (field: unknown, name: string): unknown =>
    follow(field, path, depth + 1, at === "" ? name : `${at}.${name}`, change);
  if (Array.isArray(value)) {
    if (step === "*") return value.map((each, index) => next(each, String(index)));
    return value;
  }
  const names = step === "*" ? Object.keys(value) : Object.hasOwn(value, step) ? [step] : [];
  const fields = value as Readonly<Record<string, unknown>>;
  const changed = names.filter((name) => fields[name] !== undefined && !FORBIDDEN.has(name));
  if (changed.length === 0) return value;
  const copy: Record<string, unknown> = { ...fields };
  for (const name of changed) copy[name] = next(fields[name], name);
  return copy;
};

/** Whether a field at `at` (names and indices) is one of the path, lies in one, or holds one. */
export const touches = (path: FieldPath, at: readonly string[]): boolean => {
  const shared = Math.min(path.length, at.length);
  for (let index = 0; index < shared; index++) {
    if (path[index] !== "*" && path[index] !== at[index]) return false;
  }
  return true;
};
