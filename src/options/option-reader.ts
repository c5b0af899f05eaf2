/**
 * Reads an options object once and collects what is wrong with it.
 *
 * Problem: a user who mistyped three options should hear of three, by name, with the range, at
 * once; and a mistyped name should not silently mean the default. Approach: one reader per object;
 * each method takes one option, notes a problem if need be and then returns the default, so that
 * reading goes on; `finish` throws if there was any. Sections share the list of problems.
 *
 * Invariants: each property is read at most once; `undefined` means the default; the error lists at
 * most PROBLEMS_MAX problems, each of bounded length, and says how many there were.
 */
import { MeshError } from "../errors.ts";
import type { Bound } from "./bounds.ts";

export type OptionProblem = { readonly option: string; readonly message: string };

const PROBLEMS_MAX = 32;
const SHOWN_MAX = 80;

export class OptionReader {
  readonly #title: string;
  readonly #path: string;
  readonly #known: readonly string[];
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #problems: OptionProblem[];

  /**
   * `title` names the call in the error; `known` lists the options as dotted names, those of
   * sections too, so that a name put in the wrong place is found. `parent` is for sections.
   */
  constructor(title: string, input: unknown, known: readonly string[], parent?: Section) {
    this.#title = title;
    this.#known = known;
    this.#path = parent?.path ?? "";
    this.#problems = parent?.problems ?? [];
    const given = input ?? {};
    if (typeof given === "object" && input !== null && !Array.isArray(given)) {
      this.#values = { ...given };
      this.#checkNames();
    } else {
      this.#values = {};
      const option = this.#path === "" ? "options" : this.#path.slice(0, -1);
      this.#problems.push({ option, message: `is ${show(input)}, must be an object` });
    }
  }

  /** The value as given, unchecked. */
  raw(name: string): unknown {
    return this.#values[name];
  }

  fail(name: string, message: string): void {
    this.#problems.push({ option: this.#path + name, message });
  }

  /** An integer in its range; `fallback` where the default is not the table's. */
  integer(name: string, bound: Bound, fallback: number = bound.default): number {
    const value = this.#values[name];
    if (value === undefined) return fallback;
    if (bound.infinite && value === Number.POSITIVE_INFINITY) return value;
    if (
      Number.isInteger(value) &&
      (value as number) >= bound.min &&
      (value as number) <= bound.max
    ) {
      return value as number;
    }
    return this.#outside(name, bound, "an integer", fallback);
  }

  /** A number in its range, with or without a fraction. */
  number(name: string, bound: Bound): number {
    const value = this.#values[name];
    if (value === undefined) return bound.default;
    if (bound.infinite && value === Number.POSITIVE_INFINITY) return value;
    if (typeof value === "number" && value >= bound.min && value <= bound.max) return value;
    return this.#outside(name, bound, "a number", bound.default);
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.#values[name];
    if (value === undefined) return fallback;
    if (typeof value === "boolean") return value;
    this.fail(name, `is ${show(value)}, must be true or false`);
    return fallback;
  }

  oneOf<Choice extends string>(name: string, choices: readonly Choice[], fallback: Choice): Choice {
    const value = this.#values[name];
    if (value === undefined) return fallback;
    if (choices.includes(value as Choice)) return value as Choice;
    const listed = choices.map((choice) => `"${choice}"`).join(" or ");
    this.fail(name, `is ${show(value)}, must be ${listed}`);
    return fallback;
  }

  /** Text that `test` accepts; `rule` completes "must be ...". */
  text(name: string, test: (text: string) => boolean, rule: string): string | undefined {
    const value = this.#values[name];
    if (value === undefined) return undefined;
    if (typeof value === "string" && test(value)) return value;
    this.fail(name, `is ${show(value)}, must be ${rule}`);
    return undefined;
  }

  /** An object with these methods: a port's implementation, checked for its shape only. */
  part<Part>(name: string, methods: readonly string[]): Part | undefined {
    const value = this.#values[name];
    if (value === undefined) return undefined;
    const missing = missingMethod(value, methods);
    if (missing === undefined) return value as Part;
    this.fail(name, `is ${show(value)}, must be an object with ${methods.join("(), ")}()`);
    return undefined;
  }

  /** A list of such objects, copied and frozen. */
  parts<Part>(
    name: string,
    methods: readonly string[],
    min: number,
    max: number,
  ): readonly Part[] | undefined {
    const value = this.#values[name];
    if (value === undefined) return undefined;
    if (!Array.isArray(value) || value.length < min || value.length > max) {
      this.fail(name, `is ${show(value)}, must be a list of ${min} to ${max}`);
      return undefined;
    }
    for (const [index, part] of value.entries()) {
      if (missingMethod(part, methods) === undefined) continue;
      const rule = `must be an object with ${methods.join("(), ")}()`;
      this.fail(`${name}[${index}]`, `is ${show(part)}, ${rule}`);
    }
    return Object.freeze([...value]);
  }

  signal(): AbortSignal | undefined {
    const value = this.#values.signal;
    if (value === undefined || isSignal(value)) return value;
    this.fail("signal", `is ${show(value)}, must be an AbortSignal`);
    return undefined;
  }

  /** A nested object, absent or not; `input` where what is given stands for one. */
  section(name: string, input: unknown = this.#values[name]): OptionReader {
    const path = `${this.#path}${name}.`;
    const section = { path, problems: this.#problems };
    return new OptionReader(this.#title, input, this.#known, section);
  }

  /** Everything found so far as one error; undefined: nothing is wrong. */
  error(): MeshError | undefined {
    const count = this.#problems.length;
    if (count === 0) return undefined;
    const problems = this.#problems.slice(0, PROBLEMS_MAX);
    const said = problems.map(({ option, message }) => `${option} ${message}`).join("; ");
    const more = count > PROBLEMS_MAX ? `; and ${count - PROBLEMS_MAX} more` : "";
    return new MeshError("INVALID_OPTIONS", `${this.#title}: ${said}${more}`, {
      details: { problems, problemCount: count },
    });
  }

  /** @throws MeshError INVALID_OPTIONS with details.problems */
  finish(): void {
    const error = this.error();
    if (error !== undefined) throw error;
  }

  #outside(name: string, bound: Bound, what: string, fallback: number): number {
    const or = bound.infinite ? ", or Infinity" : "";
    const range = `${bound.min} to ${bound.max}${or}`;
    this.fail(name, `is ${show(this.#values[name])}, must be ${what} from ${range}`);
    return fallback;
  }

  #checkNames(): void {
    for (const name of Object.keys(this.#values)) {
      const option = this.#path + name;
      const isKnown = this.#known.some(
        (known) => known === option || known.startsWith(`${option}.`),
      );
      if (isKnown) continue;
      const near = nearest(name, this.#known);
      this.#problems.push({
        option: cut(option),
        message: `is not an option of ${this.#title}, the nearest is "${near}"`,
      });
    }
  }
}

type Section = { readonly path: string; readonly problems: OptionProblem[] };

/** A value as text of bounded length, for messages. */
export const show = (value: unknown): string => {
  if (typeof value === "string") return JSON.stringify(cut(value));
  if (typeof value === "bigint") return `${cut(String(value))}n`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === "function") return "a function";
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
};

export const isSignal = (value: unknown): value is AbortSignal =>
  typeof value === "object" &&
  value !== null &&
  typeof (value as { aborted?: unknown }).aborted === "boolean" &&
  typeof (value as { addEventListener?: unknown }).addEventListener === "function";

const missingMethod = (value: unknown, methods: readonly string[]): string | undefined => {
  if (typeof value !== "object" || value === null) return methods[0];
  const part = value as Record<string, unknown>;
  return methods.find((method) => typeof part[method] !== "function");
};

const cut = (text: string): string =>
  text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}...`;

/** The known name whose last part is spelled most alike, the words in any order. */
const nearest = (name: string, known: readonly string[]): string => {
  const given = name.slice(0, SHOWN_MAX);
  let best = "";
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of known) {
    const last = candidate.slice(candidate.lastIndexOf(".") + 1);
    const asSpelled = editDistance(given.toLowerCase(), last.toLowerCase());
    // maxBytes for bytesMax: one edit, so that it loses to an exact spelling elsewhere.
    const distance = Math.min(asSpelled, 1 + editDistance(sortedWords(given), sortedWords(last)));
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
};

/** "payloadBytesMax" -> "bytes max payload" */
const sortedWords = (name: string): string =>
  name
    .split(/(?=[A-Z])/)
    .map((word) => word.toLowerCase())
    .sort()
    .join(" ");

/** Levenshtein's, in two rows. */
const editDistance = (a: string, b: string): number => {
  let above = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const swapped = (above[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(swapped, (above[j] as number) + 1, (row[j - 1] as number) + 1));
    }
    above = row;
  }
  return above[b.length] as number;
};
