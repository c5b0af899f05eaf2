/**
 * The transport between nodes of one process: "inproc://process:port".
 *
 * Problem: two nodes of a process talk through the kernel, although what one wrote lies where the other could read it;
 * and they must find one another without being told of a network they share. Approach: the process has one network of
 * names, which every copy of this package in it finds; an address says which process it is of, and others do not dial
 * it. Frames are those of any transport, and so is the greeting: nodes with keys prove who they are.
 *
 * Bounds: none of its own; what waits is `bufferedBytes`, the caller's to watch.
 */
import { randomBytes } from "node:crypto";
import type { Transport } from "../../ports/transport.ts";
import { MemoryNetwork, memoryTransport } from "./memory-transport.ts";

/** Where the copies of this package in a process meet. */
const PLACE = Symbol.for("meshbus.inproc.1");

export const inproc = (): Transport => memoryTransport(ownNetwork());

const ownNetwork = (): MemoryNetwork => {
  const place: { [PLACE]?: MemoryNetwork } = globalThis as object;
  place[PLACE] ??= new MemoryNetwork({
    scheme: "inproc",
    preference: 100,
    host: `p${randomBytes(9).toString("hex")}`,
    deliveriesAtOnce: 16,
  });
  return place[PLACE];
};
