/** The flags of `meshbus keys`, read and checked; what they mean, the library decides. */
import { parseArgs } from "node:util";
import type { Grants, RightsOptions } from "../../security/index.ts";

const ACTIONS = ["publish", "subscribe", "send", "handle", "request"] as const;
const RIGHTS = [...ACTIONS.flatMap((action) => [action, `deny-${action}`]), "admin"];
const DAY_MS = 86_400_000;

export type Flags = {
  text(name: string): string | undefined;
  /** @throws Error that names the flag */
  required(name: string): string;
  list(name: string): readonly string[];
  has(name: string): boolean;
  /** A number of days or minutes as milliseconds. */
  ms(name: "days" | "minutes"): number | undefined;
  rights(): RightsOptions;
  readonly operands: readonly string[];
};

export type FlagNames = {
  readonly texts?: readonly string[];
  readonly lists?: readonly string[];
  readonly switches?: readonly string[];
  readonly rights?: boolean;
  readonly operands?: number;
};

/** @throws Error when an argument is wrong */
export const readFlags = (args: readonly string[], names: FlagNames): Flags => {
  const rights = names.rights === true ? RIGHTS : [];
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: (names.operands ?? 0) > 0,
    options: Object.fromEntries([
      ...[...(names.texts ?? []), "authority"].map((name) => [name, { type: "string" }]),
      ...[...(names.lists ?? []), ...rights].map((name) => [
        name,
        { type: "string", multiple: true },
      ]),
      ...[...(names.switches ?? []), "json"].map((name) => [name, { type: "boolean" }]),
    ]) as Record<string, { type: "string" | "boolean"; multiple?: boolean }>,
  });
  if (positionals.length !== (names.operands ?? 0)) {
    throw new Error(`expected ${names.operands} operand, got ${positionals.length}`);
  }
  const text = (name: string): string | undefined => values[name] as string | undefined;
  const list = (name: string): readonly string[] =>
    (values[name] as readonly string[] | undefined) ?? [];
  return {
    text,
    list,
    required: (name) => {
      const value = text(name);
      if (value === undefined || value === "") throw new Error(`--${name} is missing`);
      return value;
    },
    has: (name) => values[name] === true,
    ms: (name) => msOf(name, text(name)),
    rights: () => ({
      allow: grantsOf(list, ""),
      deny: grantsOf(list, "deny-"),
      ...adminOf(list("admin")),
    }),
    operands: positionals,
  };
};

const grantsOf = (list: Flags["list"], prefix: string): Partial<Grants> =>
  Object.fromEntries(ACTIONS.map((action) => [action, list(`${prefix}${action}`)]));

const adminOf = (given: readonly string[]): Pick<RightsOptions, "admin"> => {
  if (given.length > 1) throw new Error("--admin is there twice");
  const [level] = given;
  // Checked with the patterns.
  return level === undefined ? {} : { admin: level as NonNullable<RightsOptions["admin"]> };
};

const msOf = (name: "days" | "minutes", value: string | undefined): number | undefined => {
  if (value === undefined) return undefined;
  const amount = Number(value);
  if (value.trim() === "" || !(amount > 0))
    throw new Error(`--${name} ${value} is no number above 0`);
  return amount * (name === "days" ? DAY_MS : 60_000);
};
