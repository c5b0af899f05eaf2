/** The systems of a scenario as contenders: with their broker, or named as missing. */
import { join } from "node:path";
import { createAuthority, issueKeys } from "meshbus/security";
import type { Place } from "./adapters/adapter.ts";
import type { Bench } from "./bench.ts";
import type { Contender, Pair } from "./compare.ts";
import type { Server } from "./servers/server.ts";
import type { Missing } from "./servers/servers.ts";
import {
  aboutSystem,
  ackOf,
  canCarry,
  isMeshbus,
  JSON_BYTES_MIN,
  type SystemName,
} from "./systems.ts";

export type Kind = "request" | "once" | "durable";

/** What a contender is opened with. */
export type Ground = {
  readonly system: SystemName;
  readonly server: Server | undefined;
  /** A place for one process; all of a contender share the mesh. */
  place(keeps: boolean): Place;
};

/**
 * `names` in the order of the table. Those that a quick run leaves out are named as such.
 */
export const contendersOf = (
  bench: Bench,
  kind: Kind,
  names: readonly SystemName[],
  notQuick: readonly SystemName[],
  open: (ground: Ground) => Promise<Pair>,
  settings?: Readonly<Record<string, number | string>>,
): readonly Contender[] =>
  names
    .filter((name) => bench.flags.systems.includes(name))
    .map((system): Contender => {
      const { codec } = aboutSystem(system);
      return {
        system,
        ...(codec === undefined ? {} : { codec }),
        ack: ackOf(system, kind),
        ...(settings === undefined ? {} : { settings }),
        lacks: ({ payloadBytes }) =>
          canCarry(system, payloadBytes)
            ? undefined
            : `no JSON object of less than ${JSON_BYTES_MIN} bytes carries the numbers`,
        open: async () => {
          if (bench.flags.quick && notQuick.includes(system)) {
            return { missing: "not part of a quick run" };
          }
          const ground = await groundOf(bench, system);
          return "missing" in ground ? ground : open(ground);
        },
      };
    });

/** With the broker that all scenarios share, or with one of its own. */
export const groundOf = async (
  bench: Bench,
  system: SystemName,
  ownServer = false,
): Promise<Ground | Missing> => {
  const { server: kind } = aboutSystem(system);
  const mesh = bench.mesh();
  let server: Server | undefined;
  if (kind !== undefined) {
    const found = await (ownServer ? bench.servers.own(kind) : bench.servers.get(kind));
    if ("missing" in found) return found;
    server = found;
  }
  const keepsItself = isMeshbus(system);
  const keys = system === "meshbus-keys" ? { keys: keysOf(bench.folder(), mesh) } : {};
  return {
    system,
    server,
    place: (keeps) => ({
      mesh,
      serverPort: server?.port ?? 0,
      dataDir: keeps && keepsItself ? bench.folder() : ":memory:",
      ...keys,
    }),
  };
};

/** The services of a pair of which one says and one takes; each may do everything. */
const KEYED_SERVICES = ["source", "sink"];
const ALL = [">"];

const keysOf = (folder: string, mesh: string): string => {
  const authority = createAuthority(join(folder, "authority"), { mesh });
  const allow = { publish: ALL, subscribe: ALL, send: ALL, handle: ALL, request: ALL };
  for (const service of KEYED_SERVICES)
    issueKeys(authority, join(folder, service), { service, allow });
  return folder;
};
