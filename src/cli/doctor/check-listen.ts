/** Whether a node could listen where it is told to, and who could reach it there. */
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { type Finding, ok, problem, warning } from "./finding.ts";

export type ListenAddress = { readonly host: string; readonly port: number };

const ANY = new Set(["0.0.0.0", "::"]);

/** `hasKeys`: whether the node has some; without them it listens on loopback only, unless told otherwise. */
export const checkListen = async (
  { host, port }: ListenAddress,
  hasKeys: boolean,
): Promise<Finding[]> => {
  const where = `${host}:${port}`;
  const own = ownAddresses();
  const findings: Finding[] = [];
  const tcp = await tryTcp(host, port);
  if (tcp !== undefined) return [cannotListen(where, host, tcp, own)];
  findings.push(
    ok("listen", port === 0 ? `TCP on ${host}, a free port` : `TCP on ${where} is free`),
  );
  const udp = await tryUdp(host, port);
  findings.push(
    udp === undefined
      ? ok("heartbeat", `UDP on ${where} is free`)
      : warning(
          "heartbeat",
          `UDP on ${where} cannot be bound (${udp}); the heartbeat takes another port`,
          "open UDP between the nodes, or accept that a blocked event loop counts as a dead process",
        ),
  );
  if (!hasKeys && !isLoopback(host)) {
    findings.push(
      warning(
        "keys",
        `a node without keys does not listen on ${host} (INSECURE_LISTEN)`,
        "give it keys (meshbus keys), or insecure: true on a network you trust",
      ),
    );
  }
  if (isLoopback(host)) {
    findings.push(
      warning(
        "reach",
        `a node on ${host} is seen by processes of this host only`,
        `for other hosts: listen on 0.0.0.0 or one of ${own.join(", ")}, with keys (meshbus keys)`,
      ),
    );
  } else if (ANY.has(host) && own.length > 1) {
    findings.push(
      warning(
        "reach",
        `a node on ${host} has ${own.length} addresses here: ${own.join(", ")}`,
        "if others dial the wrong one, set advertise.host to the one they reach",
      ),
    );
  } else {
    findings.push(ok("reach", `others dial ${ANY.has(host) ? own.join(", ") : host}`));
  }
  return findings;
};

const cannotListen = (where: string, host: string, code: string, own: string[]): Finding => {
  if (code === "EADDRINUSE") {
    const remedy = "stop what listens there (ss -ltnp), or choose another port, or port 0";
    return problem("listen", `TCP on ${where} is taken`, remedy);
  }
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
    const remedy = `listen on an address of this host: 127.0.0.1, 0.0.0.0, ${own.join(", ")}`;
    return problem("listen", `${host} is no address of this host (${code})`, remedy);
  }
  const remedy = "choose a port above 1023, or allow the process to bind this one";
  return problem("listen", `TCP on ${where} cannot be bound (${code})`, remedy);
};

/** Addresses of this host that others could dial. */
const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((rows) =>
    (rows ?? [])
      .filter(({ internal, address }) => !internal && !address.startsWith("fe80:"))
      .map(({ address }) => address),
  );

const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || host.startsWith("127.");

/** The code of the error, or undefined when it worked. */
const tryTcp = async (host: string, port: number): Promise<string | undefined> => {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, "listening");
    return undefined;
  } catch (error) {
    return codeOf(error);
  } finally {
    server.close();
  }
};

const tryUdp = async (host: string, port: number): Promise<string | undefined> => {
  const socket = createSocket(isIP(host) === 6 ? "udp6" : "udp4");
  try {
    socket.bind(port, host);
    await once(socket, "listening");
    return undefined;
  } catch (error) {
    return codeOf(error);
  } finally {
    socket.close();
  }
};

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error);
