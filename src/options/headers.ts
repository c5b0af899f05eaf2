/** Headers that a caller gives with a message or a request. */
import { FIXED_BOUNDS } from "./bounds.ts";
import { fitsBytes, isHeaderName } from "./names.ts";
import { show } from "./option-reader.ts";

const { headersMax, headerNameBytesMax, headerValueBytesMax, headersBytesMax } = FIXED_BOUNDS;

/** What is wrong with the headers, to follow the option's name; undefined: nothing. */
export const headerProblem = (headers: unknown): string | undefined => {
  if (typeof headers !== "object" || headers === null || Array.isArray(headers)) {
    return `is ${show(headers)}, must be an object of texts by name`;
  }
  const names = Object.keys(headers);
  if (names.length > headersMax) return `has ${names.length} headers, at most ${headersMax}`;
  let bytes = 0;
  for (const name of names) {
    if (!isHeaderName(name)) {
      const rule = `must be a token of 1 to ${headerNameBytesMax} of A-Z a-z 0-9 !#$%&'*+.^_\`|~-`;
      return `has the name ${show(name)}, ${rule}`;
    }
    const value: unknown = (headers as Readonly<Record<string, unknown>>)[name];
    if (typeof value !== "string" || !fitsBytes(value, headerValueBytesMax)) {
      const found = typeof value === "string" ? `${Buffer.byteLength(value)} B` : show(value);
      return `has ${found} as ${show(name)}, must be text of at most ${headerValueBytesMax} B`;
    }
    bytes += name.length + Buffer.byteLength(value);
  }
  return bytes > headersBytesMax ? `has ${bytes} B in all, at most ${headersBytesMax}` : undefined;
};

/** A copy without prototype, so that no name can do harm; undefined when there are none. */
export const readHeaders = (
  headers: Readonly<Record<string, string>>,
): Readonly<Record<string, string>> | undefined => {
  const names = Object.keys(headers);
  if (names.length === 0) return undefined;
  const copy = Object.create(null) as Record<string, string>;
  for (const name of names) copy[name] = headers[name] as string;
  return copy;
};
