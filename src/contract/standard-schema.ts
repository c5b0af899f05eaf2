/**
 * Standard Schema as far as contracts need it: one function that validates, and two types.
 * Source: Standard Schema v1 (standardschema.dev), `~standard.validate`.
 */
import type { StandardSchemaV1 } from "@standard-schema/spec";

export type SchemaResult<Out> = StandardSchemaV1.Result<Out>;

/** True for any Standard Schema; some (ArkType's) are functions. */
export const isStandardSchema = (value: unknown): value is StandardSchemaV1 => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return false;
  const standard = (value as { "~standard"?: unknown })["~standard"];
  return (
    typeof standard === "object" &&
    standard !== null &&
    typeof (standard as { validate?: unknown }).validate === "function"
  );
};

/** The schema's verdict as a plain function. */
export const validatorOf = (
  schema: StandardSchemaV1,
): ((value: unknown) => SchemaResult<unknown> | Promise<SchemaResult<unknown>>) => {
  const standard = schema["~standard"];
  return (value) => standard.validate(value);
};

/** A schema's path as text: "items.0.sku". */
export const pathText = (path: StandardSchemaV1.Issue["path"]): string => {
  if (path === undefined) return "";
  const parts = path.map((part) => String(typeof part === "object" ? part.key : part));
  return parts.join(".");
};
