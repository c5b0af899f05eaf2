/**
 * Hosts on one machine: a network namespace each, joined by a bridge in a namespace of its own.
 *
 * Problem: processes on loopback never lose a packet, never part, and share every address. Approach: each host
 * has an interface of its own, one end of a cable whose other end is a port of the bridge. Frames that are to be
 * lost are sorted out where the bridge sends them on: HTB, a u32 filter on the sender's hardware address, and
 * the kernel's blackhole queue. Nobody is told, as on a real network: a route that leads nowhere would make
 * `connect` fail at once. A cable with delay and loss is a program (relay-process.ts) between two TAP devices.
 *
 * Invariants: nothing outside these namespaces is touched. They go, with all processes in them, when the process
 * that made them ends, however it ends: a helper in a session of its own waits for the end of a pipe.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { SEARCH_PATH } from "./network-needs.ts";

export const HOSTS = ["a", "b", "c"] as const;
export type Host = (typeof HOSTS)[number];

/** What happens to the frames that a host sends. */
export type Air = {
  readonly delayMs: number;
  /** Share of the frames that vanish, and that arrive twice. */
  readonly loss: number;
  readonly duplicates: number;
};

/** From whom to whom frames are lost. */
export type Cut = readonly [from: Host, to: Host];

const run = promisify(execFile);
/** A test imports this file as it is written; what it starts is compiled. */
const PROGRAMS = new URL(
  import.meta.url.endsWith(".ts") ? "../../.build/test/network/" : "./",
  import.meta.url,
);
const ENV = { ...process.env, PATH: SEARCH_PATH };

/** Removes the namespaces that it is given, once nobody holds the other end of its pipe. */
const JANITOR = `
  cat > /dev/null
  for name in "$@"; do
    for pid in $(ip netns pids "$name" 2> /dev/null); do kill -9 "$pid" 2> /dev/null; done
  done
  for name in "$@"; do ip netns del "$name" 2> /dev/null; done
`;

/** Opens a TAP device in the namespace where it runs, and goes on as the given command, which inherits it. */
const OPEN_TAP = `
  $^F = 255;
  my $name = shift;
  open(my $tap, "+<", "/dev/net/tun") or die "/dev/net/tun: $!";
  my $request = pack("a16 S x22", $name, 0x1002); # IFF_TAP | IFF_NO_PI
  ioctl($tap, 0x400454ca, $request) or die "$name: $!"; # TUNSETIFF
  $ENV{TAPS} = join(" ", grep { length } $ENV{TAPS}, fileno($tap));
  exec(@ARGV) or die "exec: $!";
`;

export class NetworkBed {
  readonly #name = `meshbus-${process.pid}-${randomBytes(4).toString("hex")}`;
  readonly #relays: ChildProcess[] = [];
  readonly #moved = new Set<Host>();
  #janitor: ChildProcess | undefined;
  #rules = 0;

  private constructor() {}

  /** @param air of every cable; none: the kernel's own, without delay or loss */
  static async create(air: Air | undefined, seed: number): Promise<NetworkBed> {
    const bed = new NetworkBed();
    try {
      await bed.#build(air, seed);
    } catch (error) {
      await bed.end();
      throw error;
    }
    return bed;
  }

  addressOf(host: Host): string {
    return `10.77.0.${numberOf(host) + (this.#moved.has(host) ? 100 : 0)}`;
  }

  /** What a command is preceded by to run on this host. */
  on(host: Host): readonly string[] {
    return ["ip", "netns", "exec", this.#namespace(host)];
  }

  /** Frames between these hosts are lost from now on, in the given directions. Undo it with what this gives. */
  async cut(cuts: readonly Cut[]): Promise<() => Promise<void>> {
    const rules = cuts.map(([from, to]) => ({ from, to, rule: ++this.#rules }));
    const sender = (from: Host): string =>
      `u32 match u32 0x02000000 0xffffffff at -8 match u16 ${numberOf(from)} 0xffff at -4`;
    await this.#filter(
      rules.map(({ from, to, rule }) => {
        return `add dev port-${to} parent 1: prio ${rule} protocol all ${sender(from)} flowid 1:2`;
      }),
    );
    return () =>
      this.#filter(rules.map(({ to, rule }) => `del dev port-${to} parent 1: prio ${rule}`));
  }

  /** mDNS does not get through. */
  async cutMulticast(): Promise<void> {
    const rule = ++this.#rules;
    await this.#filter(
      HOSTS.map((host) => {
        const lost = "u32 match ip dst 224.0.0.251/32 flowid 1:2";
        return `add dev port-${host} parent 1: prio ${rule} protocol ip ${lost}`;
      }),
    );
  }

  /** The host gets another address, as from a new lease of DHCP; the one it had is gone. */
  async move(host: Host): Promise<void> {
    const was = this.addressOf(host);
    this.#moved.add(host);
    await this.#batch("ip", this.#namespace(host), [
      `addr del ${was}/24 dev eth0`,
      `addr add ${this.addressOf(host)}/24 dev eth0`,
    ]);
  }

  /** Ends every process in the namespaces, and removes them. */
  async end(): Promise<void> {
    const janitor = this.#janitor;
    this.#janitor = undefined;
    if (janitor === undefined) return;
    janitor.ref();
    const gone = once(janitor, "close");
    janitor.stdin?.end();
    await gone;
  }

  // --- inside --------------------------------------------------------------------------------

  async #build(air: Air | undefined, seed: number): Promise<void> {
    const all = (["switch", ...HOSTS] as const).map((one) => this.#namespace(one));
    const janitor = spawn("sh", ["-c", JANITOR, "sh", ...all], {
      env: ENV,
      detached: true, // a signal from the terminal is for this process, not for who cleans up after it
      stdio: ["pipe", "ignore", "ignore"],
    });
    janitor.stdin?.on("error", () => {});
    janitor.unref();
    this.#janitor = janitor;
    for (const name of all) await run("ip", ["netns", "add", name], { env: ENV });
    await this.#batch("ip", this.#namespace("switch"), [
      "link add bridge type bridge stp_state 0 forward_delay 0",
      "link set bridge up",
    ]);
    for (const host of HOSTS) await this.#plug(host, air, seed);
  }

  async #plug(host: Host, air: Air | undefined, seed: number): Promise<void> {
    const [bridge, namespace, port] = [
      this.#namespace("switch"),
      this.#namespace(host),
      `port-${host}`,
    ];
    if (air === undefined) {
      const cable = `link add ${port} type veth peer name eth0 netns ${namespace}`;
      await this.#batch("ip", bridge, [cable]);
    } else {
      await this.#relay(host, air, seed);
    }
    await this.#batch("ip", namespace, [
      `link set eth0 address 02:00:00:00:00:0${numberOf(host)}`,
      `addr add ${this.addressOf(host)}/24 dev eth0`,
      "link set eth0 up",
      "link set lo up",
    ]);
    await this.#batch("ip", bridge, [`link set ${port} master bridge`, `link set ${port} up`]);
    await this.#batch("tc", bridge, [
      `qdisc add dev ${port} root handle 1: htb`,
      `class add dev ${port} parent 1: classid 1:2 htb rate 1gbit quantum 60000`,
      `qdisc add dev ${port} parent 1:2 blackhole`,
    ]);
  }

  /** The cable is a program: both its ends are its own. */
  async #relay(host: Host, air: Air, seed: number): Promise<void> {
    const program = fileURLToPath(new URL("relay-process.js", PROGRAMS));
    const spec = JSON.stringify({ ...air, seed, name: host });
    const tap = (namespace: string, device: string): string[] => {
      return ["ip", "netns", "exec", namespace, "perl", "-e", OPEN_TAP, device];
    };
    const [command = "", ...args] = [
      ...tap(this.#namespace("switch"), `port-${host}`),
      ...tap(this.#namespace(host), "eth0"),
      ...[process.execPath, program, spec],
    ];
    const relay = spawn(command, args, { env: ENV, stdio: ["ignore", "pipe", "inherit"] });
    this.#relays.push(relay);
    const [ready] = (await Promise.race([once(relay.stdout, "data"), once(relay, "close")])) as [
      unknown,
    ];
    if (String(ready) !== "ready\n") throw new Error(`the cable of host ${host} is not there`);
  }

  #filter(lines: readonly string[]): Promise<void> {
    return this.#batch(
      "tc",
      this.#namespace("switch"),
      lines.map((line) => `filter ${line}`),
    );
  }

  /** All of these at one go. */
  async #batch(program: "ip" | "tc", namespace: string, lines: readonly string[]): Promise<void> {
    const done = run(program, ["-n", namespace, "-batch", "-"], { env: ENV });
    done.child.stdin?.end(`${lines.join("\n")}\n`);
    await done;
  }

  #namespace(of: Host | "switch"): string {
    return `${this.#name}-${of}`;
  }
}

const numberOf = (host: Host): number => HOSTS.indexOf(host) + 1;
