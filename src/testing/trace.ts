/** The trace of a run: a hash of everything that happened, and the lines themselves when asked for. */
import { frameName } from "./frame-name.ts";

export class Trace {
  readonly lines: string[] | undefined;
  readonly #now: () => number;
  #a = 0x811c_9dc5;
  #b = 0x1234_5678;
  #counted = 0;

  constructor(keepLines: boolean, now: () => number) {
    this.lines = keepLines ? [] : undefined;
    this.#now = now;
  }

  /** Hexadecimal digits that tell two runs apart. */
  get hash(): string {
    return [this.#a, this.#b, this.#counted]
      .map((part) => (part >>> 0).toString(16).padStart(8, "0"))
      .join("");
  }

  note(text: string): void {
    this.#counted++;
    this.#mix(Math.round(this.#now() * 1_000));
    for (let at = 0; at < text.length; at++) this.#mix(text.charCodeAt(at));
    this.lines?.push(`${this.#now().toFixed(3).padStart(11)} ${text}`);
  }

  /** For readers only: no part of the hash. */
  remark(text: string): void {
    this.lines?.push(`${this.#now().toFixed(3).padStart(11)} ${text}`);
  }

  /** A frame that arrived; cheap, because there are many. */
  frame(from: string, to: string, frame: Uint8Array): void {
    this.#counted++;
    this.#mix(Math.round(this.#now() * 1_000));
    this.#mix(frame.length * 64 + from.charCodeAt(1) * 8 + to.charCodeAt(1));
    this.#mix(frame[frame.length - 1] ?? 0);
    this.#mix(frame[frame.length >> 1] ?? 0);
    this.lines?.push(
      `${this.#now().toFixed(3).padStart(11)} ${from} > ${to} ${frameName(frame)} ${frame.length} B`,
    );
  }

  #mix(value: number): void {
    this.#a = Math.imul(this.#a ^ (value & 0xffff), 0x0100_0193);
    this.#b = Math.imul(this.#b ^ value, 0x85eb_ca6b) + 0x6b43_a9b5;
    this.#a ^= this.#b >>> 15;
  }
}
