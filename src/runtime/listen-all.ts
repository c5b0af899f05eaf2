/** Starts the transports of a node and its listeners. */
import type { Connection, Transport } from "../ports/transport.ts";
import { advertisedAddress } from "./advertised-address.ts";
import type { Environment } from "./environment.ts";

type ListenPlan = {
  readonly env: Environment;
  readonly transports: readonly Transport[];
  /** The port is the first transport's; the others have ports of their own. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly advertiseHost: string | undefined;
};

/** Calls `listening` with each address to advertise, in order. @throws MeshError ADDRESS_IN_USE */
export const listenAll = async (
  { env, transports, listen, advertiseHost }: ListenPlan,
  accept: (connection: Connection, scheme: string) => void,
  listening: (address: string) => void,
): Promise<void> => {
  const security = env.access?.security;
  for (const [index, transport] of transports.entries()) {
    await transport.start({
      clock: env.clock,
      logger: env.logger,
      frameBytesMax: env.limits.frameBytesMax,
      garbage: env.garbage,
      count: (name) => env.counters.count(name),
      ...(security === undefined ? {} : { security }),
    });
    const port = index === 0 ? listen.port : 0;
    const listener = await transport.listen({ host: listen.host, port }, (connection) =>
      accept(connection, transport.scheme),
    );
    listening(advertisedAddress(listener.address, advertiseHost));
    if (advertiseHost === undefined) for (const one of listener.alsoAt ?? []) listening(one);
  }
};
