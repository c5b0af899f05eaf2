/**
 * The interfaces to speak on.
 *
 * One socket for each interface, found by its first IPv4 address. A node whose listeners are all on
 * loopback speaks on loopback only; any other speaks on loopback too, so that it meets those. A packet
 * belongs to an interface when its source lies in one of the interface's subnets: that keeps packets
 * from beyond the link out (RFC 6762 section 11) and makes each packet count once, because Linux gives a
 * multicast packet to every socket bound to the port, whatever interface it joined on.
 */

export type Ipv4Subnet = { readonly address: string; readonly netmask: string };

export type MulticastInterface = {
  readonly name: string;
  /** The address it is spoken from. */
  readonly address: string;
  readonly internal: boolean;
  readonly subnets: readonly Ipv4Subnet[];
};

/** What the operating system reports: the part of os.networkInterfaces() that is read. */
export type InterfaceTable = Readonly<
  Record<
    string,
    | readonly {
        readonly address: string;
        readonly netmask: string;
        readonly family: string;
        readonly internal: boolean;
      }[]
    | undefined
  >
>;

/** Most interfaces spoken on: hosts of many containers have hundreds. */
export const INTERFACES_MAX = 16;

/**
 * Chooses interfaces. `only` is a name ("eth0") or an address of one; it does not apply to a node that
 * is on loopback only.
 */
export function chooseInterfaces(
  table: InterfaceTable,
  loopbackOnly: boolean,
  only: string | undefined,
): MulticastInterface[] {
  const chosen: MulticastInterface[] = [];
  for (const [name, rows] of Object.entries(table)) {
    const found = (rows ?? []).filter((row) => row.family === "IPv4");
    const first = found[0];
    if (first === undefined || (loopbackOnly && !first.internal)) continue;
    const wanted = only === undefined || only === name ? first : undefined;
    const row = loopbackOnly ? first : (wanted ?? found.find((each) => each.address === only));
    if (row === undefined) continue;
    const subnets = found.map(({ address, netmask }) => ({ address, netmask }));
    chosen.push({ name, address: row.address, internal: row.internal, subnets });
  }
  // Loopback first: it is what tests and single hosts rely on, whatever else there is.
  chosen.sort((a, b) => Number(b.internal) - Number(a.internal));
  return chosen.slice(0, INTERFACES_MAX);
}

/** Every IPv4 address of this host. */
export function hostAddresses(table: InterfaceTable): Set<string> {
  const addresses = new Set<string>();
  for (const rows of Object.values(table)) {
    for (const row of rows ?? []) if (row.family === "IPv4") addresses.add(row.address);
  }
  return addresses;
}

/** True when the source is on the interface's own link. */
export function isOnLink(source: string, from: MulticastInterface): boolean {
  return from.subnets.some(({ address, netmask }) => {
    const mask = ipv4Number(netmask);
    return (ipv4Number(source) & mask) === (ipv4Number(address) & mask);
  });
}

function ipv4Number(text: string): number {
  return text.split(".").reduce((value, part) => (value << 8) | (Number(part) & 0xff), 0);
}
