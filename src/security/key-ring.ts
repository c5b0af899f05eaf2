/**
 * keyRing(): the keys of encrypted fields in one file, which grows by a line for each key.
 *
 * Problem: a key must be on the disk before anything sealed with it leaves, be found by its id for years,
 * and be gone for good when a person is forgotten. Approach: a log of lines, each appended whole and
 * synced; readers, in other processes too, follow its end. A line names a key's owner by a keyed hash, so
 * that the file lists no persons. Forgetting appends a line that says so, and then writes zeros over the
 * keys where they stand; a stop in between is made up for when the file is read next.
 *
 * Invariants: a key is given out for sealing after its line is synced; a key that was forgotten is never
 * given out again, by any process that has seen the line, and every process looks at most LOOK_MS later.
 * Limits: one file system that all readers share; a copy of the file (a backup, a snapshot, a disk that
 * writes elsewhere) still holds what was zeroed in the original. About 250 B of memory a key.
 */
import { createHmac, randomBytes } from "node:crypto";
import { closeSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../errors.ts";
import {
  FIELD_KEY_BYTES,
  FIELD_KEY_ID_BYTES,
  type FieldKey,
  type FieldKeys,
} from "../ports/field-keys.ts";
import {
  appendLine,
  hasFile,
  keysError,
  makeKeyFolder,
  readKeyFile,
  writeNewFile,
} from "./key-files.ts";

export type KeyRingOptions = {
  /** Made with mode 0700 if it is not there. */
  readonly folder: string;
  /**
   * A key seals for so long, 1 s to 10 years, then a new one does; default 7 days. Less: more keys; more: at
   * 2^32 messages of one name a key is worn out.
   */
  readonly rotateAfterMs?: number;
  /** Keys in the file, 1 to 10,000,000; default 200,000. Past it: nothing new can be encrypted. */
  readonly keysMax?: number;
};

/** A ring of keys that can be forgotten. */
export interface KeyRing extends FieldKeys {
  /**
   * Destroys every key of a name: what they sealed, wherever it lies, reads as erased. Synced when it
   * returns; how many keys there were. The name gets no new key.
   */
  forget(name: string): number;
  /** The next message of a name gets a new key; old ones stay readable. */
  rotate(name: string): void;
}

const FILE = "keys.log";
const FILE_BYTES_MAX = 4 * 2 ** 30;
const CHUNK_BYTES = 1_048_576;
const LOOK_MS = 1_000;
const HEX = "hex";
/** As many characters as a key takes in a line. */
const ZEROS = "0".repeat(FIELD_KEY_BYTES * 2);

/** @throws MeshError INVALID_OPTIONS, INVALID_KEYS */
export const keyRing = (options: KeyRingOptions): KeyRing => new FileKeyRing(options);

type Held = {
  readonly id: Uint8Array;
  key: Uint8Array | "erased";
  readonly at: number;
  readonly madeMs: number;
};
type Line = {
  salt?: string;
  name?: string;
  id?: string;
  madeMs?: number;
  key?: string;
  forget?: string;
};

class FileKeyRing implements KeyRing {
  readonly #path: string;
  readonly #rotateAfterMs: number;
  readonly #keysMax: number;
  readonly #byId = new Map<string, Held>();
  /** Keys of a name, the newest last; "forgotten" for good. */
  readonly #byName = new Map<string, Held[] | "forgotten">();
  #salt = "";
  /** How far the file was read. */
  #readTo = 0;
  #lookedMs = Number.NEGATIVE_INFINITY;

  constructor({ folder, rotateAfterMs = 7 * 86_400_000, keysMax = 200_000 }: KeyRingOptions) {
    if (!(rotateAfterMs >= 1_000 && rotateAfterMs <= 3_650 * 86_400_000)) {
      throw invalid(`rotateAfterMs is ${rotateAfterMs}, must be 1,000 to 315,360,000,000`);
    }
    if (!(Number.isInteger(keysMax) && keysMax >= 1 && keysMax <= 10_000_000)) {
      throw invalid(`keysMax is ${keysMax}, must be 1 to 10,000,000`);
    }
    if (typeof folder !== "string" || folder === "") throw invalid("folder must be a path");
    makeKeyFolder(folder);
    this.#path = join(folder, FILE);
    this.#rotateAfterMs = rotateAfterMs;
    this.#keysMax = keysMax;
    if (!hasFile(this.#path)) this.#begin();
    // Refuses a file that others can read.
    readKeyFile(this.#path, "secret", FILE_BYTES_MAX);
    this.#follow();
    if (this.#salt === "") throw keysError(`${this.#path} does not begin as a key ring does`);
    this.#finishForgetting();
  }

  sealing(name: string): FieldKey {
    this.#look();
    const owner = this.#ownerOf(name);
    const held = this.#byName.get(owner);
    if (held === "forgotten")
      throw keysError("whom this is about was forgotten: it gets no new key");
    const newest = held?.at(-1);
    if (newest !== undefined && newest.key !== "erased") {
      const ageMs = Date.now() - newest.madeMs;
      if (ageMs < this.#rotateAfterMs) return { id: newest.id, key: newest.key };
    }
    return this.#make(owner);
  }

  opening(id: Uint8Array): Uint8Array | "erased" | undefined {
    this.#look();
    const name = Buffer.from(id).toString(HEX);
    const held = this.#byId.get(name);
    if (held !== undefined) return held.key;
    // It may have been made a moment ago, by another process.
    this.#follow();
    return this.#byId.get(name)?.key;
  }

  forget(name: string): number {
    this.#follow();
    const owner = this.#ownerOf(name);
    const held = this.#byName.get(owner);
    if (held === "forgotten") return 0;
    appendLine(this.#path, JSON.stringify({ forget: owner }));
    this.#follow();
    this.#finishForgetting();
    return held?.length ?? 0;
  }

  rotate(name: string): void {
    this.#follow();
    const owner = this.#ownerOf(name);
    if (this.#byName.get(owner) === "forgotten") throw keysError("the name was forgotten");
    this.#make(owner);
  }

  #begin(): void {
    const salt = randomBytes(32).toString(HEX);
    try {
      writeNewFile(this.#path, `${JSON.stringify({ salt })}\n`);
    } catch (error) {
      // Another process was first.
      if (!hasFile(this.#path)) throw error;
    }
  }

  #make(owner: string): FieldKey {
    if (this.#byId.size >= this.#keysMax) {
      throw keysError(`the key ring holds ${this.#byId.size} keys, keysMax is ${this.#keysMax}`);
    }
    const id = randomBytes(FIELD_KEY_ID_BYTES);
    const key = randomBytes(FIELD_KEY_BYTES);
    const line = { name: owner, id: id.toString(HEX), madeMs: Date.now(), key: key.toString(HEX) };
    appendLine(this.#path, JSON.stringify(line));
    this.#follow();
    const held = this.#byId.get(line.id);
    // Another process may have forgotten the name just before.
    if (held === undefined || held.key === "erased") throw keysError("the name was forgotten");
    return { id: held.id, key: held.key };
  }

  #ownerOf(name: string): string {
    return createHmac("sha256", this.#salt).update(name).digest(HEX).slice(0, 32);
  }

  #look(): void {
    const nowMs = performance.now();
    if (nowMs - this.#lookedMs < LOOK_MS) return;
    this.#follow();
  }

  /** Reads the lines that were added, by whomever. */
  #follow(): void {
    this.#lookedMs = performance.now();
    const fd = openSync(this.#path, "r");
    try {
      const { size } = fstatSync(fd);
      while (this.#readTo < size) {
        const bytes = Buffer.alloc(Math.min(CHUNK_BYTES, size - this.#readTo));
        const count = readSync(fd, bytes, 0, bytes.length, this.#readTo);
        const end = bytes.lastIndexOf(10, count - 1);
        if (end < 0) return;
        this.#takeLines(bytes.subarray(0, end + 1));
        this.#readTo += end + 1;
      }
    } finally {
      closeSync(fd);
    }
  }

  #takeLines(bytes: Buffer): void {
    let start = 0;
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      this.#takeLine(bytes.toString("latin1", start, end), this.#readTo + start);
      start = end + 1;
    }
  }

  #takeLine(text: string, at: number): void {
    let line: Line;
    try {
      line = JSON.parse(text) as Line;
    } catch {
      // Half a line, left by a stop: its key was never given out.
      return;
    }
    const { salt, name, id, madeMs = 0, key, forget } = line;
    if (salt !== undefined && this.#salt === "") this.#salt = salt;
    if (forget !== undefined) this.#eraseName(forget);
    if (name === undefined || id === undefined || key === undefined) return;
    const known = this.#byName.get(name);
    const isErased = known === "forgotten" || key === ZEROS;
    const held: Held = {
      id: Buffer.from(id, HEX),
      key: isErased ? "erased" : Buffer.from(key, HEX),
      at: at + text.indexOf(key),
      madeMs,
    };
    this.#byId.set(id, held);
    if (known === "forgotten") {
      if (key !== ZEROS) this.#toZero.push(held.at);
    } else if (known === undefined) this.#byName.set(name, [held]);
    else known.push(held);
  }

  /** Where keys stand in the file that are to be written over. */
  readonly #toZero: number[] = [];

  #eraseName(owner: string): void {
    const held = this.#byName.get(owner);
    if (held !== undefined && held !== "forgotten") {
      for (const each of held) {
        if (each.key !== "erased") {
          each.key.fill(0);
          this.#toZero.push(each.at);
        }
        each.key = "erased";
      }
    }
    this.#byName.set(owner, "forgotten");
  }

  /** Writes over the keys that were forgotten, also where another process stopped before it had. */
  #finishForgetting(): void {
    if (this.#toZero.length === 0) return;
    const fd = openSync(this.#path, "r+");
    try {
      for (const at of this.#toZero) writeSync(fd, ZEROS, at, "latin1");
      fsyncSync(fd);
      this.#toZero.length = 0;
    } catch (error) {
      throw keysError(`cannot write over keys in ${this.#path}`, error);
    } finally {
      closeSync(fd);
    }
  }
}

const invalid = (message: string): MeshError =>
  new MeshError("INVALID_OPTIONS", `keyRing(): ${message}`);
