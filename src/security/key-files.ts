/**
 * Files of keys: read within bounds, private, written whole or not at all.
 *
 * Problem: a key that others can read is no key; one half written, or written over another, is lost.
 * Approach: every file is written under another name, with its mode, and synced; then it is linked to its own, which
 * fails where one is, or renamed over the one that it may replace; and its folder is synced. What is found wider than it should
 * be is refused, with the command that mends it.
 *
 * Limits: modes are not looked at on Windows, where they say nothing.
 */
import { randomBytes } from "node:crypto";
import {
  closeSync,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { MeshError } from "../errors.ts";

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
const NEWLINE = 10;
const TEMPORARY = ".new";
/** Of a file system that has no hard links: there a file that was cut off is written anew by hand. */
const NO_LINKS: ReadonlySet<string> = new Set(["EPERM", "ENOSYS", "ENOTSUP", "EOPNOTSUPP"]);
/** Nobody else may read it, or nobody else may write it. */
export type Privacy = "secret" | "public";

const HAS_MODES = process.platform !== "win32";

export const keysError = (message: string, cause?: unknown): MeshError =>
  new MeshError("INVALID_KEYS", message, cause === undefined ? {} : { cause });

/** Makes a folder that is not there, 0700, or uses an empty or private one. @throws MeshError */
export const makeKeyFolder = (path: string): void => {
  try {
    mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
  } catch (cause) {
    throw keysError(`cannot make the folder ${path}: ${reasonOf(cause)}`, cause);
  }
  checkKeyFolder(path);
};

/** @throws MeshError INVALID_KEYS when it is no folder, or others may use it */
export const checkKeyFolder = (path: string): void => {
  const stats = statOf(path);
  if (stats === undefined) throw keysError(`there is no folder ${path}`);
  if (!stats.isDirectory()) throw keysError(`${path} is not a folder`);
  if (!HAS_MODES || (stats.mode & 0o077) === 0) return;
  throw keysError(`${path} is open to others (mode ${octal(stats.mode)}): chmod 700 ${path}`);
};

export const hasFile = (path: string): boolean => existsSync(path);

/** @throws MeshError INVALID_KEYS when it is missing, too large, or open to others */
export const readKeyFile = (path: string, privacy: Privacy, bytesMax: number): Buffer => {
  let fd: number | undefined;
  try {
    fd = openSync(path, "r");
    const { size, mode } = fstatSync(fd);
    checkMode(path, mode, privacy);
    if (size > bytesMax) throw keysError(`${path} has ${size} B, at most ${bytesMax}`);
    const bytes = Buffer.alloc(size);
    let read = 0;
    while (read < size) {
      const count = readSync(fd, bytes, read, size - read, read);
      if (count === 0) break;
      read += count;
    }
    return bytes.subarray(0, read);
  } catch (error) {
    if (MeshError.is(error)) throw error;
    throw keysError(`cannot read ${path}: ${reasonOf(error)}`, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
};

/** Whole and synced when it is there; never written over another. @throws MeshError INVALID_KEYS */
export const writeNewFile = (path: string, content: string | Uint8Array): void => {
  const next = temporaryName(path);
  try {
    writeSynced(next, content);
    linkNew(next, path, content);
    removeFile(next);
    syncFolder(dirname(path));
  } catch (error) {
    removeFile(next);
    const taken = (error as NodeJS.ErrnoException).code === "EEXIST";
    const reason = taken ? "it is there already, and is never written over" : reasonOf(error);
    throw keysError(`cannot write ${path}: ${reason}`, error);
  }
};

/** The old content or the new one, whenever the power goes. @throws MeshError INVALID_KEYS */
export const replaceFile = (path: string, content: string | Uint8Array): void => {
  const next = temporaryName(path);
  try {
    writeSynced(next, content);
    renameSync(next, path);
    syncFolder(dirname(path));
  } catch (error) {
    removeFile(next);
    throw keysError(`cannot write ${path}: ${reasonOf(error)}`, error);
  }
};

/** One line at the end of a record, synced. @throws MeshError INVALID_KEYS */
export const appendLine = (path: string, line: string): void => {
  try {
    const isNew = !existsSync(path);
    const fd = openSync(path, "a+", FILE_MODE);
    try {
      // A crash may have left half a line: it must not become the head of this one.
      const { size } = fstatSync(fd);
      const last = Buffer.alloc(1);
      const isTorn = size > 0 && readSync(fd, last, 0, 1, size - 1) === 1 && last[0] !== NEWLINE;
      writeSync(fd, `${isTorn ? "\n" : ""}${line}\n`);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    if (isNew) syncFolder(dirname(path));
  } catch (error) {
    throw keysError(`cannot write ${path}: ${reasonOf(error)}`, error);
  }
};

/** What tells one state of a file from another; "" when it is not there. */
export const fileMark = (path: string): string => {
  const stats = statOf(path);
  return stats === undefined ? "" : `${stats.ino}-${stats.size}-${stats.mtimeMs}`;
};

export const removeFile = (path: string): void => {
  try {
    unlinkSync(path);
  } catch {
    // It was not there, which is what was wanted.
  }
};

const checkMode = (path: string, mode: number, privacy: Privacy): void => {
  if (!HAS_MODES) return;
  const others = privacy === "secret" ? 0o077 : 0o022;
  if ((mode & others) === 0) return;
  const what = privacy === "secret" ? "open to others" : "writable by others";
  throw keysError(`${path} is ${what} (mode ${octal(mode)}): chmod 600 ${path}`);
};

/** What a command that was killed leaves; nobody reads it. */
export const isTemporary = (name: string): boolean => name.endsWith(TEMPORARY);

const temporaryName = (path: string): string =>
  `${path}.${randomBytes(6).toString("hex")}${TEMPORARY}`;

const linkNew = (from: string, path: string, content: string | Uint8Array): void => {
  try {
    linkSync(from, path);
  } catch (error) {
    if (!NO_LINKS.has((error as NodeJS.ErrnoException).code ?? "")) throw error;
    writeSynced(path, content);
  }
};

const writeSynced = (path: string, content: string | Uint8Array): void => {
  const fd = openSync(path, "wx", FILE_MODE);
  try {
    const bytes = Buffer.from(content);
    let written = 0;
    while (written < bytes.length) written += writeSync(fd, bytes, written);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

/** What was made, linked or renamed in it stays so after a power cut. */
export const syncFolder = (path: string): void => {
  if (!HAS_MODES) return;
  const fd = openSync(path, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
};

const statOf = (path: string): Stats | undefined => statSync(path, { throwIfNoEntry: false });

const octal = (mode: number): string => (mode & 0o777).toString(8);

const reasonOf = (error: unknown): string =>
  (error as NodeJS.ErrnoException).code ?? (error instanceof Error ? error.message : String(error));
