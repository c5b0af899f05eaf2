/** The history: in memory for the checkers, and as JSON lines in a file for a look. */
import { closeSync, openSync, writeSync } from "node:fs";
import type { ChaosRecord } from "./chaos-record.ts";

const BUFFER_BYTES = 64 * 1024;

export class ChaosLog {
  readonly path: string;
  readonly records: ChaosRecord[] = [];
  readonly #fd: number;
  #text = "";

  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, "w", 0o600);
  }

  add(record: ChaosRecord): void {
    this.records.push(record);
    this.#text += `${JSON.stringify(record)}\n`;
    if (this.#text.length > BUFFER_BYTES) this.#flush();
  }

  end(): void {
    this.#flush();
    closeSync(this.#fd);
  }

  #flush(): void {
    writeSync(this.#fd, this.#text);
    this.#text = "";
  }
}
