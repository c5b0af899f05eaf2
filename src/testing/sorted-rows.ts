/** One table of the simulated disk: rows in the order of their keys. */
import type { ScanOptions, StoreEntry } from "../ports/journal-store.ts";

export type Row = { readonly name: string; readonly key: Uint8Array; readonly value: Uint8Array };

export class SortedRows {
  #rows: Row[] = [];
  bytes = 0;

  get size(): number {
    return this.#rows.length;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const name = nameOf(key);
    const row = this.#rows[this.#find(name)];
    return row?.name === name ? row.value : undefined;
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.putRow({ name: nameOf(key), key, value });
  }

  putRow(row: Row): void {
    const { name, key, value } = row;
    const at = this.#find(name);
    const before = this.#rows[at];
    const isThere = before?.name === name;
    if (isThere) this.bytes -= before.value.length;
    else this.bytes += key.length;
    this.bytes += value.length;
    if (isThere) this.#rows[at] = row;
    else this.#rows.splice(at, 0, row);
  }

  remove(key: Uint8Array): void {
    const name = nameOf(key);
    const at = this.#find(name);
    const row = this.#rows[at];
    if (row?.name !== name) return;
    this.bytes -= row.key.length + row.value.length;
    this.#rows.splice(at, 1);
  }

  range({ from, to, limit, reverse = false }: ScanOptions): StoreEntry[] {
    const low = from === undefined ? 0 : this.#find(nameOf(from));
    const high = to === undefined ? this.#rows.length : this.#find(nameOf(to));
    if (high <= low || limit <= 0) return [];
    if (reverse) return this.#rows.slice(Math.max(low, high - limit), high).reverse();
    return this.#rows.slice(low, Math.min(high, low + limit));
  }

  copy(): SortedRows {
    const copy = new SortedRows();
    copy.#rows = this.#rows.slice();
    copy.bytes = this.bytes;
    return copy;
  }

  /** The first row whose name is not below this one. */
  #find(name: string): number {
    let low = 0;
    let high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#rows[middle] as Row).name < name) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** One character a byte: compares as the bytes do. */
export const nameOf = (key: Uint8Array): string =>
  Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
