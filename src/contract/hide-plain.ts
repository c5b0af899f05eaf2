/**
 * Takes what encrypted fields hold out of an error that a handler threw.
 *
 * A handler has the plain value, and a text like "no such customer: Ada" goes into logs, dead letters and
 * answers. Every text at an encrypted field that the error repeats is replaced; the error stays the same
 * object, so that what it means is not lost. A handler that changes a text before it repeats it is not
 * helped.
 */
import type { Codec } from "./codec.ts";

const SHOWN = "[encrypted]";
const CAUSES_MAX = 8;
/** Shorter ones are found in any text. */
const TEXT_CHARS_MIN = 3;

/** A handler whose failures say nothing of the encrypted fields; the same one where there are none. */
export const hidingHandler = <Args extends readonly unknown[]>(
  codec: Pick<Codec<never, unknown>, "hides">,
  handler: (data: unknown, ...args: Args) => unknown,
): ((data: unknown, ...args: Args) => unknown) => {
  const { hides } = codec;
  if (hides === undefined) return handler;
  return (data, ...args) => {
    const failed = (error: unknown): never => {
      throw withoutTexts(error, hides(data));
    };
    try {
      const result = handler(data, ...args);
      const isLater = typeof (result as PromiseLike<unknown> | undefined)?.then === "function";
      return isLater ? Promise.resolve(result).catch(failed) : result;
    } catch (error) {
      return failed(error);
    }
  };
};

const withoutTexts = (thrown: unknown, texts: readonly string[]): unknown => {
  const known = texts.filter((text) => text.length >= TEXT_CHARS_MIN);
  // The longest first, so that none leaves a part of another.
  known.sort((a, b) => b.length - a.length);
  const clean = (text: string): string =>
    known.reduce((left, each) => left.replaceAll(each, SHOWN), text);
  if (typeof thrown === "string") return clean(thrown);
  let error = thrown;
  for (let depth = 0; depth < CAUSES_MAX && error instanceof Error; depth++) {
    cleanObject(error, clean);
    error = error.cause;
  }
  return thrown;
};

/** Texts of an error and of the facts that hang on it: a reason, details. */
const cleanObject = (error: Error, clean: (text: string) => string): void => {
  for (const name of ["stack", "message", ...Reflect.ownKeys(error)]) {
    try {
      const holder = error as unknown as Record<string | symbol, unknown>;
      const value = holder[name];
      if (typeof value === "string") holder[name] = clean(value);
      else if (typeof value === "object" && value !== null && name !== "cause")
        cleanFacts(value, clean);
    } catch {
      // A property that cannot be written, or throws when it is read.
    }
  }
};

const cleanFacts = (facts: object, clean: (text: string) => string): void => {
  for (const [name, value] of Object.entries(facts)) {
    if (typeof value === "string") (facts as Record<string, unknown>)[name] = clean(value);
  }
};
