/** Options of serveGateway(): checked, completed and frozen in this one place. */
import { bound } from "../options/bounds.ts";
import { assertListenAllowed, HOST_RULE } from "../options/listen-rule.ts";
import { isHost } from "../options/names.ts";
import { OptionReader } from "../options/option-reader.ts";
import type { Logger } from "../ports/logger.ts";

export type GatewayOptions = {
  /** Where clients reach it. */
  readonly listen?: {
    /** Default "127.0.0.1". Anything but loopback needs keys, or `insecure: true`. */
    readonly host?: string;
    /** 0 to 65,535; default 0: a free one. */
    readonly port?: number;
  };
  /**
   * With the keys of the node: clients show a certificate of the mesh over TLS 1.3, and may do what it allows. Default: whether the node has
   * keys; false is for loopback.
   */
  readonly security?: boolean;
  /** Allows to listen beyond loopback without keys: everybody on that network can use the node. Default false. */
  readonly insecure?: boolean;
  /** Bounds of what clients may make the gateway hold; docs/limits.md says what happens at each. */
  readonly limits?: {
    /** Connections, 1 to 65,535; default 256. */
    readonly clientsMax?: number;
    /** Calls of one client at a time, 1 to 1,024; default 32. */
    readonly callsMax?: number;
    /** One gRPC message of a client, 64 KiB to 128 MiB; default 2 MiB. */
    readonly messageBytesMax?: number;
    /** Highest `credit` of a stream, 1 to 65,536; default 4,096. */
    readonly creditMax?: number;
    /** Bytes given to a client and not settled, or not read; 64 KiB to 16 GiB, default 16 MiB. */
    readonly givenBytesMax?: number;
    /** Highest `prefetch_bytes` of a stream, 1 KiB to 16 GiB, not above the node's; default 8 MiB. */
    readonly prefetchBytesMax?: number;
    /** Messages or questions of one call that are unanswered, 1 to 65,536; default 1,024. */
    readonly underWayMax?: number;
    /** And their bytes, and those of answers that were not read, of one client; default 4 MiB. */
    readonly saidBytesMax?: number;
  };
  /** How often a silent client is pinged, 1,000 to 3,600,000 ms; default 30,000. No answer in half of it: gone. */
  readonly keepaliveMs?: number;
  /** How long a connection may take to open its first call, 100 to 600,000 ms; default 10,000. */
  readonly handshakeMs?: number;
  /** How long stop() waits for clients to settle, 0 to 2,147,483,647 ms; default 10,000. */
  readonly drainMs?: number;
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
};

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

/** serveGateway(), with the names of docs/limits.md. */
export const GATEWAY_BOUNDS = Object.freeze({
  "listen.port": bound(0, 0, 65_535),
  "limits.clientsMax": bound(256, 1, 65_535),
  "limits.callsMax": bound(32, 1, 1_024),
  "limits.messageBytesMax": bound(2 * MIB, 64 * KIB, 128 * MIB),
  "limits.creditMax": bound(4_096, 1, 65_536),
  "limits.givenBytesMax": bound(16 * MIB, 64 * KIB, 16 * GIB),
  "limits.prefetchBytesMax": bound(8 * MIB, KIB, 16 * GIB),
  "limits.underWayMax": bound(1_024, 1, 65_536),
  "limits.saidBytesMax": bound(4 * MIB, 64 * KIB, 16 * GIB),
  keepaliveMs: bound(30_000, 1_000, 3_600_000),
  handshakeMs: bound(10_000, 100, 600_000),
  drainMs: bound(10_000, 0, 2_147_483_647),
});

const KNOWN: readonly string[] = Object.freeze([
  "listen.host",
  "insecure",
  "security",
  "logger",
  ...Object.keys(GATEWAY_BOUNDS),
]);

type LimitName =
  | "clientsMax"
  | "callsMax"
  | "messageBytesMax"
  | "creditMax"
  | "givenBytesMax"
  | "prefetchBytesMax"
  | "underWayMax"
  | "saidBytesMax";

export type ResolvedGatewayOptions = {
  readonly security: boolean;
  readonly listen: { readonly host: string; readonly port: number };
  readonly limits: Readonly<Record<LimitName, number>>;
  readonly keepaliveMs: number;
  readonly handshakeMs: number;
  readonly drainMs: number;
  readonly logger: Logger | undefined;
};

/** @throws MeshError INVALID_OPTIONS (details.problems); INSECURE_LISTEN */
export const resolveGatewayOptions = (input: unknown, hasKeys = false): ResolvedGatewayOptions => {
  const reader = new OptionReader("serveGateway()", input, KNOWN);
  const listen = reader.section("listen");
  const limits = reader.section("limits");
  const limit = (name: LimitName): number => limits.integer(name, GATEWAY_BOUNDS[`limits.${name}`]);
  const host = listen.text("host", isHost, HOST_RULE) ?? "127.0.0.1";
  const isInsecure = reader.flag("insecure", false);
  const security = reader.flag("security", hasKeys);
  if (security && !hasKeys) reader.fail("security", "is true, and the node has no keys");
  const resolved = Object.freeze({
    security,
    listen: { host, port: listen.integer("port", GATEWAY_BOUNDS["listen.port"]) },
    limits: {
      clientsMax: limit("clientsMax"),
      callsMax: limit("callsMax"),
      messageBytesMax: limit("messageBytesMax"),
      creditMax: limit("creditMax"),
      givenBytesMax: limit("givenBytesMax"),
      prefetchBytesMax: limit("prefetchBytesMax"),
      underWayMax: limit("underWayMax"),
      saidBytesMax: limit("saidBytesMax"),
    },
    keepaliveMs: reader.integer("keepaliveMs", GATEWAY_BOUNDS.keepaliveMs),
    handshakeMs: reader.integer("handshakeMs", GATEWAY_BOUNDS.handshakeMs),
    drainMs: reader.integer("drainMs", GATEWAY_BOUNDS.drainMs),
    logger: reader.part<Logger>("logger", ["debug", "info", "warn", "error"]),
  });
  reader.finish();
  assertListenAllowed(host, isInsecure || security, "a gateway");
  return resolved;
};
