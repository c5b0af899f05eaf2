/** meshbus over its public API, over one transport or the best that both sides have. */
import { join } from "node:path";
import {
  bytes,
  createNode,
  event,
  json,
  type MeshNode,
  query,
  staticPeers,
  stream,
  type Transport,
  zeromq,
} from "meshbus";
import { linkAddress } from "../children/link-address.ts";
import { type NumberedJson, sequenceOfBytes, sequenceOfJson } from "../children/payload.ts";
import type { Adapter, ConsumeOptions, Place, ProduceOptions, Producer } from "./adapter.ts";

export type Scheme = "grpc" | "tcp" | "zmq";

/** What a program does not ask for it does not load. */
const createTransport = async (scheme: Scheme): Promise<Transport> => {
  if (scheme === "grpc") return (await import("meshbus/grpc")).grpc();
  return scheme === "tcp" ? stream() : zeromq();
};
const KEYS = 1_024;
const GROUP = "sink";
const LOOK_MS = 1;
/** As much as NATS keeps for a slow subscriber. */
const FAN_OUT_BYTES = 64 << 20;

type Options = { readonly codec?: "json"; readonly scheme?: Scheme; readonly anyMember?: boolean };

const contracts = (codec: "bytes" | "json", mesh: string) => {
  const schema = codec === "json" ? json<NumberedJson>() : bytes();
  const sequence = (payload: unknown): number =>
    codec === "json"
      ? sequenceOfJson(payload as NumberedJson)
      : sequenceOfBytes(payload as Uint8Array);
  const key = (payload: unknown): string => `k${sequence(payload) % KEYS}`;
  const subject = `bench.${mesh}`;
  return {
    echo: query(`${subject}.echo`, { request: schema as never, reply: schema as never }),
    plain: event(`${subject}.plain`, { schema: schema as never }),
    keyed: event(`${subject}.keyed`, { schema: schema as never, key }),
  };
};

const wait = (ms: number): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await wait(LOOK_MS);
};

const pending = (node: MeshNode): number => {
  let count = 0;
  for (const counts of Object.values(node.ledger())) count += counts.pending;
  return count;
};

export const meshbusAdapter = ({ codec, scheme, anyMember = false }: Options = {}): Adapter => {
  const kind = codec ?? "bytes";
  let node: MeshNode | undefined;
  const open = async (
    service: string,
    { mesh, dataDir, keys }: Place,
    addresses: readonly string[],
  ): Promise<MeshNode> => {
    const transports = scheme === undefined ? {} : { transports: [await createTransport(scheme)] };
    const discovery = addresses.length === 0 ? [] : [staticPeers([...addresses])];
    const security = keys === undefined ? {} : { security: { keys: join(keys, service) } };
    node = await createNode({ service, mesh, dataDir, discovery, ...transports, ...security });
    return node;
  };
  return {
    codec: kind,
    answer: async (place) => {
      const answering = await open("answer", place, []);
      await answering.reply(contracts(kind, place.mesh).echo, (request) => request);
      return linkAddress(answering);
    },
    ask: async (place, address) => {
      const { echo } = contracts(kind, place.mesh);
      const asking = await open("ask", place, [address]);
      await asking.waitFor(echo);
      return (payload) => asking.request(echo, payload as never);
    },
    consume: async (place, options, handle) => {
      const { plain, keyed } = contracts(kind, place.mesh);
      const service = options.sharing === "all" ? `sink-${options.index}` : GROUP;
      const member = await open(service, place, options.addresses);
      const contract = options.sharing === "sharded" ? keyed : plain;
      await member.subscribe(contract, handle, {
        durable: options.durable,
        prefetch: options.prefetch,
        ...(options.sharing === "all" ? { prefetchBytes: FAN_OUT_BYTES } : {}),
        ...groupOptions(options, anyMember),
      });
      if (options.sharing === "all") {
        await member.reply(fenceOf(place.mesh, options.index), (request) => request);
      }
      return { address: linkAddress(member) };
    },
    produce: async (place, options): Promise<Producer> => {
      const { plain, keyed } = contracts(kind, place.mesh);
      const from = await open("source", place, options.addresses);
      const contract = options.sharing === "sharded" ? keyed : plain;
      return {
        address: linkAddress(from),
        met: async (members) => {
          await from.waitFor(contract);
          for (let index = 0; options.sharing === "all" && index < members; index++) {
            await from.waitFor(fenceOf(place.mesh, index));
          }
          await until(() => {
            const alive = from.peers().filter(({ state }) => state === "alive").length;
            if (alive < members) return false;
            if (options.sharing !== "sharded" || anyMember) return true;
            return isShared(from, contract, members);
          });
        },
        emit: emitter(from, kind, place.mesh, options),
        publish: (payload, _key, done) =>
          void from.publish(contract, payload as never).then(() => done(), done),
        alone: () => until(() => from.peers().every(({ state }) => state !== "alive")),
        settled: () => until(() => pending(from) === 0),
      };
    },
    close: async () => {
      await node?.stop({ drainMs: 1_000 });
    },
  };
};

/**
 * One of many subscribers that is full drops, and nobody is told. So each is asked now and then whether it has come this
 * far, as often as the client of NATS is flushed.
 */
const BETWEEN_FENCES = 4_096;

const fenceOf = (mesh: string, index: number) =>
  query(`bench.${mesh}.fence-${index}`, { request: bytes(), reply: bytes() });

const emitter = (
  from: MeshNode,
  codec: "bytes" | "json",
  mesh: string,
  { sharing, members }: ProduceOptions,
): NonNullable<Producer["emit"]> => {
  const { plain } = contracts(codec, mesh);
  if (sharing !== "all") return (payload) => from.emit(plain, payload as never);
  const fences = Array.from({ length: members }, (_, index) => fenceOf(mesh, index));
  const nothing = new Uint8Array(1);
  let count = 0;
  return (payload) => {
    const taken = from.emit(plain, payload as never);
    if (!taken || ++count % BETWEEN_FENCES !== 0) return taken;
    return Promise.all(fences.map((fence) => from.request(fence, nothing))).then(() => {});
  };
};

const groupOptions = ({ sharing, prefetch }: ConsumeOptions, anyMember: boolean) => {
  if (sharing === "one" || sharing === "all") return {};
  if (sharing !== "shared")
    return { group: GROUP, distribution: anyMember ? "any" : "key" } as const;
  // Clients of brokers begin with all that was prefetched at once.
  return { group: GROUP, distribution: "any", concurrency: prefetch } as const;
};

const isShared = (
  from: MeshNode,
  contract: ReturnType<typeof contracts>["keyed"],
  members: number,
): boolean => {
  const shards = from.shards(GROUP, contract);
  if (shards === undefined || shards.unowned > 0) return false;
  const moving = shards.holders.some((holder) => holder.moving > 0 || !holder.reachable);
  return shards.holders.length === members && !moving;
};
