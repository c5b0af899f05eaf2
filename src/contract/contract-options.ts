/** Checks what event(), command() and query() are given; all problems come in one error. */
import { assertSubject } from "../core/subject.ts";
import { MeshError } from "../errors.ts";
import type { ContractKind, RetainPolicy, VersionRange } from "./contract.ts";
import { isStandardSchema } from "./standard-schema.ts";

export type CheckedContractOptions = {
  readonly version: number;
  readonly accepts: VersionRange;
  readonly retain: RetainPolicy | undefined;
};

const VERSION_MAX = 0xffff_ffff;
const NAMES: Readonly<Record<ContractKind, readonly string[]>> = Object.freeze({
  event: ["version", "accepts", "schema", "key", "retain"],
  command: ["version", "accepts", "schema", "key", "reply"],
  query: ["version", "accepts", "request", "reply"],
});
const ANY_VERSION: VersionRange = Object.freeze([0, 0] as const);

type Problem = { readonly option: string; readonly message: string };

/**
 * @throws MeshError INVALID_SUBJECT, INVALID_OPTIONS with details.problems [{ option, message }]
 */
export const checkContractOptions = (
  kind: ContractKind,
  subject: string,
  options: unknown,
): CheckedContractOptions => {
  assertSubject(subject);
  const problems: Problem[] = [];
  const given = recordOf(options);
  if (given === undefined) problems.push({ option: "options", message: "must be an object" });
  else checkNames(kind, given, problems);
  const { version, accepts, retain, key } = given ?? {};
  const checkedVersion = version === undefined ? 0 : version;
  if (checkedVersion !== 0 || version === 0) checkVersion(version, problems);
  if (accepts !== undefined) checkAccepts(accepts, version, problems);
  if (key !== undefined && typeof key !== "function") {
    problems.push({ option: "key", message: `is ${typeof key}, must be a function` });
  }
  for (const name of ["schema", "request", "reply"]) checkSchema(name, given?.[name], problems);
  const checkedRetain = retain === undefined ? undefined : checkRetain(retain, problems);
  if (problems.length > 0) throw invalid(kind, subject, problems);
  const own = checkedVersion as number;
  return {
    version: own,
    accepts: Object.freeze(
      accepts === undefined ? rangeOf(own) : ([...(accepts as VersionRange)] as const),
    ),
    retain: checkedRetain,
  };
};

/** The versions read when nothing else is said. */
const rangeOf = (version: number): VersionRange =>
  version === 0 ? ANY_VERSION : [version, version];

const recordOf = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;

const checkNames = (kind: ContractKind, given: object, problems: Problem[]): void => {
  const known = NAMES[kind];
  for (const name of Object.keys(given)) {
    if (known.includes(name)) continue;
    const message = `is not an option of ${kind}(); these are: ${known.join(", ")}`;
    problems.push({ option: name.slice(0, 64), message });
  }
};

const isVersion = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= VERSION_MAX;

const checkVersion = (version: unknown, problems: Problem[]): void => {
  if (isVersion(version)) return;
  const message = `is ${String(version)}, must be an integer from 1 to ${VERSION_MAX}`;
  problems.push({ option: "version", message });
};

const checkAccepts = (accepts: unknown, version: unknown, problems: Problem[]): void => {
  const [min, max] = Array.isArray(accepts) && accepts.length === 2 ? accepts : [];
  if (!isVersion(min) || !isVersion(max) || min > max) {
    const message = `must be [min, max], integers from 1 to ${VERSION_MAX}, min <= max`;
    problems.push({ option: "accepts", message });
  } else if (version === undefined) {
    problems.push({ option: "accepts", message: "needs a version" });
  } else if (isVersion(version) && (version < min || version > max)) {
    const message = `is [${min}, ${max}], must include version ${version}`;
    problems.push({ option: "accepts", message });
  }
};

const checkSchema = (name: string, schema: unknown, problems: Problem[]): void => {
  if (schema === undefined || isStandardSchema(schema)) return;
  if (recordOf(schema)?.["~codec"] === 1) return;
  const message = "must be a Standard Schema, json(), bytes() or protobuf(type)";
  problems.push({ option: name, message });
};

const checkRetain = (retain: unknown, problems: Problem[]): RetainPolicy => {
  const given = recordOf(retain);
  if (given === undefined) problems.push({ option: "retain", message: "must be an object" });
  const { ageMs = 0, bytes = 0, ...others } = given ?? {};
  for (const [name, value] of Object.entries({ ageMs, bytes })) {
    const isAmount = value === Number.POSITIVE_INFINITY || Number.isSafeInteger(value);
    if (isAmount && (value as number) >= 0) continue;
    const message = `is ${String(value)}, must be an integer from 0, or Infinity`;
    problems.push({ option: `retain.${name}`, message });
  }
  for (const name of Object.keys(others)) {
    const message = "is not an option; these are: ageMs, bytes";
    problems.push({ option: `retain.${name.slice(0, 64)}`, message });
  }
  return Object.freeze({ ageMs: ageMs as number, bytes: bytes as number });
};

const invalid = (kind: ContractKind, subject: string, problems: readonly Problem[]): MeshError => {
  const listed = problems.map(({ option, message }) => `${option} ${message}`);
  return new MeshError("INVALID_OPTIONS", `${kind}("${subject}"): ${listed.join("; ")}`, {
    details: { subject, problems },
  });
};
