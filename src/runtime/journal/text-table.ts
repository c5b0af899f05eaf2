/**
 * Texts of one block, each written once and known by a number.
 *
 * Invariants: `bytes` is what `writeTo` takes. The last text asked for is found by comparing alone,
 * because messages of one contract come in runs.
 */
export class TextTable {
  readonly #indexByText: [Map<string, number>, Map<string, number>] = [new Map(), new Map()];
  readonly #texts: string[] = [];
  readonly #kinds: number[] = [];
  readonly #sizes: number[] = [];
  #bytes = 0;
  #lastText: string | undefined;
  #lastKind = -1;
  #lastIndex = 0;

  get count(): number {
    return this.#texts.length;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** The text's number. `kind` 0 or 1 is written before it; -1: none is. @throws RangeError */
  intern(kind: number, text: string): number {
    if (text === this.#lastText && kind === this.#lastKind) return this.#lastIndex;
    const known = this.#indexByText[kind === 1 ? 1 : 0];
    let index = known.get(text);
    if (index === undefined) {
      const size = Buffer.byteLength(text);
      if (size > 0xffff) throw new RangeError(`text of ${size} B exceeds 65535 B`);
      index = this.#texts.length;
      known.set(text, index);
      this.#texts.push(text);
      this.#kinds.push(kind);
      this.#sizes.push(size);
      this.#bytes += size + (kind < 0 ? 2 : 3);
    }
    this.#lastText = text;
    this.#lastKind = kind;
    this.#lastIndex = index;
    return index;
  }

  /** Forgets all but the first `count` texts. */
  truncate(count: number): void {
    while (this.#texts.length > count) {
      const kind = this.#kinds.pop() as number;
      this.#indexByText[kind === 1 ? 1 : 0].delete(this.#texts.pop() as string);
      this.#bytes -= (this.#sizes.pop() as number) + (kind < 0 ? 2 : 3);
    }
    this.#lastText = undefined;
  }

  clear(): void {
    this.#indexByText[0].clear();
    this.#indexByText[1].clear();
    this.#texts.length = 0;
    this.#kinds.length = 0;
    this.#sizes.length = 0;
    this.#bytes = 0;
    this.#lastText = undefined;
  }

  /** Writes all texts at `at`, where `bytes` are free; returns where they end. */
  writeTo(buffer: Buffer, at: number): number {
    let position = at;
    for (let index = 0; index < this.#texts.length; index++) {
      const kind = this.#kinds[index] as number;
      const size = this.#sizes[index] as number;
      if (kind >= 0) buffer[position++] = kind;
      buffer.writeUInt16LE(size, position);
      position += 2;
      position += buffer.write(this.#texts[index] as string, position, "utf8");
    }
    return position;
  }
}
