import { isHostless } from "../core/peer-address.ts";

/** What others dial: the address that was bound, under the host that the operator advertises. */
export const advertisedAddress = (bound: string, host: string | undefined): string => {
  const scheme = bound.slice(0, bound.indexOf("://"));
  if (host === undefined || isHostless(scheme)) return bound;
  return `${scheme}://${host}${bound.slice(bound.lastIndexOf(":"))}`;
};
