/** Every system of the comparison: which broker it needs, what it carries, and what its confirmations mean. */
import type { ServerKind } from "./servers/server-kinds.ts";

type About = {
  readonly server?: ServerKind;
  /** JSON systems carry an object whose text has the size of the payload. */
  readonly codec?: "json";
  /** What a durable publish and its consumption are confirmed by. */
  readonly durable?: AckLevel;
};

/**
 * How far a confirmation reaches.
 * none: nothing is confirmed. memory: by a process that keeps it in memory. written: handed to the file system, synced
 * later. synced: the publish is on disk, the consumer's acknowledgement is taken and synced later or not at all.
 * synced-both: both are on disk.
 */
export type AckLevel = "none" | "memory" | "written" | "synced" | "synced-both";

const ABOUT = {
  meshbus: { durable: "synced-both" },
  "meshbus-stream": { durable: "synced-both" },
  "meshbus-keys": { durable: "synced-both" },
  "meshbus-zeromq": { durable: "synced-both" },
  "meshbus-grpc": { durable: "synced-both" },
  "meshbus-json": { codec: "json", durable: "synced-both" },
  "meshbus-key": { durable: "synced-both" },
  "meshbus-any": { durable: "synced-both" },
  "raw-tcp": { durable: "none" },
  "raw-zeromq": { durable: "none" },
  nats: { server: "nats" },
  jetstream: { server: "nats", durable: "written" },
  "jetstream-synced": { server: "nats-synced", durable: "synced" },
  rabbitmq: { server: "rabbitmq", durable: "synced" },
  "rabbitmq-quorum": { server: "rabbitmq", durable: "synced-both" },
  redis: { server: "redis" },
  "redis-streams": { server: "redis", durable: "synced-both" },
  "redis-streams-everysec": { server: "redis-everysec", durable: "written" },
  mosquitto: { server: "mosquitto" },
  "mosquitto-qos1": { server: "mosquitto", durable: "memory" },
  moleculer: { codec: "json" },
  cote: { codec: "json" },
  grpc: {},
} as const satisfies Readonly<Record<string, About>>;

export type SystemName = keyof typeof ABOUT;

export const SYSTEM_NAMES = Object.keys(ABOUT) as readonly SystemName[];

export const aboutSystem = (name: SystemName): About => ABOUT[name];

export const isMeshbus = (name: string): boolean => name.startsWith("meshbus");

/** What the figures of a row were confirmed by. */
export const ackOf = (name: SystemName, kind: "request" | "once" | "durable"): string => {
  if (kind === "request") return "reply";
  return kind === "once" ? "none" : (aboutSystem(name).durable ?? "none");
};

/** The smallest object with the numbers of a message has this many bytes of JSON. */
export const JSON_BYTES_MIN = 64;

export const canCarry = (name: SystemName, payloadBytes: number): boolean =>
  aboutSystem(name).codec !== "json" || payloadBytes >= JSON_BYTES_MIN;
