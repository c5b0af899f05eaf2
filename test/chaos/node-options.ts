/** How the node of a process is made: on loopback, or on every interface of the host that it runs on. */
import { mdns, type NodeOptions, staticPeers, stream, zeromq } from "meshbus";
import type { ProcessSpec } from "./process-spec.ts";

export const nodeOptionsOf = ({ role, mesh, dataDir, place }: ProcessSpec): NodeOptions => {
  const options = { service: role, mesh, dataDir };
  if (place === undefined) return options;
  const { port, seeds } = place;
  return {
    ...options,
    listen: { host: "0.0.0.0", port },
    insecure: true,
    transports: [zeromq(), stream({ port: port === 0 ? 0 : port + 1 })],
    discovery: [mdns(), staticPeers(seeds)],
  };
};
