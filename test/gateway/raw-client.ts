/**
 * A client that knows nothing of us but the .proto files, through grpc-js's own client: what a program in
 * another language is to the gateway.
 */
import { fileURLToPath } from "node:url";
import {
  type ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  type MethodDefinition,
  type ServiceDefinition,
  type StatusObject,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import type { Security } from "../../src/ports/security.ts";
import { until } from "../integration/until.ts";

const PROTO = fileURLToPath(new URL("../../proto", import.meta.url)).replace(".build/", "");
const services = loadSync(["meshbus/gateway/v1/gateway.proto", "grpc/health/v1/health.proto"], {
  includeDirs: [PROTO],
  longs: Number,
  enums: String,
  arrays: true,
  objects: true,
});
const GATEWAY = services["meshbus.gateway.v1.Gateway"] as ServiceDefinition;
const HEALTH = services["grpc.health.v1.Health"] as ServiceDefinition;

export type Said = Record<string, unknown>;
// biome-ignore format: one line each
export type Heard = {
  results: { number?: number; accepted?: { id: string; position: { epoch: number; seq: number }; duplicate?: boolean }; emitted?: { taken?: boolean }; answer?: { contentType?: string; payload?: Buffer }; error?: { code: string; message: string; retryable?: boolean; details?: string } }[];
  opened?: { group: string } | null;
  deliveries: Delivery[];
  questions: Delivery[];
  withdrawn: { number: number; error: { code: string } }[];
  refused: { number: number; error: { code: string; message: string } }[];
  stopping?: boolean;
};
export type Delivery = {
  readonly number: number;
  readonly subject: string;
  readonly contentType: string;
  readonly payload: Buffer;
  readonly key?: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly id: string;
  readonly attempt: number;
  readonly fence?: number;
};

/** One call, and all that was heard of it. */
export class RawCall {
  readonly stream: ClientDuplexStream<Said, Heard>;
  readonly heard: Heard[] = [];
  readonly ended: Promise<StatusObject>;
  status: StatusObject | undefined;

  constructor(stream: ClientDuplexStream<Said, Heard>, reads: boolean) {
    this.stream = stream;
    if (reads) stream.on("data", (message: Heard) => this.heard.push(message));
    stream.on("error", () => {});
    this.ended = new Promise((resolve) => {
      stream.on("status", (status) => {
        this.status = status;
        resolve(status);
      });
    });
  }

  say(message: Said): void {
    this.stream.write(message);
  }

  /** Settles as `outcome` says. */
  settle(number: number, outcome: Said): void {
    this.say({ settles: [{ number, ...outcome }] });
  }

  ack(...numbers: number[]): void {
    this.say({ settles: numbers.map((number) => ({ number, ack: {} })) });
  }

  get results(): Heard["results"] {
    return this.heard.flatMap(({ results }) => results);
  }

  get deliveries(): Delivery[] {
    return this.heard.flatMap(({ deliveries }) => deliveries);
  }

  get questions(): Delivery[] {
    return this.heard.flatMap(({ questions }) => questions);
  }

  get withdrawn(): Heard["withdrawn"] {
    return this.heard.flatMap(({ withdrawn }) => withdrawn);
  }

  get refused(): Heard["refused"] {
    return this.heard.flatMap(({ refused }) => refused);
  }

  async opened(): Promise<this> {
    await until("the stream is open", () => {
      if (this.status !== undefined) throw new Error(`ended: ${this.status.details}`);
      return this.heard.some(({ opened }) => opened !== null && opened !== undefined);
    });
    return this;
  }

  async gets(count: number): Promise<Delivery[]> {
    await until(
      `${count} deliveries`,
      () => this.deliveries.length >= count,
      () => {
        return `${this.deliveries.length} came, ${this.status?.details ?? "open"}`;
      },
    );
    return this.deliveries;
  }

  async answers(count: number): Promise<Heard["results"]> {
    await until(
      `${count} results`,
      () => this.results.length >= count,
      () => {
        return `${this.results.length} came, ${this.status?.details ?? "open"}`;
      },
    );
    return this.results;
  }
}

/** A connection of its own. */
const credentialsOf = (keys: Security | undefined): ChannelCredentials => {
  if (keys === undefined) return credentials.createInsecure();
  const { ca, key, cert } = keys.tls();
  const [roots, own, chain] = [ca.join(""), key, cert].map((pem) => Buffer.from(pem));
  // The name in the gateway's certificate is a node's, not a host's.
  const checkServerIdentity = (): undefined => undefined;
  return credentials.createSsl(roots, own, chain, { checkServerIdentity });
};

export class RawClient {
  readonly #client: Client;

  /** @param keys of a member, where the gateway asks for a certificate */
  constructor(address: string, keys?: Security) {
    this.#client = new Client(address.replace("grpc://", ""), credentialsOf(keys), {
      "grpc.use_local_subchannel_pool": 1,
    });
  }

  call(name: string, { reads = true, deadlineMs = 0 } = {}): RawCall {
    const { path, requestSerialize, responseDeserialize } = methodOf(GATEWAY, name);
    const options = deadlineMs === 0 ? {} : { deadline: Date.now() + deadlineMs };
    const stream = this.#client.makeBidiStreamRequest(
      ...([path, requestSerialize, responseDeserialize, options] as const),
    );
    return new RawCall(stream as ClientDuplexStream<Said, Heard>, reads);
  }

  /** Opens a stream that takes; resolves when it stands. */
  open(name: string, open: Said): Promise<RawCall> {
    const call = this.call(name);
    call.say({ open });
    return call.opened();
  }

  check(service: string): Promise<string> {
    const { path, requestSerialize, responseDeserialize } = methodOf(HEALTH, "Check");
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(
        ...([path, requestSerialize, responseDeserialize, { service }] as const),
        (error, answer) => {
          if (error !== null) reject(error);
          else resolve((answer as { status: string }).status);
        },
      );
    });
  }

  watch(service: string): {
    readonly seen: string[];
    readonly call: ClientReadableStream<unknown>;
  } {
    const { path, requestSerialize, responseDeserialize } = methodOf(HEALTH, "Watch");
    const call = this.#client.makeServerStreamRequest(
      ...([path, requestSerialize, responseDeserialize, { service }] as const),
    );
    const seen: string[] = [];
    call.on("data", ({ status }: { status: string }) => seen.push(status));
    call.on("error", () => {});
    return { seen, call };
  }

  close(): void {
    this.#client.close();
  }
}

/** The path of a call of the gateway, and its messages to and from bytes. */
export const gatewayMethod = (name: string): MethodDefinition<Said, Heard> =>
  methodOf(GATEWAY, name) as MethodDefinition<Said, Heard>;

const methodOf = (service: ServiceDefinition, name: string): MethodDefinition<unknown, unknown> => {
  const method = service[name];
  if (method === undefined) throw new Error(`the service has no method ${name}`);
  return method;
};
