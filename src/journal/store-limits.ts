/**
 * What every engine asks of keys, checked before anything is queued, so that a wrong write is an error
 * of its own commit and never a half-written batch or a native failure.
 */

import { MeshError } from "../errors.ts";
import type { StoreWrite } from "../ports/journal-store.ts";

/** Longest key in bytes. lmdb itself takes 1,978 at its default page size; 511 fits any build of it. */
export const KEY_BYTES_MAX = 511;
/** Bounds of a scan may be longer than a key (a key and a suffix). */
const BOUND_BYTES_MAX = 1024;

/** Bytes of the values. @throws MeshError INVALID_OPTIONS for a key of 0 or more than 511 bytes */
export function checkWrites(writes: readonly StoreWrite[]): number {
  let bytes = 0;
  for (const { table, key, value } of writes) {
    if (key.length === 0 || key.length > KEY_BYTES_MAX) {
      throw new MeshError(
        "INVALID_OPTIONS",
        `a key of ${key.length} B in table "${table}" is outside 1 to ${KEY_BYTES_MAX} B`,
      );
    }
    bytes += value?.length ?? 0;
  }
  return bytes;
}

/** @throws MeshError INVALID_OPTIONS */
export function checkBound(bound: Uint8Array): void {
  if (bound.length <= BOUND_BYTES_MAX) return;
  throw new MeshError(
    "INVALID_OPTIONS",
    `a key or bound of ${bound.length} B exceeds ${BOUND_BYTES_MAX} B`,
  );
}
