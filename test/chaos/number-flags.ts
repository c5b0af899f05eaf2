/** Flags whose values are whole numbers within bounds. */
import { parseArgs } from "node:util";

export type Bound = { readonly min: number; readonly max: number; readonly default: number };

export type Flags<N extends string, B extends string> = {
  readonly numbers: Readonly<Record<N, number>>;
  readonly switches: Readonly<Record<B, boolean>>;
};

/** @throws Error that names the flag and its bounds. */
export const readFlags = <N extends string, B extends string>(
  args: readonly string[],
  bounds: Readonly<Record<N, Bound>>,
  switchNames: readonly B[],
): Flags<N, B> => {
  const options: Record<string, { type: "string" | "boolean" }> = {};
  for (const name of Object.keys(bounds)) options[name] = { type: "string" };
  for (const name of switchNames) options[name] = { type: "boolean" };
  const { values } = parseArgs({ args: [...args], options });
  const numbers: Record<string, number> = {};
  for (const [name, bound] of Object.entries<Bound>(bounds)) {
    const given = values[name];
    const number = given === undefined ? bound.default : Number(given);
    if (!Number.isInteger(number) || number < bound.min || number > bound.max) {
      throw new Error(`--${name} ${given} is no whole number from ${bound.min} to ${bound.max}`);
    }
    numbers[name] = number;
  }
  const switches = Object.fromEntries(switchNames.map((name) => [name, values[name] === true]));
  return {
    numbers: numbers as Record<N, number>,
    switches: switches as Record<B, boolean>,
  };
};

/** Gives the flags, or says what is wrong with them and ends with exit code 2. */
export const flagsOrUsage = <N extends string, B extends string>(
  usage: string,
  bounds: Readonly<Record<N, Bound>>,
  switchNames: readonly B[],
): Flags<N, B> => {
  try {
    return readFlags(process.argv.slice(2), bounds, switchNames);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n${usage}\n`);
    process.exit(2);
  }
};
