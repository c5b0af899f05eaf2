/**
 * Keys of which a message ended at its producer, while the disk does not know yet.
 *
 * Problem: a message that expired has ended in memory at once. If its key went on and the machine died before
 * the cursor is on disk, the message would come again, after what followed it. Approach: nothing of such a key
 * is sent until the cursor's next commit succeeded. Beyond `KEYS_MAX` keys between two commits it is every key.
 *
 * Invariant: a key is let go only by a commit that began after its last message ended.
 */
const KEYS_MAX = 4_096;

export class UnwrittenEnds {
  #gathering = new Set<number>();
  #writing = new Set<number>();

  /** A message of this key ended; -1, which is no key, holds nothing back. */
  add(keyHash: number): void {
    if (keyHash >= 0 && this.#gathering.size <= KEYS_MAX) this.#gathering.add(keyHash);
  }

  /** Whether a message of this key has to wait. */
  holds(keyHash: number): boolean {
    if (keyHash < 0) return false;
    return holdsIn(this.#gathering, keyHash) || holdsIn(this.#writing, keyHash);
  }

  /** A commit takes what has ended so far. */
  flush(): void {
    for (const keyHash of this.#gathering) this.#writing.add(keyHash);
    this.#gathering = new Set();
  }

  /** The commit's outcome; after a failure its keys wait for the next. Returns whether keys go on. */
  committed(succeeded: boolean): boolean {
    const writing = this.#writing;
    if (writing.size === 0) return false;
    this.#writing = new Set();
    if (succeeded) return true;
    for (const keyHash of this.#gathering) writing.add(keyHash);
    this.#gathering = writing;
    return false;
  }
}

const holdsIn = (keys: ReadonlySet<number>, keyHash: number): boolean =>
  keys.size > KEYS_MAX || keys.has(keyHash);
