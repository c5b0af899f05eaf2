/**
 * What an authority or an issuer has signed: one line of JSON a certificate, appended and synced before
 * the certificate is handed out, so that nothing is in the world that is not in the record.
 *
 * It is read line by line, because it only grows. Half a line, left by a crash, is skipped: its
 * certificate was never handed out.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { StringDecoder } from "node:string_decoder";
import { appendLine, hasFile, keysError } from "./key-files.ts";
import type { Grants } from "./rights.ts";

const CHUNK_BYTES = 65_536;
const LINE_CHARS_MAX = 65_536;

export type IssuedLine = {
  readonly atMs: number;
  readonly serial: string;
  readonly role: "authority" | "issuer" | "node";
  readonly service?: string;
  readonly nodeId?: string;
  /** The id that follows from the key: the same as `nodeId`, unless that was given. */
  readonly keyId: string;
  readonly notAfterMs: number;
  readonly allow?: Grants;
  readonly deny?: Grants;
  readonly admin?: string;
  /** Which token was used, where one was. */
  readonly token?: string;
};

export const recordIssued = (path: string, line: IssuedLine): void =>
  appendLine(path, JSON.stringify(line));

/** In the order in which they were signed. */
export function* readIssued(path: string): Generator<IssuedLine> {
  if (!hasFile(path)) return;
  const fd = openSync(path, "r");
  const decoder = new StringDecoder("utf8");
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let rest = "";
  try {
    for (let count = readSync(fd, chunk); count > 0; count = readSync(fd, chunk)) {
      const lines = (rest + decoder.write(chunk.subarray(0, count))).split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LINE_CHARS_MAX) throw keysError(`${path} has a line that is too long`);
      for (const line of lines) {
        const issued = parseLine(line);
        if (issued !== undefined) yield issued;
      }
    }
  } finally {
    closeSync(fd);
  }
}

const parseLine = (line: string): IssuedLine | undefined => {
  try {
    const value = JSON.parse(line) as Partial<IssuedLine> | null;
    if (typeof value?.serial !== "string" || typeof value.notAfterMs !== "number") return undefined;
    return value as IssuedLine;
  } catch {
    return undefined;
  }
};
