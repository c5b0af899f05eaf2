/** Binds a plain TCP server, and says where it is. */
import type { Server } from "node:net";
import type { Logger } from "../ports/logger.ts";
import { formatHostPort, type HostPort } from "./host-port.ts";

/**
 * @returns the address that was bound, "scheme://host:port" with the real port. Errors after that are logged.
 * @throws the system's error
 */
export async function listenOn(
  server: Server,
  scheme: string,
  { host, port }: HostPort,
  logger: Logger,
): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
  const bound = server.address();
  const real = typeof bound === "object" && bound !== null ? bound.port : port;
  const address = formatHostPort(scheme, { host, port: real });
  server.on("error", (error) => logger.error("a listener failed", { address, error }));
  return address;
}
