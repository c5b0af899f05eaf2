/** The adapter of a system, by its name. Only that system's client is loaded. */
import type { SystemName } from "../systems.ts";
import type { Adapter } from "./adapter.ts";

export const adapterOf = async (system: SystemName): Promise<Adapter> => {
  switch (system) {
    case "meshbus":
    case "meshbus-key":
      return (await import("./meshbus-adapter.ts")).meshbusAdapter();
    case "meshbus-any":
      return (await import("./meshbus-adapter.ts")).meshbusAdapter({ anyMember: true });
    case "meshbus-json":
      return (await import("./meshbus-adapter.ts")).meshbusAdapter({ codec: "json" });
    case "meshbus-zeromq":
      return (await import("./meshbus-adapter.ts")).meshbusAdapter({ scheme: "zmq" });
    case "meshbus-grpc":
      return (await import("./meshbus-adapter.ts")).meshbusAdapter({ scheme: "grpc" });
    case "meshbus-stream":
    case "meshbus-keys": // its place names folders of keys
      return (await import("./meshbus-adapter.ts")).meshbusAdapter({ scheme: "tcp" });
    case "raw-tcp":
      return (await import("./raw-tcp-adapter.ts")).rawTcpAdapter();
    case "raw-zeromq":
      return (await import("./raw-zeromq-adapter.ts")).rawZeromqAdapter();
    case "nats":
      return (await import("./nats-adapter.ts")).natsAdapter();
    case "jetstream":
    case "jetstream-synced":
      return (await import("./jetstream-adapter.ts")).jetstreamAdapter();
    case "rabbitmq":
      return (await import("./rabbitmq-adapter.ts")).rabbitmqAdapter("classic");
    case "rabbitmq-quorum":
      return (await import("./rabbitmq-adapter.ts")).rabbitmqAdapter("quorum");
    case "redis":
      return (await import("./redis-adapter.ts")).redisAdapter();
    case "redis-streams":
    case "redis-streams-everysec":
      return (await import("./redis-adapter.ts")).redisStreamsAdapter();
    case "mosquitto":
    case "mosquitto-qos1":
      return (await import("./mosquitto-adapter.ts")).mosquittoAdapter();
    case "moleculer":
      return (await import("./moleculer-adapter.ts")).moleculerAdapter();
    case "cote":
      return (await import("./cote-adapter.ts")).coteAdapter();
    case "grpc":
      return (await import("./grpc-adapter.ts")).grpcAdapter();
  }
};
