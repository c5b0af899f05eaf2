/** What an error of the file system means to a commit: no room, or an outcome that is unknown. */

import { StoreError } from "../ports/journal-store.ts";

/** Names of a full disk, a full quota, and a file that may not grow. */
export const FULL_NAMES: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

/** The StoreError that it is, or "full" or "sync". */
export function storeErrorOf(error: unknown, what: string): StoreError {
  if (error instanceof StoreError) return error;
  const { code, message } = error as { code?: unknown; message?: string };
  return new StoreError(FULL_NAMES.has(code) ? "full" : "sync", `${what}: ${message}`, error);
}

/** Nothing was written, for want of room. */
export const isFull = (error: unknown): boolean => storeErrorOf(error, "").failure === "full";
