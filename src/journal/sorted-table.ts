/**
 * A table in memory: entries in key order.
 *
 * Approach: a list of chunks of at most CHUNK_ENTRIES_MAX entries, each chunk sorted. Finding is two
 * binary searches; a change moves part of one chunk. An append at the end fills the last chunk and
 * opens a new one, a removal at the front shifts one chunk, so that the log (append behind, remove in
 * front) costs the same at a thousand and at a million entries.
 * Invariants: no chunk is empty; keys rise strictly through all chunks; keys and values are the
 * arrays that were put.
 */

const CHUNK_ENTRIES_MAX = 512;

type Entry<V> = { readonly key: Uint8Array; readonly value: V };
type Chunk<V> = Entry<V>[];

export class SortedTable<V = Uint8Array> {
  readonly #chunks: Chunk<V>[] = [];

  get(key: Uint8Array): V | undefined {
    const chunk = this.#chunks[this.#chunkFor(key)];
    if (chunk === undefined) return undefined;
    const entry = chunk[lowerBound(chunk, key)];
    return entry !== undefined && compareBytes(entry.key, key) === 0 ? entry.value : undefined;
  }

  /** Puts the arrays themselves, not copies. Returns the value that was there. */
  put(key: Uint8Array, value: V): V | undefined {
    // Past the last key the last chunk takes it.
    const at = Math.min(this.#chunkFor(key), Math.max(this.#chunks.length - 1, 0));
    const chunk = this.#chunks[at];
    if (chunk === undefined) {
      this.#chunks.push([{ key, value }]);
      return undefined;
    }
    const index = lowerBound(chunk, key);
    const there = chunk[index];
    if (there !== undefined && compareBytes(there.key, key) === 0) {
      chunk[index] = { key: there.key, value };
      return there.value;
    }
    if (index === CHUNK_ENTRIES_MAX) {
      this.#chunks.push([{ key, value }]);
      return undefined;
    }
    chunk.splice(index, 0, { key, value });
    if (chunk.length > CHUNK_ENTRIES_MAX) {
      this.#chunks.splice(at + 1, 0, chunk.splice(CHUNK_ENTRIES_MAX >> 1));
    }
    return undefined;
  }

  /** Returns the value that was there. */
  remove(key: Uint8Array): V | undefined {
    const at = this.#chunkFor(key);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return undefined;
    const index = lowerBound(chunk, key);
    const there = chunk[index];
    if (there === undefined || compareBytes(there.key, key) !== 0) return undefined;
    chunk.splice(index, 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
    return there.value;
  }

  /** Entries with from <= key < to, in order, each the table's own arrays. */
  *rising(from: Uint8Array | undefined, to: Uint8Array | undefined): Generator<Entry<V>> {
    let at = from === undefined ? 0 : this.#chunkFor(from);
    let index = from === undefined ? 0 : lowerBound(this.#chunks[at] ?? [], from);
    for (let chunk = this.#chunks[at]; chunk !== undefined; chunk = this.#chunks[++at]) {
      for (let entry = chunk[index]; entry !== undefined; entry = chunk[++index]) {
        if (to !== undefined && compareBytes(entry.key, to) >= 0) return;
        yield entry;
      }
      index = 0;
    }
  }

  /** The same range from its end. */
  *falling(from: Uint8Array | undefined, to: Uint8Array | undefined): Generator<Entry<V>> {
    const last = this.#chunks.length - 1;
    let at = to === undefined ? last : Math.min(this.#chunkFor(to), last);
    let chunk = this.#chunks[at];
    let index =
      chunk === undefined ? -1 : (to === undefined ? chunk.length : lowerBound(chunk, to)) - 1;
    while (chunk !== undefined) {
      for (let entry = chunk[index]; entry !== undefined; entry = chunk[--index]) {
        if (from !== undefined && compareBytes(entry.key, from) < 0) return;
        yield entry;
      }
      chunk = this.#chunks[--at];
      index = (chunk?.length ?? 0) - 1;
    }
  }

  /** The first chunk whose last key is not below `key`; one past the end when there is none. */
  #chunkFor(key: Uint8Array): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const lastKey = this.#chunks[middle]?.at(-1)?.key;
      if (lastKey !== undefined && compareBytes(lastKey, key) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** Unsigned bytes; a prefix before what it is a prefix of. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function lowerBound<V>(chunk: Chunk<V>, key: Uint8Array): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = chunk[middle] as Entry<V>;
    if (compareBytes(entry.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
