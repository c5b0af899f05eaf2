/** The transport over TCP: "tcp://host:port". A node with keys speaks TLS (tls-channel.ts) under the same frames. */
import { connect, isIPv6 } from "node:net";
import { connect as tlsConnect } from "node:tls";
import { MeshError } from "../../errors.ts";
import type { Transport, TransportContext } from "../../ports/transport.ts";
import { assertBindable, formatHostPort, parseHostPort } from "../host-port.ts";
import { listenError } from "../listen-error.ts";
import { listenOn } from "../listen-on.ts";
import { secured, tlsDialOptions } from "../tls-channel.ts";
import type { FrameReader } from "./frame-reader.ts";
import { readingInto } from "./socket-reads.ts";
import { connected, type Dialled, type Medium, SocketTransport } from "./socket-transport.ts";

export type StreamOptions = {
  /** Port to listen on; 0 to 65,535. Default 0: a free one. `listen.port` of a node is another transport's. */
  readonly port?: number;
  /** Connections a listener accepts at a time; 1 to 65,535. Default 4,096. */
  readonly connectionsMax?: number;
};

const SCHEME = "tcp";
const CONNECTIONS_MAX = 4_096;

/** @throws MeshError INVALID_OPTIONS */
export function stream(options: StreamOptions = {}): Transport {
  const { port = 0, connectionsMax = CONNECTIONS_MAX } = options;
  const problems: string[] = [];
  for (const [name, value, min] of [
    ["port", port, 0],
    ["connectionsMax", connectionsMax, 1],
  ] as const) {
    if (Number.isInteger(value) && value >= min && value <= 65_535) continue;
    problems.push(`stream.${name} ${String(value)} is not a whole number of ${min}..65535`);
  }
  if (problems.length > 0) throw new MeshError("INVALID_OPTIONS", problems.join("; "));
  return new SocketTransport(tcp(port), connectionsMax);
}

const tcp = (ownPort: number): Medium => ({
  scheme: SCHEME,
  preference: 60,
  hasTls: true,
  reaches: () => true,
  bind: async (server, options, { logger }) => {
    const { host } = options;
    const port = options.port === 0 ? ownPort : options.port;
    const wanted = formatHostPort(SCHEME, { host, port });
    assertBindable({ host, port }, wanted);
    try {
      return await listenOn(server, SCHEME, { host, port }, logger);
    } catch (error) {
      throw listenError(error, wanted);
    }
  },
  dial: dialled,
  remoteOf: ({ remoteAddress = "unknown", remotePort = 0 }) => {
    const host = isIPv6(remoteAddress) ? `[${remoteAddress}]` : remoteAddress;
    return `${SCHEME}://${host}:${remotePort}`;
  },
});

function dialled(address: string, { security }: TransportContext, reader: FrameReader): Dialled {
  const at = parseHostPort(SCHEME, address);
  if (security === undefined) {
    const socket = connect({ ...at, noDelay: true, onread: readingInto(reader) });
    return { socket, open: () => connected(socket, address).then(() => undefined) };
  }
  const socket = tlsConnect({ ...at, ...tlsDialOptions(security) });
  socket.setNoDelay(true);
  return { socket, open: () => secured(socket, security, address) };
}
