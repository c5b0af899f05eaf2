/** What SECURITY.md says of versions below us holds for what is installed. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { FLOORS as CHECKED } from "../../src/transport/known-faults.ts";
import { ROOT_PATH } from "./source-tree.ts";

type Lock = { readonly packages: Readonly<Record<string, { readonly version?: string }>> };

const read = (path: string): string => readFileSync(join(ROOT_PATH, path), "utf8");
const atLeast = (version: string, floor: string): boolean =>
  version.localeCompare(floor, "en", { numeric: true }) >= 0;

/** "| `name` (7) | 7.6.1 |": of every major version, or of one. */
const FLOORS = [...read("SECURITY.md").matchAll(/^\| `([^`]+)`(?: \((\d+)\))? \| ([\d.]+) \|/gm)];

it("installs no package below the floors of the security policy", () => {
  const { packages } = JSON.parse(read("package-lock.json")) as Lock;
  expect(FLOORS.map(([, name]) => name)).toEqual(["@grpc/grpc-js", "protobufjs", "protobufjs"]);
  for (const [, name, major, floor = ""] of FLOORS) {
    const installed = Object.entries(packages)
      .filter(([path]) => path === `node_modules/${name}` || path.endsWith(`/node_modules/${name}`))
      .map(([, { version = "" }]) => version)
      .filter((version) => major === undefined || version.startsWith(`${major}.`));
    expect(installed.length).toBeGreaterThan(0);
    expect(installed.filter((version) => !atLeast(version, floor))).toEqual([]);
  }
});

it("refuses at the start what the security policy lists, and nothing else", () => {
  const checked = CHECKED.map(({ name, major, floor }) => [name, major?.toString(), floor]);
  expect(FLOORS.map(([, name, major, floor]) => [name, major, floor])).toEqual(checked);
});

it("tells an old version from a new one", () => {
  expect([atLeast("7.6.0", "7.6.1"), atLeast("7.10.0", "7.6.1")]).toEqual([false, true]);
});
