/**
 * Has large payloads collected while they are young.
 *
 * Problem: V8 counts every buffer as if it were in its old generation. After some 8 to 20 MB of payloads it marks its whole
 * heap again, 3 to 15 ms each time, although all of them were garbage at once: with payloads of 64 KiB that is once for
 * about a hundred, and most of what they cost. A collection of the young generation frees the same for 0.1 to 0.3 ms,
 * but V8 begins one by itself only after 32 MB of them. Approach: who makes large memory for good says so; when that much
 * more lies outside of the heap than there was, the young generation is collected. What is used next is then memory that is
 * in a cache, not new pages.
 *
 * Bounds: nothing is done for less than STEP_BYTES_MIN, or an eighth of the heap; where it frees little, because payloads
 * are kept, the step doubles up to STEP_BYTES_MAX. Where the runtime has no such collection nothing is done at all.
 * Source: v8/src/heap/heap.cc, `AllocateExternalBackingStore` and `AllocatedExternalMemorySinceMarkCompact`.
 */
import { getHeapStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const STEP_BYTES_MIN = 4 * 1024 * 1024;
const STEP_BYTES_MAX = 64 * 1024 * 1024;
const HEAP_SHARE = 8;
/** How often it is looked at all. */
const LOOK_BYTES = 512 * 1024;

type Memory = { readonly outsideBytes: number; readonly heapBytes: number };

export class YoungGarbage {
  readonly #memory: () => Memory;
  #collect: (() => void) | undefined;
  #unlooked = 0;
  /** Outside of the heap: the least since the last collection, and what there was before it, until that is judged. */
  #lowBytes = Number.POSITIVE_INFINITY;
  #beforeBytes = Number.POSITIVE_INFINITY;
  #stepBytes = STEP_BYTES_MIN;

  /** @param collect what collects the young generation; default: V8's, asked for when it is first needed */
  constructor(memory: () => Memory = memoryOfProcess, collect?: () => void) {
    this.#memory = memory;
    this.#collect = collect;
  }

  /** So many bytes were given to somebody who may keep them. */
  made(bytes: number): void {
    this.#unlooked += bytes;
    if (this.#unlooked < LOOK_BYTES) return;
    this.#unlooked = 0;
    this.#look();
  }

  #look(): void {
    const { outsideBytes, heapBytes } = this.#memory();
    this.#lowBytes = Math.min(this.#lowBytes, outsideBytes);
    const stepBytes = Math.max(this.#stepBytes, heapBytes / HEAP_SHARE);
    if (outsideBytes - this.#lowBytes < stepBytes) return;
    // It is freed by another thread, so that only now it is known how much that was.
    if (this.#lowBytes > this.#beforeBytes - stepBytes / 4) {
      this.#stepBytes = Math.min(2 * stepBytes, STEP_BYTES_MAX);
      this.#beforeBytes = Number.POSITIVE_INFINITY;
      return;
    }
    if (Number.isFinite(this.#beforeBytes)) this.#stepBytes = STEP_BYTES_MIN;
    this.#beforeBytes = outsideBytes;
    this.#lowBytes = outsideBytes;
    this.#collect ??= collectorOfYoung();
    this.#collect();
  }
}

const memoryOfProcess = (): Memory => {
  const { external_memory: outsideBytes, used_heap_size: heapBytes } = getHeapStatistics();
  return { outsideBytes, heapBytes };
};

/** As V8 gives it to contexts that are made while a flag is set. */
const collectorOfYoung = (): (() => void) => {
  try {
    setFlagsFromString("--expose-gc");
    const gc: unknown = runInNewContext("globalThis.gc");
    if (typeof globalThis.gc !== "function") setFlagsFromString("--no-expose-gc");
    if (typeof gc === "function") return () => void gc({ type: "minor" });
  } catch {
    // Another runtime.
  }
  return () => {};
};
