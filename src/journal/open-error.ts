/** What a failed open of a data folder is called: the remedy differs for a full disk, a broken one and a wrong path. */

import { MeshError } from "../errors.ts";

const FULL_NAMES = new Set<unknown>(["ENOSPC", "EDQUOT", "EFBIG", 28, 122, 27]);
const IO_FAILURES = new Set<unknown>(["EIO", 5]);

/** DISK_FULL, JOURNAL_DAMAGED, INVALID_OPTIONS, or the MeshError it is. */
export function openError(error: unknown, dataDir: string): MeshError {
  if (MeshError.is(error)) return error;
  const { code, message } = error as { code?: unknown; message?: string };
  if (FULL_NAMES.has(code)) {
    return new MeshError("DISK_FULL", `no room to open the journal in ${dataDir}: ${message}`, {
      cause: error,
      details: { dataDir },
    });
  }
  if (IO_FAILURES.has(code)) {
    return new MeshError(
      "JOURNAL_DAMAGED",
      `the journal in ${dataDir} cannot be read: ${message}`,
      {
        cause: error,
        details: { path: dataDir, reason: message },
      },
    );
  }
  return new MeshError("INVALID_OPTIONS", `dataDir ${dataDir} cannot be used: ${message}`, {
    cause: error,
    details: { dataDir },
  });
}
