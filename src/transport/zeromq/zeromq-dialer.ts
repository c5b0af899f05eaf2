/**
 * The dialling side: one DEALER socket for each connection, closed when the connection ends.
 *
 * `dialZeromq` resolves when libzmq's own handshake is done. Until then the monitor tells of refusals;
 * from then on the end of the connection comes in order with the data (see zeromq-sockets.ts).
 */
import type { Dealer } from "zeromq";
import { MeshError } from "../../errors.ts";
import type { TransportContext } from "../../ports/transport.ts";
import { toZ85 } from "./curve-key.ts";
import { ZeromqConnection } from "./zeromq-connection.ts";
import { DialSocket, readSocket, type SocketLimits, watchSocket } from "./zeromq-sockets.ts";

export type DialedLink = {
  readonly connection: ZeromqConnection;
  /** Resolves when the socket is closed and libzmq has let go of it. */
  readonly gone: Promise<void>;
  /** Closes the socket now. */
  destroy(): void;
};

export type DialPlan = {
  /** What the user dialled, for logs and errors. */
  readonly address: string;
  /** "tcp://127.0.0.1:5000" */
  readonly tcp: string;
  readonly limits: SocketLimits;
  readonly context: TransportContext;
  /** The key that must answer, if this node has keys. */
  readonly serverKey: Uint8Array | undefined;
};

/**
 * Starts a connection. `ready` rejects with PEER_LOST as soon as the peer refuses; the time limit is the
 * caller's, who calls `destroy`.
 */
export function dialZeromq(plan: DialPlan): { link: DialedLink; ready: Promise<void> } {
  const { socket, gone: goneMessage } = DialSocket.create(plan.limits, curveOf(plan));
  const { promise: ready, resolve, reject } = promiseParts();
  const connection = new ZeromqConnection(
    plan.address,
    plan.context,
    {
      answersMarker: false,
      attempt: (frame) => socket.send(frame as Buffer),
      // Only one frame is ever offered at a time: let zeromq.js wait for room, woken by libzmq.
      blocked: () => {
        socket.sendTimeout = -1;
        connection.retry();
      },
      resumed: () => {
        socket.sendTimeout = 0;
      },
      opened: () => void readSocket(socket, receive).catch((error) => connection.lost(error)),
      release: () => destroy(),
    },
    plan.serverKey,
  );

  const receive = (parts: Buffer[]): void => {
    const bytes = parts[0] as Buffer;
    if (parts.length !== 1) connection.malformed(`a message of ${parts.length} parts instead of 1`);
    else if (goneMessage.matches(bytes)) connection.lost();
    else connection.received(bytes);
  };

  const destroy = (): void => {
    if (socket.closed) return;
    socket.close();
    reject(new MeshError("PEER_LOST", `the dial of ${plan.address} was given up`));
  };

  const gone = watchSocket(socket.events, (event) => {
    if (event.type === "handshake") resolve();
    else if (REFUSALS.has(event.type) || event.type.startsWith("handshake:error")) {
      if (event.type.startsWith("handshake:error")) plan.context.count("transport.malformed");
      reject(refusalOf(plan, event));
    }
  }).catch((error) => plan.context.logger.error("zeromq monitor failed", { error }));

  connect(socket, plan, reject);
  return { link: { connection, gone, destroy }, ready };
}

const curveOf = ({ context, serverKey }: DialPlan) =>
  context.security && serverKey && { ...context.security.curve, serverKey: toZ85(serverKey) };

const refusalOf = (plan: DialPlan, event: { type: string; error?: unknown }): MeshError => {
  const said = `${plan.address} refused the connection (${event.type})`;
  const cause = event.error;
  // libzmq does not say why: the mechanism differs, the key is another one, or it has too many.
  const isKeys = event.type.startsWith("handshake:error");
  if (!isKeys) return new MeshError("PEER_LOST", said, { cause });
  const hint = plan.serverKey === undefined ? "does it have keys?" : "does it have this key?";
  return new MeshError("PEER_LOST", `${said}: ${hint}`, { cause });
};

const REFUSALS: ReadonlySet<string> = new Set(["close", "disconnect", "connect:retry"]);

function connect(socket: Dealer, plan: DialPlan, reject: (error: MeshError) => void): void {
  try {
    socket.connect(plan.tcp);
  } catch (cause) {
    const message = `address ${plan.address} cannot be dialled`;
    reject(new MeshError("INVALID_OPTIONS", message, { cause }));
  }
}

function promiseParts() {
  let resolve: () => void = () => {};
  let reject: (error: MeshError) => void = () => {};
  const promise = new Promise<void>((resolved, rejected) => {
    resolve = resolved;
    reject = rejected;
  });
  promise.catch(() => {}); // the caller may have given up first
  return { promise, resolve, reject };
}
