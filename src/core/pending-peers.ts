/**
 * Peers that have connected and not yet said who they are.
 *
 * Problem: strangers may open any number of connections and say nothing, and each would be waited for until its
 * time is up; refusing newcomers at a limit would keep honest peers out. Approach: at the limit the oldest goes. An
 * honest peer needs milliseconds, so it is through before a flood has pushed it out.
 *
 * Bounds: PENDING_MAX of one address, PENDING_ALL_MAX of all.
 */
export const PENDING_MAX = 64;
export const PENDING_ALL_MAX = 512;

type Pending<Item> = { readonly from: string; readonly item: Item };

export class PendingPeers<Key, Item = Key> {
  readonly #cut: (item: Item) => void;
  /** In order of arrival. */
  readonly #all = new Map<Key, Pending<Item>>();
  readonly #counts = new Map<string, number>();

  constructor(cut: (item: Item) => void) {
    this.#cut = cut;
  }

  get size(): number {
    return this.#all.size;
  }

  /** @param from its address. @returns whether another had to go for it */
  add(key: Key, from: string, item: Item): boolean {
    const isFull = (this.#counts.get(from) ?? 0) >= PENDING_MAX;
    const isAllFull = this.#all.size >= PENDING_ALL_MAX;
    const oldest = isFull || isAllFull ? this.#oldest(isFull ? from : undefined) : undefined;
    if (oldest !== undefined) {
      const [oldKey, { item: oldItem }] = oldest;
      this.done(oldKey);
      this.#cut(oldItem);
    }
    this.#all.set(key, { from, item });
    this.#counts.set(from, (this.#counts.get(from) ?? 0) + 1);
    return oldest !== undefined;
  }

  /** It is known, or gone. */
  done(key: Key): void {
    const pending = this.#all.get(key);
    if (pending === undefined) return;
    this.#all.delete(key);
    const left = (this.#counts.get(pending.from) ?? 1) - 1;
    if (left === 0) this.#counts.delete(pending.from);
    else this.#counts.set(pending.from, left);
  }

  cutAll(): void {
    const all = [...this.#all.values()];
    this.#all.clear();
    this.#counts.clear();
    for (const { item } of all) this.#cut(item);
  }

  #oldest(from: string | undefined): [Key, Pending<Item>] | undefined {
    for (const entry of this.#all) {
      if (from === undefined || entry[1].from === from) return entry;
    }
    return undefined;
  }
}
