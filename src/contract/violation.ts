/** Makes SCHEMA_VIOLATION of whatever a schema or codec said. */
import type { StandardSchemaV1 } from "@standard-schema/spec";
import { MeshError } from "../errors.ts";
import { CodecError } from "./codec.ts";
import { pathText, type SchemaResult } from "./standard-schema.ts";

/** One problem of a value, as in details.issues. */
export type ValueIssue = {
  /** Dotted: "items.0.sku"; empty for the value itself. */
  readonly path: string;
  readonly message: string;
};

/**
 * A schema may list thousands of problems with texts of any length; errors and dead letters hold a
 * few.
 */
const ISSUES_MAX = 16;
const TEXT_MAX = 256;
const SAID_MAX = 3;

/** What was being checked, for whose contract. */
export type Part = "value for" | "reply for" | "payload of" | "reply payload of";
export type Named = { readonly kind: string; readonly subject: string; readonly version: number };

/** `event "order.placed" version 1`. */
export const nameOf = ({ kind, subject, version }: Named): string =>
  version === 0 ? `${kind} "${subject}"` : `${kind} "${subject}" version ${version}`;

export const violation = (
  part: Part,
  contract: Named,
  issues: readonly ValueIssue[],
  issueCount: number = issues.length,
  cause?: unknown,
): MeshError => {
  const said = issues.slice(0, SAID_MAX).map(({ path, message }) => {
    return path === "" ? message : `${path}: ${message}`;
  });
  const more = issueCount > SAID_MAX ? `; and ${issueCount - SAID_MAX} more` : "";
  const text = `${part} ${nameOf(contract)} violates its schema: ${said.join("; ")}${more}`;
  const details = { issues, issueCount };
  return new MeshError(
    "SCHEMA_VIOLATION",
    text,
    cause === undefined ? { details } : { details, cause },
  );
};

/** Of an error thrown by a codec, a schema or a key function. */
export const violationOf = (
  part: Part,
  contract: Named,
  what: string,
  error: unknown,
): MeshError => {
  if (error instanceof CodecError) {
    return violation(part, contract, [{ path: cut(error.path), message: cut(error.message) }]);
  }
  const text = error instanceof Error ? error.message : String(error);
  return violation(part, contract, [{ path: "", message: cut(`${what}: ${text}`) }], 1, error);
};

/** The value a schema passed. @throws MeshError SCHEMA_VIOLATION */
export const accepted = <Out>(part: Part, contract: Named, result: SchemaResult<Out>): Out => {
  if (typeof result !== "object" || result === null) {
    throw violation(part, contract, [{ path: "", message: "the schema gave no result" }]);
  }
  const found = result.issues;
  if (found === undefined) return (result as StandardSchemaV1.SuccessResult<Out>).value;
  const issues = found.slice(0, ISSUES_MAX).map((issue) => {
    return Object.freeze({ path: cut(pathText(issue.path)), message: cut(String(issue.message)) });
  });
  throw violation(part, contract, issues, found.length);
};

const cut = (text: string): string =>
  text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}...`;
