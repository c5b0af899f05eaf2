/** Where a run took place: a figure without it says nothing. */

import { createRequire } from "node:module";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { packageVersion, SERVER_KINDS, type ServerKind } from "./servers/server-kinds.ts";

export type Machine = {
  readonly node: string;
  readonly cpu: string;
  readonly cores: number;
  readonly load: readonly number[];
  readonly memoryGb: number;
  readonly kernel: string;
  readonly date: string;
  /** Of the packages: brokers as the distribution has them, and clients. */
  readonly versions: Readonly<Record<string, string>>;
};

const CLIENTS = [
  "zeromq",
  "@grpc/grpc-js",
  "lmdb",
  "@nats-io/transport-node",
  "@nats-io/jetstream",
  "amqplib",
  "ioredis",
  "mqtt",
  "moleculer",
  "cote",
] as const;

export const machineNow = (): Machine => ({
  node: process.version,
  cpu: cpus()[0]?.model ?? "unknown",
  cores: availableParallelism(),
  load: loadavg().map((value) => Number(value.toFixed(2))),
  memoryGb: Math.round(totalmem() / 2 ** 30),
  kernel: release().split("-")[0] ?? release(),
  date: new Date().toISOString().slice(0, 16),
  versions: { ...brokerVersions(), ...clientVersions() },
});

const brokerVersions = (): Record<string, string> => {
  const found: Record<string, string> = {};
  for (const kind of Object.keys(SERVER_KINDS) as ServerKind[]) {
    const version = packageVersion(kind);
    if (version) found[SERVER_KINDS[kind].debianPackage] = version;
  }
  return found;
};

const clientVersions = (): Record<string, string> => {
  const require = createRequire(import.meta.url);
  const lock = require("../../package.json") as { [part: string]: Record<string, string> };
  const versions = { ...lock.dependencies, ...lock.devDependencies };
  return Object.fromEntries(CLIENTS.map((name) => [name, versions[name] ?? "not listed"]));
};
