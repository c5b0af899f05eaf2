/**
 * Options of mDNS discovery, checked and frozen once.
 */
import { MeshError } from "../../errors.ts";

export type MdnsOptions = {
  /**
   * Name ("eth0") or IPv4 address of the one interface to use. Default: every interface with an IPv4
   * address, at most 16. A node that listens on loopback only always uses loopback only.
   */
  readonly interface?: string;
  /** UDP port of the group, 1 to 65,535. Default 5353. Others keep meshes apart from all of mDNS. */
  readonly port?: number;
  /**
   * How long others believe in this node without hearing of it, 1,000 to 3,600,000 ms, rounded up to
   * whole seconds. Default 120,000. Less finds the dead sooner and costs more traffic; how alive a known
   * peer is, its link tells much earlier.
   */
  readonly ttlMs?: number;
  /** How often new interfaces are looked for, 100 to 3,600,000 ms. Default 5,000. */
  readonly interfacePollMs?: number;
};

export type ResolvedMdnsOptions = {
  readonly interface: string | undefined;
  readonly port: number;
  readonly ttlMs: number;
  readonly interfacePollMs: number;
};

/** @throws MeshError INVALID_OPTIONS naming every wrong option. */
export function resolveMdnsOptions(options: MdnsOptions): ResolvedMdnsOptions {
  const wrong: string[] = [];
  const within = (name: keyof MdnsOptions, fallback: number, min: number, max: number): number => {
    const value = options[name] ?? fallback;
    if (typeof value === "number" && Number.isInteger(value) && value >= min && value <= max) {
      return value;
    }
    wrong.push(`${name} ${String(value)} is not an integer from ${min} to ${max}`);
    return fallback;
  };
  const only = options.interface;
  if (only !== undefined && (typeof only !== "string" || only.length === 0 || only.length > 64)) {
    wrong.push(`interface ${JSON.stringify(only)} is not a name or an IPv4 address`);
  }
  const resolved = {
    interface: only,
    port: within("port", 5_353, 1, 65_535),
    ttlMs: within("ttlMs", 120_000, 1_000, 3_600_000),
    interfacePollMs: within("interfacePollMs", 5_000, 100, 3_600_000),
  };
  if (wrong.length > 0) throw new MeshError("INVALID_OPTIONS", `mdns: ${wrong.join("; ")}`);
  return Object.freeze(resolved);
}
