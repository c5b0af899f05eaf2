/** Where something may listen: with keys anywhere; without, on loopback, or wherever its operator insists. */
import { MeshError } from "../errors.ts";
import { FIXED_BOUNDS } from "./bounds.ts";
import { isLoopbackHost } from "./names.ts";

export const HOST_RULE = `a host name or address of at most ${FIXED_BOUNDS.hostBytesMax} B`;

/**
 * @param allowed it has keys, or its operator insists
 * @param who what would listen: "a gateway"
 * @throws MeshError INSECURE_LISTEN
 */
export const assertListenAllowed = (host: string, allowed: boolean, who: string): void => {
  if (allowed || isLoopbackHost(host)) return;
  const said = `listen.host "${host}" is not loopback and ${who} has no keys`;
  throw new MeshError("INSECURE_LISTEN", `${said}: use 127.0.0.1, keys, or insecure: true`, {
    details: { host },
  });
};
