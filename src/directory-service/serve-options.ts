/** Options of serveDirectory(): checked, completed and frozen in this one place. */
import { bound } from "../options/bounds.ts";
import { assertListenAllowed, HOST_RULE } from "../options/listen-rule.ts";
import { isHost, isName, NAME_RULE } from "../options/names.ts";
import { OptionReader } from "../options/option-reader.ts";
import type { Logger } from "../ports/logger.ts";

export type ServeDirectoryOptions = {
  /** The mesh of the node, as createNode() was told. Default "default". Clients of another are refused. */
  readonly mesh?: string;
  /** Where clients reach it. */
  readonly listen?: {
    /** Default "127.0.0.1". Anything but loopback needs keys, or `insecure: true`. */
    readonly host?: string;
    /** 0 to 65,535; default 0: a free one. */
    readonly port?: number;
  };
  /**
   * With the keys of the node: clients show a certificate of the mesh over TLS 1.3. Default: whether the node has
   * keys; false is for loopback.
   */
  readonly security?: boolean;
  /** Allows to listen beyond loopback without keys: everybody on that network can read and write entries. Default false. */
  readonly insecure?: boolean;
  /** Bounds of what the directory holds; docs/limits.md says what happens at each. */
  readonly limits?: {
    /** Clients, 1 to 65,535; default 1,024. */
    readonly clientsMax?: number;
    /** Clients at one host, 1 to 65,535; default 256. */
    readonly hostClientsMax?: number;
    /** Entries of nodes, 1 to 8,192; default 4,096. */
    readonly entriesMax?: number;
  };
  /** How long an entry stays whose client broke off, 0 to 600,000 ms; default 5,000. */
  readonly graceMs?: number;
  /** Default: warnings and errors to stderr. */
  readonly logger?: Logger;
};

/** serveDirectory(), with the names of docs/limits.md. */
export const SERVE_DIRECTORY_BOUNDS = Object.freeze({
  "listen.port": bound(0, 0, 65_535),
  "limits.clientsMax": bound(1_024, 1, 65_535),
  "limits.hostClientsMax": bound(256, 1, 65_535),
  "limits.entriesMax": bound(4_096, 1, 8_192),
  graceMs: bound(5_000, 0, 600_000),
});

const KNOWN: readonly string[] = Object.freeze([
  "mesh",
  "listen.host",
  "insecure",
  "security",
  "logger",
  ...Object.keys(SERVE_DIRECTORY_BOUNDS),
]);

export type ResolvedServeOptions = {
  readonly security: boolean;
  readonly mesh: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly clientsMax: number;
  readonly hostClientsMax: number;
  readonly entriesMax: number;
  readonly graceMs: number;
  readonly logger: Logger | undefined;
};

/** @throws MeshError INVALID_OPTIONS (details.problems); INSECURE_LISTEN */
export const resolveServeOptions = (input: unknown, hasKeys = false): ResolvedServeOptions => {
  const reader = new OptionReader("serveDirectory()", input, KNOWN);
  const listen = reader.section("listen");
  const limits = reader.section("limits");
  const bounds = SERVE_DIRECTORY_BOUNDS;
  const host = listen.text("host", isHost, HOST_RULE) ?? "127.0.0.1";
  const isInsecure = reader.flag("insecure", false);
  const security = reader.flag("security", hasKeys);
  if (security && !hasKeys) reader.fail("security", "is true, and the node has no keys");
  const resolved = Object.freeze({
    security,
    mesh: reader.text("mesh", isName, NAME_RULE) ?? "default",
    listen: { host, port: listen.integer("port", bounds["listen.port"]) },
    clientsMax: limits.integer("clientsMax", bounds["limits.clientsMax"]),
    hostClientsMax: limits.integer("hostClientsMax", bounds["limits.hostClientsMax"]),
    entriesMax: limits.integer("entriesMax", bounds["limits.entriesMax"]),
    graceMs: reader.integer("graceMs", bounds.graceMs),
    logger: reader.part<Logger>("logger", ["debug", "info", "warn", "error"]),
  });
  reader.finish();
  assertListenAllowed(host, isInsecure || security, "a directory");
  return resolved;
};
