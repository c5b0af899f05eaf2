/** Options of directoryService(), checked and frozen once. */
import { parsePeerAddress } from "../core/peer-address.ts";
import { MeshError } from "../errors.ts";
import { bound } from "../options/bounds.ts";
import { OptionReader, show } from "../options/option-reader.ts";
import { formatHostPort, type HostPort } from "../transport/host-port.ts";

export type DirectoryServiceOptions = {
  /** How long a directory may take to answer a call, 100 to 60,000 ms; default 3,000. */
  readonly timeoutMs?: number;
  /** Longest pause between tries of a directory that is away, 500 to 600,000 ms; default 10,000. */
  readonly pauseMsMax?: number;
};

export type ResolvedClientOptions = {
  readonly servers: readonly HostPort[];
  readonly timeoutMs: number;
  readonly pauseMsMax: number;
};

const SERVERS_MAX = 8;

/** directoryService(), with the names of docs/limits.md. */
export const DIRECTORY_SERVICE_BOUNDS = Object.freeze({
  timeoutMs: bound(3_000, 100, 60_000),
  pauseMsMax: bound(10_000, 500, 600_000),
});

/** @throws MeshError INVALID_OPTIONS naming everything that is wrong */
export const resolveClientOptions = (
  servers: string | readonly string[],
  options: unknown,
): ResolvedClientOptions => {
  const list: readonly unknown[] = typeof servers === "string" ? [servers] : servers;
  if (!Array.isArray(list) || list.length === 0 || list.length > SERVERS_MAX) {
    const given = `servers is ${show(servers)}, must be a list of 1 to ${SERVERS_MAX}`;
    throw new MeshError("INVALID_OPTIONS", `directoryService(): ${given}`);
  }
  const known = Object.keys(DIRECTORY_SERVICE_BOUNDS);
  const reader = new OptionReader("directoryService()", options, known);
  const unique = new Map<string, HostPort>();
  for (const [index, text] of list.entries()) {
    const at = typeof text === "string" ? serverAt(text) : undefined;
    if (at !== undefined) unique.set(formatHostPort("grpc", at), at);
    else reader.fail(`servers[${index}]`, `is ${show(text)}, must be "host:port" of a directory`);
  }
  const resolved = {
    servers: [...unique.values()],
    timeoutMs: reader.integer("timeoutMs", DIRECTORY_SERVICE_BOUNDS.timeoutMs),
    pauseMsMax: reader.integer("pauseMsMax", DIRECTORY_SERVICE_BOUNDS.pauseMsMax),
  };
  reader.finish();
  return Object.freeze(resolved);
};

const serverAt = (text: string): HostPort | undefined => {
  const address = parsePeerAddress(text.includes("://") ? text : `grpc://${text}`);
  if (address?.scheme !== "grpc" || address.port === undefined) return undefined;
  return { host: address.host, port: address.port };
};
