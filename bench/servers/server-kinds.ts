/**
 * How each broker is started: a private folder, free ports on 127.0.0.1, its settings as shipped but for
 * what is said here. What is changed is in docs/fairness.md.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../free-port.ts";

export type ServerKind =
  | "nats"
  | "nats-synced"
  | "rabbitmq"
  | "redis"
  | "redis-everysec"
  | "mosquitto";

export type Command = {
  readonly file: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
};

/** Everything to run, the server itself last. */
export type Launch = { readonly port: number; readonly commands: readonly Command[] };

export type KindOfServer = {
  /** Debian's name of the package. */
  readonly debianPackage: string;
  readonly binary: string;
  launch(folder: string): Promise<Launch>;
  /** Why it cannot run here although it is installed. */
  lacks?(folder: string): string | undefined;
};

const RABBITMQ = "/usr/lib/rabbitmq/bin/rabbitmq-server";

const nats = (folder: string, port: number, extra = ""): Launch => {
  const config = join(folder, "nats.conf");
  const store = join(folder, "jetstream");
  writeFileSync(
    config,
    `host: 127.0.0.1\nport: ${port}\njetstream { store_dir: "${store}"${extra} }\n`,
  );
  return { port, commands: [{ file: "/usr/sbin/nats-server", args: ["-c", config] }] };
};

/** `sync_interval: always` came with 2.10. Before, the folder's files are written through by the file system. */
const syncsByItself = (): boolean => {
  const version = /v(\d+)\.(\d+)/.exec(versionOutput("/usr/sbin/nats-server", ["--version"]) ?? "");
  const [, major = "0", minor = "0"] = version ?? [];
  return Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 10);
};

const writesThrough = (folder: string): boolean => {
  try {
    execFileSync("chattr", ["+S", folder], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
};

const redis = async (folder: string, sync: "always" | "everysec"): Promise<Launch> => {
  const port = await freePort();
  const settings = {
    port: String(port),
    bind: "127.0.0.1",
    dir: folder,
    appendonly: "yes",
    appendfsync: sync,
    save: "",
    daemonize: "no",
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
  // A subscriber that is slow for a moment is not cut off.
  const pubsub = ["--client-output-buffer-limit", "pubsub 512mb 512mb 60"];
  return { port, commands: [{ file: "/usr/bin/redis-server", args: [...args, ...pubsub] }] };
};

const rabbitmq = async (folder: string): Promise<Launch> => {
  const [port, distributionPort, namesPort] = await Promise.all([
    freePort(),
    freePort(),
    freePort(),
  ]);
  writeFileSync(join(folder, "enabled_plugins"), "[].\n");
  writeFileSync(join(folder, "rabbitmq.conf"), "log.console = false\nlog.file.level = error\n");
  const env = {
    HOME: folder,
    ERL_EPMD_PORT: String(namesPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_CONF_ENV_FILE: "/dev/null",
    RABBITMQ_NODENAME: `bench-${port}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_PID_FILE: join(folder, "pid"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
    RABBITMQ_ADVANCED_CONFIG_FILE: join(folder, "advanced.config"),
  };
  // Erlang's name server is ours, so that it ends with the bench.
  const names = { file: "/usr/bin/epmd", args: [], env };
  return { port, commands: [names, { file: RABBITMQ, args: [], env }] };
};

const mosquitto = async (folder: string): Promise<Launch> => {
  const port = await freePort();
  const config = join(folder, "mosquitto.conf");
  // More than 20 messages under way, and no drop of queued ones. Root would change its user otherwise.
  const lines = [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    "max_inflight_messages 0",
    "max_queued_messages 0",
    "set_tcp_nodelay true",
    "user root",
  ];
  writeFileSync(config, `${lines.join("\n")}\n`);
  return { port, commands: [{ file: "/usr/sbin/mosquitto", args: ["-c", config] }] };
};

export const SERVER_KINDS: Readonly<Record<ServerKind, KindOfServer>> = {
  nats: {
    debianPackage: "nats-server",
    binary: "/usr/sbin/nats-server",
    launch: async (folder) => nats(folder, await freePort()),
  },
  "nats-synced": {
    debianPackage: "nats-server",
    binary: "/usr/sbin/nats-server",
    launch: async (folder) => {
      const port = await freePort();
      if (syncsByItself()) return nats(folder, port, ", sync_interval: always");
      mkdirSync(join(folder, "jetstream"));
      writesThrough(join(folder, "jetstream"));
      return nats(folder, port);
    },
    lacks: (folder) =>
      syncsByItself() || writesThrough(folder)
        ? undefined
        : "this version has no sync_interval, and the file system does not take chattr +S",
  },
  rabbitmq: { debianPackage: "rabbitmq-server", binary: RABBITMQ, launch: rabbitmq },
  redis: {
    debianPackage: "redis-server",
    binary: "/usr/bin/redis-server",
    launch: (folder) => redis(folder, "always"),
  },
  "redis-everysec": {
    debianPackage: "redis-server",
    binary: "/usr/bin/redis-server",
    launch: (folder) => redis(folder, "everysec"),
  },
  mosquitto: { debianPackage: "mosquitto", binary: "/usr/sbin/mosquitto", launch: mosquitto },
};

/** The installed version as Debian names it; undefined: not installed by a package. */
export const packageVersion = (kind: ServerKind): string | undefined =>
  versionOutput("dpkg-query", [
    "--show",
    `--showformat=\${Version}`,
    SERVER_KINDS[kind].debianPackage,
  ]);

/** "5:7.0.15-1~deb12u10" -> "7.0.15" */
export const upstreamVersion = (kind: ServerKind): string | undefined =>
  packageVersion(kind)
    ?.replace(/^\d+:/, "")
    .replace(/[-+~].*$/, "");

export const isInstalled = (kind: ServerKind): boolean => existsSync(SERVER_KINDS[kind].binary);

const versionOutput = (file: string, args: readonly string[]): string | undefined => {
  try {
    return execFileSync(file, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  } catch {
    return undefined;
  }
};
