/** Where a node of a bench is dialled: over the best transport it has. */
import type { MeshNode } from "meshbus";

const BEST_FIRST = ["tcp", "zmq", "grpc"];

export const linkAddress = (node: MeshNode): string => {
  for (const scheme of BEST_FIRST) {
    const address = node.addresses.find((one) => one.startsWith(`${scheme}://`));
    if (address !== undefined) return address;
  }
  throw new Error(`no known address among ${node.addresses.join(", ")}`);
};
