/**
 * The transport between processes of one host: "unix:///path?host=<identity>", a socket file in place of a port.
 *
 * Problem: a path means something to processes of the same host, file system and user only, and addresses travel
 * everywhere. Approach: an address says which those are (host-identity.ts); others do not dial it. The file can be
 * opened by this user alone, so that there is no TLS under it, also with keys: who a peer is, it proves in the greeting.
 *
 * Bounds: `connectionsMax` of a listener; PATH_BYTES_MAX of a path, the system's.
 */
import { connect, type Server } from "node:net";
import { MeshError } from "../../errors.ts";
import type { Transport } from "../../ports/transport.ts";
import { listenError } from "../listen-error.ts";
import { hostIdentity } from "./host-identity.ts";
import { assertOwn, closeToOthers, newSocketPath, removeLeftover } from "./run-folder.ts";
import { readingInto } from "./socket-reads.ts";
import { connected, type Medium, SocketTransport } from "./socket-transport.ts";

export type UnixOptions = {
  /** Absolute path of the socket file. Default: a file of its own in a folder of this user alone. */
  readonly path?: string;
  /** Connections a listener accepts at a time; 1 to 65,535. Default 4,096. */
  readonly connectionsMax?: number;
};

const SCHEME = "unix";
const CONNECTIONS_MAX = 4_096;
/** Of `sockaddr_un`, without the zero behind it. */
const PATH_BYTES_MAX = process.platform === "linux" ? 107 : 103;
const ADDRESS = /^unix:\/\/(\/[\x21-\x3e\x40-\x7e]*)(?:\?host=([A-Za-z0-9_-]{16}))?$/;

/** @throws MeshError INVALID_OPTIONS */
export function unix(options: UnixOptions = {}): Transport {
  const { path, connectionsMax = CONNECTIONS_MAX } = options;
  const problems: string[] = [];
  if (path !== undefined) {
    if (!ADDRESS.test(`${SCHEME}://${path}`)) {
      problems.push(
        `unix.path ${JSON.stringify(path)} is not absolute, of printable ASCII without "?"`,
      );
    }
    const bytes = Buffer.byteLength(path);
    if (bytes > PATH_BYTES_MAX) problems.push(pathTooLong(path, bytes));
  }
  const isCount = Number.isInteger(connectionsMax) && connectionsMax >= 1;
  if (!isCount || connectionsMax > 65_535) {
    problems.push(`unix.connectionsMax ${connectionsMax} is not a whole number of 1..65535`);
  }
  if (problems.length > 0) throw new MeshError("INVALID_OPTIONS", problems.join("; "));
  return new SocketTransport(files(path), connectionsMax);
}

const files = (ownPath: string | undefined): Medium => {
  const identity = hostIdentity();
  return {
    scheme: SCHEME,
    preference: 70,
    hasTls: false,
    reaches: (address) => {
      const [, path, host = identity] = ADDRESS.exec(address) ?? [];
      return path !== undefined && host === identity;
    },
    bind: async (server, _options, { logger }) => {
      const path = ownPath ?? (await newSocketPath());
      const bytes = Buffer.byteLength(path);
      if (bytes > PATH_BYTES_MAX) throw new MeshError("INVALID_OPTIONS", pathTooLong(path, bytes));
      await bindFile(server, path);
      closeToOthers(path);
      const address = `${SCHEME}://${path}?host=${identity}`;
      server.on("error", (error) => logger.error("a listener failed", { address, error }));
      return address;
    },
    dial: (address, _context, reader) => {
      const path = pathOf(address);
      assertOwn(path);
      const socket = connect({ path, onread: readingInto(reader) });
      return { socket, open: () => connected(socket, address).then(() => undefined) };
    },
    remoteOf: () => `${SCHEME}://peer`,
  };
};

/** A file that a dead process left there is replaced. @throws MeshError ADDRESS_IN_USE, INVALID_OPTIONS */
const bindFile = async (server: Server, path: string): Promise<void> => {
  const wanted = `${SCHEME}://${path}`;
  try {
    await listenAt(server, path);
  } catch (error) {
    const isThere = (error as { readonly code?: string }).code === "EADDRINUSE";
    if (!isThere || !(await removeLeftover(path))) throw listenError(error, wanted);
    await listenAt(server, path).catch((again: unknown) => {
      throw listenError(again, wanted);
    });
  }
};

const listenAt = (server: Server, path: string): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ path }, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });

/** @throws MeshError INVALID_OPTIONS */
const pathOf = (address: string): string => {
  const path = ADDRESS.exec(address)?.[1];
  if (path !== undefined && path.length <= PATH_BYTES_MAX) return path;
  const text = JSON.stringify(address.slice(0, 300));
  const form = `unix:///path?host=identity, a path of at most ${PATH_BYTES_MAX} B`;
  throw new MeshError("INVALID_OPTIONS", `address ${text} is not of the form ${form}`);
};

const pathTooLong = (path: string, bytes: number): string =>
  `path ${path} of a socket has ${bytes} B, the system takes ${PATH_BYTES_MAX} B`;
