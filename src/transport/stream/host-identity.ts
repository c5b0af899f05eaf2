/**
 * What processes have in common that can reach one another through files: the running system, its view of the file
 * system (a container has one of its own), the user, and the network: processes that are cut off from one another
 * on purpose do not meet in a file.
 *
 * Invariant: it says nothing of any of these: it is a hash.
 */
import { createHash } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";

/** 16 characters of base64url. */
export const hostIdentity = (): string => {
  const boot = read(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  const files = read(() => readlinkSync("/proc/self/ns/mnt"));
  const network = read(() => readlinkSync("/proc/self/ns/net"));
  const user = process.getuid?.() ?? -1;
  const host = [boot ?? hostname(), files ?? "", network ?? "", user];
  const whole = JSON.stringify(["meshbus host 1", ...host]);
  return createHash("sha256").update(whole).digest("base64url").slice(0, 16);
};

/** Undefined where the system has no such file. */
const read = (file: () => string): string | undefined => {
  try {
    return file();
  } catch {
    return undefined;
  }
};
