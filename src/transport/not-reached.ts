/** A dial that failed, and whether the host itself said that nobody listens. */
import { MeshError } from "../errors.ts";

export const notReached = (address: string, cause: Error & { readonly code?: string }): MeshError =>
  new MeshError("PEER_LOST", `${address} cannot be reached`, {
    cause,
    // No file: its listener has closed.
    details: { refused: cause.code === "ECONNREFUSED" || cause.code === "ENOENT" },
  });
