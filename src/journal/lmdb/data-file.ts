/**
 * The data file beside lmdb: is it whole before lmdb maps it, and has it room before lmdb writes it?
 *
 * Problem: lmdb maps the file and trusts it. A file cut short ends the process with SIGBUS, a foreign
 * one with an abort. And lmdb 3.5.6 formats the message of a failed page write into a heap block that
 * is too small (mdb_page_flush, `malloc(100)`), so that a full disk can corrupt the heap.
 * Approach: read both meta pages ourselves before lmdb opens the file, and give the file its room in
 * advance: zeros are appended (allocating the blocks) before a commit that could need them, so that
 * ENOSPC meets our write, not lmdb's, with nothing of the commit begun.
 * Invariants: under its final name the file holds every page up to the last one lmdb has given out;
 * so a shorter file is a damaged file. A copy-on-write file system may still run out on a rewrite.
 * Source: liblmdb mdb.c (MDB_page_header, MDB_meta, mdb_env_read_header).
 */

import { closeSync, fdatasync, fstatSync, ftruncateSync, openSync, readSync, write } from "node:fs";
import { promisify } from "node:util";
import { MeshError } from "../../errors.ts";

export type FileHeader = {
  readonly pageSizeBytes: number;
  /** Highest page lmdb has given out; pages past it are room. */
  readonly lastPage: number;
};

const PAGE_HEADER_BYTES = 24;
const META_BYTES = 144;
const META_PAGE_FLAG = 0x08;
const TREE_PAGE_FLAGS = 0x03; // branch or leaf
const MAGIC = 0xbeefc0de;
const DATA_VERSION = 2;
const PAGE_SIZE_BYTES_MIN = 512;
const PAGE_SIZE_BYTES_MAX = 65_536;
const NO_PAGE = 0xffff_ffff_ffff_ffffn;
const ZEROS_BYTES = 256 * 1024;

const writeAsync = promisify(write);
const syncAsync = promisify(fdatasync);

/** An open data file whose header was found sound. Not for use while a commit is under way. */
export class DataFile {
  readonly path: string;
  readonly #fd: number;
  #lengthBytes: number;

  private constructor(path: string, fd: number) {
    this.path = path;
    this.#fd = fd;
    this.#lengthBytes = fstatSync(fd).size;
  }

  /** @throws MeshError JOURNAL_DAMAGED when lmdb could not safely open the file. */
  static open(path: string): DataFile {
    const fd = openSync(path, "r+");
    try {
      const file = new DataFile(path, fd);
      file.header();
      return file;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** Reads and checks the newest meta page. @throws MeshError JOURNAL_DAMAGED */
  header(): FileHeader {
    const first = this.#meta(0);
    const second = this.#meta(first.pageSizeBytes);
    const newest = second.transaction > first.transaction ? second : first;
    const { pageSizeBytes, lastPage } = newest;
    const neededBytes = (lastPage + 1) * pageSizeBytes;
    if (second.pageSizeBytes !== pageSizeBytes && second.pageSizeBytes !== 0) {
      throw this.#damaged("its meta pages disagree on the page size");
    }
    if (neededBytes > this.#lengthBytes) {
      throw this.#damaged(`it has ${this.#lengthBytes} B of the ${neededBytes} B it lists`);
    }
    for (const root of [newest.freeRoot, newest.mainRoot]) this.#checkRoot(root, newest);
    return { pageSizeBytes, lastPage };
  }

  /** Pages between the last one given out and the end of the file. */
  roomPages(): number {
    const { pageSizeBytes, lastPage } = this.header();
    return Math.floor(this.#lengthBytes / pageSizeBytes) - lastPage - 1;
  }

  /** Appends zeros. On any failure the file has its old length again. @throws the errno error */
  async extend(bytes: number): Promise<void> {
    const start = this.#lengthBytes;
    const zeros = new Uint8Array(Math.min(bytes, ZEROS_BYTES));
    let written = 0;
    try {
      while (written < bytes) {
        const length = Math.min(zeros.length, bytes - written);
        const { bytesWritten } = await writeAsync(this.#fd, zeros, 0, length, start + written);
        written += bytesWritten;
      }
      this.#lengthBytes = start + written;
    } catch (error) {
      ftruncateSync(this.#fd, start);
      throw error;
    }
  }

  async sync(): Promise<void> {
    await syncAsync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #meta(offset: number) {
    const page = this.#read(offset, PAGE_HEADER_BYTES + META_BYTES);
    const meta = new DataView(page.buffer, page.byteOffset + PAGE_HEADER_BYTES, META_BYTES);
    if ((page[18] ?? 0) !== META_PAGE_FLAG || meta.getUint32(0, true) !== MAGIC) {
      throw this.#damaged(`at offset ${offset} there is no lmdb meta page`);
    }
    if ((meta.getUint32(4, true) & 0xffff) !== DATA_VERSION) {
      throw this.#damaged(`its format is ${meta.getUint32(4, true)}, not ${DATA_VERSION}`);
    }
    const pageSizeBytes = meta.getUint32(24, true);
    const sound =
      pageSizeBytes >= PAGE_SIZE_BYTES_MIN &&
      pageSizeBytes <= PAGE_SIZE_BYTES_MAX &&
      (pageSizeBytes & (pageSizeBytes - 1)) === 0;
    if (!sound) throw this.#damaged(`its page size is ${pageSizeBytes} B`);
    return {
      pageSizeBytes,
      freeRoot: meta.getBigUint64(64, true),
      mainRoot: meta.getBigUint64(112, true),
      lastPage: Number(meta.getBigUint64(120, true)),
      transaction: meta.getBigUint64(128, true),
    };
  }

  #checkRoot(root: bigint, header: FileHeader): void {
    if (root === NO_PAGE) return;
    if (root > BigInt(header.lastPage)) throw this.#damaged(`a tree starts past its end (${root})`);
    const page = this.#read(Number(root) * header.pageSizeBytes, PAGE_HEADER_BYTES);
    const number = new DataView(page.buffer, page.byteOffset).getBigUint64(0, true);
    if (number !== root || ((page[18] ?? 0) & TREE_PAGE_FLAGS) === 0) {
      throw this.#damaged(`page ${root} is not the tree page its meta page names`);
    }
  }

  #read(offset: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    const got = readSync(this.#fd, bytes, 0, length, offset);
    if (got !== length) throw this.#damaged(`it ends at ${offset + got} B, inside a header`);
    return bytes;
  }

  #damaged(reason: string): MeshError {
    return new MeshError(
      "JOURNAL_DAMAGED",
      `the journal file ${this.path} cannot be opened: ${reason}`,
      { details: { path: this.path, reason } },
    );
  }
}
