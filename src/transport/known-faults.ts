/**
 * Packages below this one that have known faults, by the version that is really there.
 *
 * Problem: a lockfile of ours binds nobody who installs meshbus; an override or a stale tree may bring a version whose
 * fault a peer can use. Approach: before such a package takes a byte of others, the package.json that resolves from
 * here is read, and a version below the floor is an error that names what was found and what is needed.
 *
 * Source: the advisories named in SECURITY.md, which lists the same floors; a test compares the two.
 */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { MeshError } from "../errors.ts";

type Floor = {
  readonly name: string;
  /** Of one major version only. */
  readonly major: number | undefined;
  readonly floor: string;
  readonly why: string;
};

export const FLOORS: readonly Floor[] = Object.freeze([
  {
    name: "@grpc/grpc-js",
    major: undefined,
    floor: "1.14.4",
    why: "malformed requests and compressed messages end the process",
  },
  {
    name: "protobufjs",
    major: 7,
    floor: "7.6.1",
    why: "code execution by a schema, recursion without a bound",
  },
  { name: "protobufjs", major: 8, floor: "8.4.1", why: "the same faults" },
]);

/** Who is used, and by whom it is loaded: protobufjs by the loader of .proto files. */
const LOADED_BY: Readonly<Record<string, string>> = { protobufjs: "@grpc/proto-loader" };

/**
 * @param from where meshbus itself is resolved from
 * @throws MeshError FAULTY_DEPENDENCY
 */
export const assertNoKnownFaults = (
  names: readonly ("@grpc/grpc-js" | "protobufjs")[],
  from: string = import.meta.url,
): void => {
  for (const name of names) {
    const by = LOADED_BY[name];
    const base = by === undefined ? from : createRequire(from).resolve(by);
    const found = versionOf(name, base);
    const problem = faultOf(name, found);
    if (problem === undefined) continue;
    const message = `${name} ${found} has known faults (${problem.why}): install ${problem.floor} or newer`;
    throw new MeshError("FAULTY_DEPENDENCY", message, {
      details: { package: name, found, needed: problem.floor },
    });
  }
};

/** The floor that this version is below. What is no version is below every one; an older major too. */
export const faultOf = (name: string, version: string): Floor | undefined => {
  const floors = FLOORS.filter((one) => one.name === name);
  const parsed = /^(\d+)\.(\d+)\.(\d+)(-.+)?/.exec(version);
  if (parsed === null) return floors[0];
  const numbers = parsed.slice(1, 4).map(Number);
  const [major = 0] = numbers;
  const lowest = Math.min(...floors.map((one) => one.major ?? 0));
  const floor = floors.find((one) => one.major === undefined || one.major === major);
  if (floor === undefined) return major < lowest ? floors[0] : undefined;
  const needed = floor.floor.split(".").map(Number);
  const at = numbers.findIndex((number, index) => number !== needed[index]);
  // Before the release of that number came its trials.
  if (at < 0) return parsed[4] === undefined ? undefined : floor;
  return (numbers[at] ?? 0) < (needed[at] ?? 0) ? floor : undefined;
};

const versionOf = (name: string, from: string): string => {
  let folder = dirname(createRequire(from).resolve(name));
  for (;;) {
    const manifest = readManifest(join(folder, "package.json"));
    if (manifest?.name === name) return manifest.version ?? "of no version";
    const parent = dirname(folder);
    if (parent === folder) return "of no version";
    folder = parent;
  }
};

const readManifest = (path: string): { name?: string; version?: string } | undefined => {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as { name?: string; version?: string };
  } catch {
    return undefined; // a folder inside of the package
  }
};
