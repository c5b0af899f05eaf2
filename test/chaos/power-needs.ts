/** What cutting the power of a disk needs, and what of it this machine does not have. */
import { spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

/** Programs, and the Debian packages that have them. */
const PROGRAMS = {
  unshare: "util-linux",
  mount: "mount",
  umount: "mount",
  "mkfs.ext4": "e2fsprogs",
  perl: "perl-base",
} as const;

/** Debian keeps programs for root in folders which a plain PATH may lack. */
export const SEARCH_PATH = [process.env.PATH ?? "", "/usr/sbin", "/sbin"].join(delimiter);

/** Starts a command in a mount namespace: its mounts go with the last process in it. */
export const IN_NAMESPACE = ["unshare", "--mount", "--propagation", "private"] as const;

/** In words; empty when all is there. */
export const missingForPower = (): string[] => {
  if (process.platform !== "linux") return ["Linux"];
  const missing: string[] = [];
  if (process.getuid?.() !== 0) missing.push("root");
  if (!isThere("/dev/loop-control", constants.R_OK)) missing.push("loop devices");
  for (const [program, debianPackage] of Object.entries(PROGRAMS)) {
    const folders = SEARCH_PATH.split(delimiter);
    if (folders.some((folder) => isThere(join(folder, program), constants.X_OK))) continue;
    missing.push(`${program} (Debian: ${debianPackage})`);
  }
  if (missing.length === 0 && !canMount()) missing.push("the right to mount (CAP_SYS_ADMIN)");
  return missing;
};

const isThere = (path: string, mode: number): boolean => {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
};

const canMount = (): boolean => {
  const [command, ...args] = IN_NAMESPACE;
  const env = { ...process.env, PATH: SEARCH_PATH };
  return spawnSync(command, [...args, "true"], { env, stdio: "ignore" }).status === 0;
};
