/** Where a node of a bench is dialled: over the transport with this scheme, or over the best one it has. */
import type { MeshNode } from "meshbus";

const BEST_FIRST = ["tcp", "zmq"];

export const linkAddress = (node: MeshNode, scheme?: string): string => {
  for (const wanted of scheme === undefined ? BEST_FIRST : [scheme]) {
    const address = node.addresses.find((one) => one.startsWith(`${wanted}://`));
    if (address !== undefined) return address;
  }
  throw new Error(`no ${scheme ?? "known"} address among ${node.addresses.join(", ")}`);
};
