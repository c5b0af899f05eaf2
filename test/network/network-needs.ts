/** What a network of hosts on one machine needs, and what of it this machine does not have. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Programs, and the Debian packages that have them. */
const PROGRAMS = { ip: "iproute2", tc: "iproute2", perl: "perl-base" } as const;

/** Debian keeps programs for root in folders which a plain PATH may lack. */
export const SEARCH_PATH = [process.env.PATH ?? "", "/usr/sbin", "/sbin"].join(delimiter);

/** In words; empty when all is there. */
export const missingForNetworks = (): string[] => {
  if (process.platform !== "linux") return ["Linux"];
  const missing: string[] = [];
  if (process.getuid?.() !== 0) missing.push("root");
  const folders = SEARCH_PATH.split(delimiter);
  for (const [program, debianPackage] of Object.entries(PROGRAMS)) {
    if (folders.some((folder) => isExecutable(join(folder, program)))) continue;
    missing.push(`${program} (Debian: ${debianPackage})`);
  }
  if (missing.length === 0 && !canMakeNamespaces()) missing.push("the right to make namespaces");
  return missing;
};

const isExecutable = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

const canMakeNamespaces = (): boolean => {
  const env = { ...process.env, PATH: SEARCH_PATH };
  const name = `meshbus-probe-${process.pid}`;
  const made = spawnSync("ip", ["netns", "add", name], { env, stdio: "ignore" }).status === 0;
  if (made) spawnSync("ip", ["netns", "del", name], { env, stdio: "ignore" });
  return made;
};
