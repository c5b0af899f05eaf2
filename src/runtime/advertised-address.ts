import { isHostless } from "./link/better-addresses.ts";

/** What others dial: the address that was bound, under the host that the operator advertises. */
export const advertisedAddress = (bound: string, host: string | undefined): string => {
  if (host === undefined || isHostless(bound)) return bound;
  const scheme = bound.slice(0, bound.indexOf("://") + 3);
  return `${scheme}${host}${bound.slice(bound.lastIndexOf(":"))}`;
};
