/** grpc-js with raw bytes instead of a schema: a unary call for a request, one client stream for messages. */
import {
  type ClientWritableStream,
  credentials,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type sendUnaryData,
} from "@grpc/grpc-js";
import type { Adapter } from "./adapter.ts";

const pass = (bytes: Buffer): Buffer => bytes;
const method = (name: string, requestStream: boolean) => ({
  path: `/bench.Bench/${name}`,
  requestStream,
  responseStream: false,
  requestSerialize: pass,
  requestDeserialize: pass,
  responseSerialize: pass,
  responseDeserialize: pass,
});
const SERVICE = { echo: method("Echo", false), sink: method("Sink", true) };
const Client = makeGenericClientConstructor(SERVICE as unknown as ServiceDefinition, "Bench");
const EMPTY = Buffer.alloc(0);

type EchoClient = {
  echo(payload: Buffer, callback: (error: Error | null, reply: Buffer) => void): void;
  sink(callback: () => void): ClientWritableStream<Buffer>;
};

export const grpcAdapter = (): Adapter => {
  const clients: { close(): void }[] = [];
  let server: Server | undefined;
  const listen = async (handlers: Readonly<Record<string, unknown>>): Promise<string> => {
    const serving = new Server();
    server = serving;
    serving.addService(SERVICE as unknown as ServiceDefinition, handlers as never);
    const port = await new Promise<number>((resolve, reject) => {
      serving.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    return `127.0.0.1:${port}`;
  };
  const dial = async (address: string): Promise<EchoClient> => {
    const client = new Client(address, credentials.createInsecure());
    clients.push(client);
    await new Promise<void>((resolve, reject) => {
      client.waitForReady(Date.now() + 5_000, (error) => (error ? reject(error) : resolve()));
    });
    return client as unknown as EchoClient;
  };
  return {
    codec: "bytes",
    answer: () =>
      listen({
        echo: (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>) =>
          reply(null, call.request),
      }),
    ask: async (_place, address) => {
      const client = await dial(address);
      return (payload) =>
        new Promise((resolve, reject) => {
          client.echo(payload as Buffer, (error, reply) =>
            error ? reject(error) : resolve(reply),
          );
        });
    },
    consume: async (_place, _options, handle) => ({
      address: await listen({
        sink: (call: ServerReadableStream<Buffer, Buffer>, reply: sendUnaryData<Buffer>) => {
          call.on("data", (payload: Buffer) => void handle(payload));
          call.on("end", () => reply(null, EMPTY));
          call.on("error", () => {}); // the client has gone
        },
      }),
    }),
    produce: async (_place, { addresses }) => {
      const calls: ClientWritableStream<Buffer>[] = [];
      for (const address of addresses) {
        const call = (await dial(address)).sink(() => {});
        call.on("error", () => {}); // the end of the bench
        calls.push(call);
      }
      return {
        emit: (payload) => {
          let full: ClientWritableStream<Buffer> | undefined;
          for (const call of calls) if (!call.write(payload as Buffer)) full = call;
          if (full === undefined) return true;
          return new Promise<void>((resolve) => void full?.once("drain", resolve));
        },
      };
    },
    close: async () => {
      for (const client of clients) client.close();
      server?.forceShutdown();
    },
  };
};
