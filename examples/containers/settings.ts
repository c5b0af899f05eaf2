/** What a container is told by its environment. */
export const SERVICES = ["orders", "billing", "audit"] as const;
export type ServiceName = (typeof SERVICES)[number];

export type Settings = {
  readonly service: ServiceName;
  readonly mesh: string;
  /** A volume of this instance's own: what it accepted, and who it is. */
  readonly dataDir: string;
  /** Address that nodes and probes reach. */
  readonly host: string;
  readonly meshPort: number;
  readonly httpPort: number;
  /** A name that stands for all nodes of the mesh. Empty: multicast on this network. */
  readonly discoveryName: string;
  /** Whom to ask for that name; none: the system's name servers. */
  readonly nameServers: readonly string[];
  /** How long handlers may still run after SIGTERM. */
  readonly drainMs: number;
  /** How long billing takes for an order. */
  readonly chargeMs: number;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** @throws Error that names everything that is wrong */
export const settingsFrom = (environment: Environment): Settings => {
  const problems: string[] = [];
  const number = (name: string, fallback: number, max: number): number => {
    const text = environment[name] || `${fallback}`;
    const value = Number(text);
    if (!/^\d+$/.test(text) || value > max) {
      problems.push(`${name} ${text} is no whole number from 0 to ${max}`);
    }
    return value;
  };
  const service = SERVICES.find((one) => one === environment.SERVICE);
  if (service === undefined) problems.push(`SERVICE is not one of ${SERVICES.join(", ")}`);
  const settings = {
    service: service ?? "orders",
    mesh: environment.MESH || "shop",
    dataDir: environment.DATA_DIR || "/data",
    host: environment.LISTEN_HOST || "0.0.0.0",
    meshPort: number("MESH_PORT", 7401, 65_535),
    httpPort: number("HTTP_PORT", 8080, 65_535),
    discoveryName: environment.DISCOVERY_NAME ?? "",
    nameServers: environment.NAME_SERVERS?.split(",").filter((one) => one !== "") ?? [],
    drainMs: number("DRAIN_MS", 10_000, 3_600_000),
    chargeMs: number("CHARGE_MS", 0, 60_000),
  };
  if (problems.length > 0) throw new Error(problems.join("; "));
  return settings;
};
