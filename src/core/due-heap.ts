/**
 * A binary min-heap of things that fall due.
 *
 * Problem: many waits, one timer. Approach: keep the earliest on top; the shell arms one timer for it.
 * Invariant: `items[0]` has the smallest `dueMs`; ties come out in the order they went in, so that runs
 * are reproducible.
 */
type Item<T> = { readonly dueMs: number; readonly order: number; readonly value: T };

export class DueHeap<T> {
  readonly #items: Item<T>[] = [];
  #order = 0;

  get size(): number {
    return this.#items.length;
  }

  /** When the earliest falls due, or undefined when empty. */
  get nextDueMs(): number | undefined {
    return this.#items[0]?.dueMs;
  }

  push(dueMs: number, value: T): void {
    const item = { dueMs, order: this.#order++, value };
    const items = this.#items;
    let at = items.length;
    items.push(item);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(item, items[parent] as Item<T>)) break;
      items[at] = items[parent] as Item<T>;
      at = parent;
    }
    items[at] = item;
  }

  /** Takes the earliest if it is due at `nowMs`. */
  popDue(nowMs: number): T | undefined {
    const top = this.#items[0];
    if (top === undefined || top.dueMs > nowMs) return undefined;
    const last = this.#items.pop() as Item<T>;
    if (this.#items.length > 0) this.#sink(last);
    return top.value;
  }

  /** Drops what `keep` refuses: waits that ended before they fell due. O(size). */
  retain(keep: (value: T, dueMs: number) => boolean): void {
    const items = this.#items;
    let kept = 0;
    for (const item of items) if (keep(item.value, item.dueMs)) items[kept++] = item;
    items.length = kept;
    for (let at = (kept >> 1) - 1; at >= 0; at--) this.#sink(items[at] as Item<T>, at);
  }

  #sink(item: Item<T>, from = 0): void {
    const items = this.#items;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      const right = items[child + 1];
      if (right !== undefined && before(right, items[child] as Item<T>)) child++;
      if (!before(items[child] as Item<T>, item)) break;
      items[at] = items[child] as Item<T>;
      at = child;
    }
    items[at] = item;
  }
}

const before = <T>(a: Item<T>, b: Item<T>): boolean =>
  a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
