/** The command line: what a run is to do, or what is wrong with it. */
import { parseArgs } from "node:util";
import type { Role } from "./messages.ts";

export type Victim = Exclude<Role, "recorder"> | "none";

export type RunOptions = {
  readonly orders: number;
  readonly seed: number;
  readonly kill: Victim;
  /** No show; the last line of stdout is one JSON object. */
  readonly json: boolean;
};

const VICTIMS: readonly Victim[] = [
  "inventory",
  "payment",
  "shipping",
  "orders",
  "notification",
  "none",
];
const ORDERS_MAX = 100_000;
const SEED_MAX = 2 ** 31 - 1;

export const USAGE = `npm start -- [options]
  --orders N   orders to place, 1 to ${ORDERS_MAX}; default 300
  --seed S     decides orders, victim and moment, 0 to ${SEED_MAX}; default: a random one
  --kill WHO   whom SIGKILL hits in the middle: ${VICTIMS.join(", ")}; default inventory
  --json       no show; one JSON object is the last line of stdout`;

/** @throws Error that says what is wrong */
export const parseRunOptions = (args: readonly string[], randomSeed: number): RunOptions => {
  const { values } = parseArgs({
    args: [...args],
    options: {
      orders: { type: "string", default: "300" },
      seed: { type: "string", default: String(randomSeed) },
      kill: { type: "string", default: "inventory" },
      json: { type: "boolean", default: false },
    },
  });
  const kill = VICTIMS.find((victim) => victim === values.kill);
  if (kill === undefined) {
    throw new Error(`--kill is ${values.kill}, must be one of ${VICTIMS.join(", ")}`);
  }
  return {
    orders: integer("--orders", values.orders, 1, ORDERS_MAX),
    seed: integer("--seed", values.seed, 0, SEED_MAX),
    kill,
    json: values.json,
  };
};

const integer = (name: string, text: string, min: number, max: number): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < min || value > max) {
    throw new Error(`${name} is ${text}, must be a whole number from ${min} to ${max}`);
  }
  return value;
};
