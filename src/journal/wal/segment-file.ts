/**
 * The files of the write-ahead log: of fixed size, zeroed before use, written synced.
 *
 * Why zeroed: a write to blocks that a file already has changes no metadata, so that one flush makes it durable
 * (0.1 ms here where an append takes two to three times that); and a full disk is met here, when a file is made,
 * not by a commit. What a large commit fills at once is not: that would write each byte twice. Where the system has `O_DSYNC` a write returns when it is on the disk; elsewhere
 * `fdatasync` follows it (macOS: `F_FULLFSYNC`, by libuv).
 */

import {
  closeSync,
  constants,
  existsSync,
  fdatasync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
  writev,
} from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { syncFolder } from "../sync-folder.ts";

const NAME = /^journal\.wal\.(\d+)$/;
const MARK = "journal.wal.mark";
/** Of a file that is being made. */
const DRAFT = "journal.wal.new";
const ZEROS_BYTES = 256 * 1024;
const fdatasyncAsync = promisify(fdatasync);
const SYNCED = process.platform === "linux" ? (constants.O_DSYNC ?? 0) : 0;

export interface SegmentFile {
  readonly path: string;
  readonly capacity: number;
  /** Writes the parts one after the other; resolves once they are on the disk. @throws the errno error */
  write(parts: readonly Uint8Array[], at: number): Promise<void>;
  /** A copy; shorter where the file ends. */
  read(at: number, bytes: number): Uint8Array;
  /** What a process that is gone had written may have been in memory only: resolves once it is on the disk. */
  sync(): Promise<void>;
  close(): void;
}

export interface SegmentFiles {
  /** Those that are there, opened, in no order that means anything. */
  open(): SegmentFile[];
  /**
   * A new one that begins so, zeros behind, on the disk with its name; before `zerosFrom` its blocks come with what
   * is written there.
   * @throws the errno error, with nothing left behind
   */
  create(bytes: number, head: Uint8Array, zerosFrom: number): Promise<SegmentFile>;
  remove(file: SegmentFile): void;
  /** The file that says how far the log was synced, if it is there (log-mark.ts). */
  openMark(): SegmentFile | undefined;
  /** Makes it, empty. @throws the errno error */
  createMark(): Promise<SegmentFile>;
}

/** Segment files of one folder: `journal.wal.1`, `.2`, ... */
export class FolderSegments implements SegmentFiles {
  readonly #folder: string;
  #last = 0;

  constructor(folder: string) {
    this.#folder = folder;
  }

  open(): SegmentFile[] {
    removeIfThere(join(this.#folder, DRAFT));
    const files: SegmentFile[] = [];
    for (const name of readdirSync(this.#folder)) {
      const number = Number(NAME.exec(name)?.[1]);
      if (Number.isNaN(number)) continue;
      this.#last = Math.max(this.#last, number);
      files.push(new OpenFile(join(this.#folder, name)));
    }
    return files;
  }

  async create(bytes: number, head: Uint8Array, zerosFrom: number): Promise<SegmentFile> {
    const draft = join(this.#folder, DRAFT);
    try {
      const handle = await open(draft, "w", 0o600);
      try {
        await handle.writeFile(head);
        await handle.truncate(bytes);
        const zeros = new Uint8Array(Math.min(bytes, ZEROS_BYTES));
        for (let at = zerosFrom; at < bytes; ) {
          const length = Math.min(zeros.length, bytes - at);
          at += (await handle.write(zeros, 0, length, at)).bytesWritten;
        }
        await handle.datasync();
      } finally {
        await handle.close();
      }
      this.#last += 1;
      const path = join(this.#folder, `journal.wal.${this.#last}`);
      renameSync(draft, path);
      await syncFolder(this.#folder);
      return new OpenFile(path);
    } catch (error) {
      removeIfThere(draft);
      throw error;
    }
  }

  remove(file: SegmentFile): void {
    file.close();
    removeIfThere(file.path);
  }

  openMark(): SegmentFile | undefined {
    const path = join(this.#folder, MARK);
    return existsSync(path) ? new OpenFile(path) : undefined;
  }

  async createMark(): Promise<SegmentFile> {
    const file = new OpenFile(join(this.#folder, MARK), constants.O_CREAT);
    await syncFolder(this.#folder);
    return file;
  }
}

class OpenFile implements SegmentFile {
  readonly path: string;
  readonly capacity: number;
  readonly #fd: number;
  #isOpen = true;

  constructor(path: string, flags = 0) {
    this.path = path;
    this.#fd = openSync(path, constants.O_RDWR | SYNCED | flags, 0o600);
    this.capacity = fstatSync(this.#fd).size;
  }

  write(parts: readonly Uint8Array[], at: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (error: NodeJS.ErrnoException | null): void => {
        if (error === null) resolve();
        else reject(error);
      };
      writeAll(this.#fd, parts, at, (error) => {
        if (error !== null || SYNCED !== 0) done(error);
        else fdatasync(this.#fd, done);
      });
    });
  }

  read(at: number, bytes: number): Uint8Array {
    const into = new Uint8Array(bytes);
    let got = 0;
    while (got < bytes) {
      const count = readSync(this.#fd, into, got, bytes - got, at + got);
      if (count === 0) break;
      got += count;
    }
    return got === bytes ? into : into.subarray(0, got);
  }

  sync(): Promise<void> {
    return fdatasyncAsync(this.#fd);
  }

  close(): void {
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }
}

/** A write may take less than it was given. */
function writeAll(
  fd: number,
  parts: readonly Uint8Array[],
  at: number,
  done: (error: NodeJS.ErrnoException | null) => void,
): void {
  writev(fd, parts as Uint8Array[], at, (error, written) => {
    if (error !== null) return done(error);
    const rest = behind(parts, written);
    if (rest.length === 0) return done(null);
    writeAll(fd, rest, at + written, done);
  });
}

function behind(parts: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = bytes;
  for (const part of parts) {
    if (skip < part.length) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
