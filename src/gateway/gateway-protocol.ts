/**
 * The gateway's messages as this code sees them, and the services read from their .proto files.
 *
 * The .proto files are the specification and travel with the package; they are read once, when the first
 * gateway starts. An absent field is undefined here, but lists and maps are always there.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { ServiceDefinition } from "@grpc/grpc-js";
import { load } from "@grpc/proto-loader";

export const GATEWAY_SERVICE = "meshbus.gateway.v1.Gateway";
const HEALTH_SERVICE = "grpc.health.v1.Health";
const FILES = ["meshbus/gateway/v1/gateway.proto", "grpc/health/v1/health.proto"];

export type Headers = Readonly<Record<string, string>>;

export type Outgoing = {
  readonly number?: number;
  readonly subject?: string;
  readonly contentType?: string;
  readonly payload?: Buffer;
  readonly key?: string;
  readonly headers: Headers;
  readonly id?: string;
  readonly idempotencyKey?: string;
  readonly delayMs?: number;
  readonly expireAfterMs?: number;
  readonly timeoutMs?: number;
  readonly correlationId?: string;
  readonly causationId?: string;
  readonly contractVersion?: number;
};
export type SayRequest = { readonly messages: readonly Outgoing[] };

export type WireError = {
  readonly code: string;
  readonly message: string;
  readonly retryable: boolean;
  readonly details: string;
};

export type Question = {
  readonly number?: number;
  readonly subject?: string;
  readonly contentType?: string;
  readonly payload?: Buffer;
  readonly headers: Headers;
  readonly timeoutMs?: number;
  readonly contractVersion?: number;
};
export type AskRequest = {
  readonly questions: readonly Question[];
  readonly cancels: readonly number[];
};

export type Open = {
  readonly pattern?: string;
  readonly group?: string;
  readonly credit?: number;
  readonly durable?: boolean;
  readonly distribution?: number;
  readonly failoverWait?: boolean;
  readonly holdOnDead?: boolean;
  readonly earliest?: boolean;
  readonly fromTimeMs?: number;
  readonly concurrency?: number;
  readonly prefetch?: number;
  readonly prefetchBytes?: number;
  readonly timeoutMs?: number;
  readonly weight?: number;
  readonly retry?: {
    readonly attempts?: number;
    readonly baseMs?: number;
    readonly capMs?: number;
  } | null;
  readonly filterHeaders: Headers;
  readonly versionMin?: number;
  readonly versionMax?: number;
};

/** How a delivery ended; one of the outcomes, or none, which is no settle. */
export type Settle = {
  readonly number?: number;
  readonly ack?: { readonly publish: readonly Outgoing[]; readonly send: readonly Outgoing[] };
  readonly nack?: {
    readonly delayMs?: number;
    readonly error?: string;
    readonly untried?: boolean;
  };
  readonly deadLetter?: { readonly reason?: string };
};

export type Answer = {
  readonly number?: number;
  readonly value?: { readonly contentType?: string; readonly payload?: Buffer };
  readonly failure?: {
    readonly name?: string;
    readonly message?: string;
    readonly code?: string;
    readonly details?: string;
  };
};

/** ListenRequest and AnswerRequest. */
export type TakeRequest = {
  readonly open?: Open | null;
  readonly credit?: number;
  readonly settles?: readonly Settle[];
  readonly answers?: readonly Answer[];
  readonly stop?: boolean;
};

export type HealthCheckRequest = { readonly service?: string };

export type Services = { readonly gateway: ServiceDefinition; readonly health: ServiceDefinition };

export const loadServices = async (): Promise<Services> => {
  // By the package's own name: the same from the sources, and from wherever they were compiled to.
  const root = dirname(createRequire(import.meta.url).resolve("meshbus/package.json"));
  const found = await load(FILES, {
    includeDirs: [join(root, "proto")],
    longs: Number,
    arrays: true,
    objects: true,
  });
  return {
    gateway: found[GATEWAY_SERVICE] as ServiceDefinition,
    health: found[HEALTH_SERVICE] as ServiceDefinition,
  };
};
