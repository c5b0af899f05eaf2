/**
 * How far the write-ahead log was synced, kept beside it in `journal.wal.mark`.
 *
 * Problem: of a log alone nobody can tell whether its last record was never written to its end, or was, was
 * acknowledged, and rotted since; nor that its newest file was deleted. Approach: one sector with the number of a
 * commit that is on the disk, written at most every MARK_MS and at close. What the log lacks up to it is damage.
 * Commits never wait for it, and it may be missing or unreadable: then it says nothing, and is written anew. So
 * whoever has to go on without what was lost deletes it.
 * Invariant: the number is never above that of the last commit that was synced.
 *
 * u32 magic "MBWM", u32 CRC-32 of what follows, u64 number, 8 B salt of the journal; zeros.
 */

import { crc32 } from "node:zlib";
import type { SegmentFile, SegmentFiles } from "./segment-file.ts";
import { RECORD_ALIGN_BYTES, SALT_BYTES } from "./wal-record.ts";

export const MARK_MS = 500;

const MAGIC = 0x4d57424d; // "MBWM" read as a little-endian number
const AT = { magic: 0, crc: 4, number: 8, salt: 16 };
const END = AT.salt + SALT_BYTES;

export class LogMark {
  readonly #files: SegmentFiles;
  readonly #salt: Uint8Array;
  #file: SegmentFile | undefined;
  /** What the file says. */
  #written: number;
  /** Number of the last commit that was synced. */
  #synced: number;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;

  constructor(files: SegmentFiles, salt: Uint8Array) {
    this.#files = files;
    this.#salt = salt;
    this.#file = files.openMark();
    this.#written = this.#file === undefined ? 0 : numberIn(this.#file.read(0, END), salt);
    this.#synced = this.#written;
  }

  /** Every commit up to this number was on the disk. */
  get number(): number {
    return this.#written;
  }

  /** This commit is on the disk, with all before it. */
  note(number: number): void {
    if (number <= this.#synced) return;
    this.#synced = number;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#write();
    }, MARK_MS).unref();
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
    await this.#write();
    this.#file?.close();
  }

  /** One that fails is tried again with the next: until then less is known, and nothing is wrong. */
  async #write(): Promise<void> {
    await this.#writing;
    const number = this.#synced;
    if (number === this.#written) return;
    try {
      this.#file ??= await this.#files.createMark();
      await this.#file.write([markOf(number, this.#salt)], 0);
      this.#written = number;
    } catch {}
  }
}

function markOf(number: number, salt: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(RECORD_ALIGN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(AT.magic, MAGIC, true);
  view.setBigUint64(AT.number, BigInt(number), true);
  bytes.set(salt, AT.salt);
  view.setUint32(AT.crc, crc32(bytes.subarray(AT.number, END)), true);
  return bytes;
}

/** 0: it says nothing of this journal. */
function numberIn(bytes: Uint8Array, salt: Uint8Array): number {
  if (bytes.length < END) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isSound =
    view.getUint32(AT.magic, true) === MAGIC &&
    view.getUint32(AT.crc, true) === crc32(bytes.subarray(AT.number, END)) &&
    salt.every((byte, at) => bytes[AT.salt + at] === byte);
  return isSound ? Number(view.getBigUint64(AT.number, true)) : 0;
}
