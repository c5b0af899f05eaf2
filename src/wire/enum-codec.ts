/**
 * Enums are text in memory and numbers on the wire. A number that this version does not know is an
 * error: acting on half of a definition would be worse than refusing it.
 */
import { WireError } from "./wire-error.ts";

/** Text of the enum value; `names` lists them from 0. @throws WireError when there is none */
export const enumName = <Name extends string>(
  names: readonly Name[],
  value: number,
  what: string,
): Name => {
  const name = names[value];
  if (name === undefined) throw new WireError(`unknown ${what} ${value}`);
  return name;
};

/** Number of the enum value. @throws WireError when `name` is none of `names` */
export const enumNumber = <Name extends string>(
  names: readonly Name[],
  name: Name,
  what: string,
): number => {
  const value = names.indexOf(name);
  if (value < 0) throw new WireError(`unknown ${what} ${name}`);
  return value;
};
