/**
 * The transport over ZeroMQ: `zeromq` 6 (libzmq 4.3.5), one ROUTER for each listener and one DEALER for
 * each dial.
 *
 * This file holds the options, the start and stop of the whole, and the time limits of a dial; what makes
 * connections out of sockets is in zeromq-connection.ts, zeromq-dialer.ts and zeromq-listener.ts.
 *
 * Memory: libzmq counts frames, not bytes. For each connection it holds at most `sendFramesMax` frames of
 * ours (256: 16 MiB with the 64 KiB frames that the layer above cuts) and `receiveFramesMax` of the peer's,
 * whom we need not trust: 16 MiB divided by `frameBytesMax`, within 32..256. The flow control above is
 * meant to keep far below both; that we read at once, whatever comes, keeps the second nearly empty.
 *
 * Source: RFC 23 (ZMTP 3.0), RFC 28 (REQ/REP, for ROUTER and DEALER), the libzmq 4.3.5 sources.
 */
import { context as zeromqContext } from "zeromq";
import { MeshError } from "../../errors.ts";
import type {
  Connection,
  Listener,
  ListenOptions,
  Transport,
  TransportContext,
} from "../../ports/transport.ts";
import type { DialOptions } from "../dials.ts";
import { assertBindable } from "../host-port.ts";
import { listenError } from "../listen-error.ts";
import { TransportLife } from "../transport-life.ts";
import {
  formatZeromqAddress,
  parseZeromqAddress,
  resolveEndpoint,
  ZEROMQ_SCHEME,
  type ZeromqAddress,
} from "./zeromq-address.ts";
import { type DialedLink, type DialPlan, dialZeromq } from "./zeromq-dialer.ts";
import { ZeromqListener } from "./zeromq-listener.ts";
import type { SocketLimits } from "./zeromq-sockets.ts";

export type ZeromqOptions = {
  /**
   * Frames of ours that libzmq may hold for one connection; 1 to 100,000. Default 256. More: more memory
   * where a peer is slow; less: more waiting for room. From the 16 MiB a peer may cost at 64 KiB a frame.
   */
  readonly sendFramesMax?: number;
  /**
   * Frames of one peer that libzmq may hold for us; 1 to 100,000. Default: 16 MiB divided by
   * `frameBytesMax`, at least 32, at most 256. More: more memory while our event loop is blocked.
   */
  readonly receiveFramesMax?: number;
  /** Milliseconds a peer may take for libzmq's handshake; 100 to 60,000. Default 5,000. */
  readonly handshakeTimeoutMs?: number;
  /** Connections a listener accepts at a time; 1 to 65,535. Default 4,096. */
  readonly connectionsMax?: number;
};

type Resolved = { readonly [Name in keyof ZeromqOptions]-?: ZeromqOptions[Name] | undefined };

const SEND_FRAMES = 256;
const QUEUED_BYTES = 16 * 2 ** 20;

/** @throws MeshError INVALID_OPTIONS */
export function zeromq(options: ZeromqOptions = {}): Transport {
  return new ZeromqTransport(checked(options));
}

class ZeromqTransport implements Transport {
  readonly scheme = ZEROMQ_SCHEME;
  readonly preference = 50;
  readonly #options: Resolved;
  readonly #life = new TransportLife("ZeroMQ");

  constructor(options: Resolved) {
    this.#options = options;
  }

  async start(context: TransportContext): Promise<void> {
    this.#life.start(context);
    // Each dial takes three of libzmq's sockets (two are its monitor's). Effective before the first one.
    zeromqContext.maxSockets = zeromqContext.maxSocketsLimit;
  }

  async listen(
    options: ListenOptions,
    accept: (connection: Connection) => void,
  ): Promise<Listener> {
    const { context } = this.#life;
    const wanted = formatZeromqAddress(options);
    assertBindable(options, wanted);
    let listener: ZeromqListener;
    try {
      const { tcp, ipv6 } = await resolveEndpoint(options);
      const limits = this.#limits(context, ipv6);
      const connectionsMax = this.#options.connectionsMax ?? 4096;
      listener = await ZeromqListener.bind({ tcp, limits, connectionsMax, context, accept });
    } catch (error) {
      throw listenError(error, wanted);
    }
    return this.#life.listens(listener);
  }

  async dial(address: string, options: DialOptions): Promise<Connection> {
    const { context } = this.#life;
    const at = parseZeromqAddress(address);
    assertKeys(address, at, context);
    let link: DialedLink | undefined;
    let isCut = false;
    return this.#life.dials.within(context.clock, options, {
      remote: address,
      open: async () => {
        const { tcp, ipv6 } = await resolveEndpoint(at).catch((cause: unknown) => {
          throw new MeshError("PEER_LOST", `host of ${address} cannot be resolved`, { cause });
        });
        if (isCut) throw new MeshError("ABORTED", `the dial of ${address} was cut`);
        const { serverKey } = at;
        const limits = this.#limits(context, ipv6);
        const started = startDial({ address, tcp, limits, context, serverKey });
        link = started.link;
        const { gone, connection } = link;
        this.#life.holds({ gone, close: () => connection.close() });
        await started.ready;
        return connection;
      },
      cut: () => {
        isCut = true;
        link?.destroy();
      },
    });
  }

  stop(): Promise<void> {
    return this.#life.stop();
  }

  #limits(context: TransportContext, ipv6: boolean): SocketLimits {
    const { frameBytesMax } = context;
    const byBytes = Math.floor(QUEUED_BYTES / frameBytesMax);
    return {
      frameBytesMax,
      sendFramesMax: this.#options.sendFramesMax ?? SEND_FRAMES,
      receiveFramesMax: this.#options.receiveFramesMax ?? Math.max(32, Math.min(256, byBytes)),
      handshakeTimeoutMs: this.#options.handshakeTimeoutMs ?? 5_000,
      ipv6,
    };
  }
}

/** @throws MeshError UNAUTHORIZED when one side has keys and the other none, as far as the address says */
function assertKeys(address: string, at: ZeromqAddress, { security }: TransportContext): void {
  if ((at.serverKey === undefined) === (security === undefined)) return;
  const message =
    security === undefined
      ? `${address} has keys, and this node has none: give it some (security.keys)`
      : `${address} lacks the key that must answer there: add "?curve=..." (meshbus keys inspect shows it), or use its tcp:// address, which needs none`;
  throw new MeshError("UNAUTHORIZED", message);
}

function startDial(plan: DialPlan): ReturnType<typeof dialZeromq> {
  try {
    return dialZeromq(plan);
  } catch (cause) {
    // No sockets or file descriptors left: others may be freed.
    throw new MeshError("PEER_LOST", `no socket to dial ${plan.address} with`, { cause });
  }
}

function checked(options: ZeromqOptions): Resolved {
  const ranges = {
    sendFramesMax: [1, 100_000],
    receiveFramesMax: [1, 100_000],
    handshakeTimeoutMs: [100, 60_000],
    connectionsMax: [1, 65_535],
  } as const;
  const problems: string[] = [];
  for (const [name, [min, max]] of Object.entries(ranges)) {
    const value = options[name as keyof ZeromqOptions];
    if (value === undefined) continue;
    if (!Number.isInteger(value) || value < min || value > max) {
      problems.push(`zeromq.${name} ${String(value)} is not a whole number of ${min}..${max}`);
    }
  }
  if (problems.length > 0) throw new MeshError("INVALID_OPTIONS", problems.join("; "));
  const { sendFramesMax, receiveFramesMax, handshakeTimeoutMs, connectionsMax } = options;
  return { sendFramesMax, receiveFramesMax, handshakeTimeoutMs, connectionsMax };
}
