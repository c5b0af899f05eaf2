/**
 * The transport over gRPC: "grpc://host:port".
 *
 * Problem: where only HTTP/2 passes (a proxy, an ingress, a service mesh), and for clients generated from
 * link.proto, plain sockets are of no use. Approach: the frames of every other transport, one gRPC message
 * each, over one bidirectional call for each connection; never a call for each message.
 *
 * This file holds the options; call-transport.ts the start and stop of the whole; what makes
 * connections out of calls is in grpc-connection.ts, grpc-dial.ts and grpc-listener.ts.
 */
import { MeshError } from "../../errors.ts";
import type { Transport } from "../../ports/transport.ts";
import { CallTransport } from "./call-transport.ts";
import { OPEN_PATH } from "./link-call.ts";

export type GrpcOptions = {
  /** Port to listen on; 0 to 65,535. Default 0: a free one. `listen.port` of a node is another transport's. */
  readonly port?: number;
  /** Connections a listener accepts at a time; 1 to 65,535. Default 4,096. */
  readonly connectionsMax?: number;
  /** Milliseconds a socket may be without a call; 100 to 60,000. Default 5,000. */
  readonly handshakeTimeoutMs?: number;
};

const CONNECTIONS_MAX = 4_096;
const HANDSHAKE_TIMEOUT_MS = 5_000;

/** @throws MeshError INVALID_OPTIONS */
export function grpc(options: GrpcOptions = {}): Transport {
  const {
    port = 0,
    connectionsMax = CONNECTIONS_MAX,
    handshakeTimeoutMs = HANDSHAKE_TIMEOUT_MS,
  } = options;
  const problems: string[] = [];
  for (const [name, value, min, max] of [
    ["port", port, 0, 65_535],
    ["connectionsMax", connectionsMax, 1, 65_535],
    ["handshakeTimeoutMs", handshakeTimeoutMs, 100, 60_000],
  ] as const) {
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    problems.push(`grpc.${name} ${String(value)} is not a whole number of ${min}..${max}`);
  }
  if (problems.length > 0) throw new MeshError("INVALID_OPTIONS", problems.join("; "));
  return new CallTransport(OPEN_PATH, port, { connectionsMax, handshakeTimeoutMs });
}
