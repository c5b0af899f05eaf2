/**
 * Why this host does, or does not, link with a peer: a connection first, then the real greeting.
 *
 * The greeting is made by a node of this process, in memory, of service "doctor": the peer sees it come and go.
 */
import { once } from "node:events";
import { createConnection } from "node:net";
import { performance } from "node:perf_hooks";
import {
  createNode,
  ERROR_TABLE,
  type MeshNode,
  type StatusChange,
  staticPeers,
} from "../../index.ts";
import type { LoadedSecurity } from "../../security/index.ts";
import { checkTrust } from "./check-keys.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const CONNECT_MS = 3_000;
const GREET_MS = 5_000;

export type PeerToCheck = {
  /** As given to staticPeers: "10.0.0.5:7400", "tcp://10.0.0.5:7401". */
  readonly address: string;
  /** Who should answer there, if that is known. */
  readonly nodeId?: string;
};

export const checkPeers = async (
  mesh: string,
  peers: readonly PeerToCheck[],
  security: LoadedSecurity | undefined,
): Promise<Finding[]> => {
  const findings: Finding[] = [];
  for (const peer of peers) findings.push(...(await checkPeer(mesh, peer, security)));
  return findings;
};

const checkPeer = async (
  mesh: string,
  { address, nodeId }: PeerToCheck,
  security: LoadedSecurity | undefined,
): Promise<Finding[]> => {
  const target = hostAndPort(address);
  if (target === undefined) {
    const remedy = 'write "host:port", "zmq://host:port" or "tcp://host:port"';
    return [
      problem("peer", `${JSON.stringify(address)} is not an address that can be tried`, remedy),
    ];
  }
  const startMs = performance.now();
  const code = await connect(target);
  if (code !== undefined) return [notReached(address, code)];
  const reached = ok(
    "peer",
    `${address} takes connections (${(performance.now() - startMs).toFixed(1)} ms)`,
  );
  if (security !== undefined) return [reached, await checkTrust(security, address, target)];
  return [reached, ...(await greet(mesh, address, nodeId))];
};

const notReached = (address: string, code: string): Finding => {
  if (code === "ECONNREFUSED") {
    const remedy =
      "is the node running, and is this its port? see its listen.port, or peers() of a node that is linked with it";
    return problem("peer", `nobody listens at ${address}`, remedy);
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return problem(
      "peer",
      `the name in ${address} does not resolve (${code})`,
      "correct the name, or the name server",
    );
  }
  const remedy =
    "a firewall between the hosts, a wrong address, or a host that is down: try ping, and open the port";
  return problem("peer", `${address} does not answer (${code})`, remedy);
};

/** Greets as a node of the mesh would, and says what came of it. */
const greet = async (
  mesh: string,
  address: string,
  nodeId: string | undefined,
): Promise<Finding[]> => {
  const node = await createNode({
    service: "doctor",
    mesh,
    dataDir: ":memory:",
    discovery: [staticPeers([address])],
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  try {
    const change = await firstOutcome(node);
    return outcome(node, address, nodeId, change);
  } finally {
    await node.stop();
  }
};

type Outcome = Extract<StatusChange, { type: "peer-up" | "link-refused" }>;

const firstOutcome = async (node: MeshNode): Promise<Outcome | undefined> => {
  const changes = node.status();
  const giveUp = setTimeout(() => void changes.return?.(undefined), GREET_MS);
  try {
    for await (const change of changes) {
      if (change.type === "peer-up" || change.type === "link-refused") return change;
    }
    return undefined;
  } finally {
    clearTimeout(giveUp);
  }
};

const outcome = (
  node: MeshNode,
  address: string,
  nodeId: string | undefined,
  change: Outcome | undefined,
): Finding[] => {
  if (change === undefined) {
    const remedy = "is that port another program's, or another transport's (zmq:// or tcp://)?";
    return [
      problem("greeting", `what listens at ${address} does not greet as a node does`, remedy),
    ];
  }
  if (change.type === "link-refused") {
    return [
      problem(
        "greeting",
        `${address} refused: ${change.code}: ${change.message}`,
        remedyOf(change.code),
      ),
    ];
  }
  const findings = [
    ok("greeting", `${address} is ${change.service} ${change.nodeId}, of this mesh`),
  ];
  if (nodeId !== undefined && nodeId !== change.nodeId) {
    const found = `${address} was announced as ${nodeId}, and ${change.nodeId} lives there`;
    findings.push(
      warning("greeting", found, "an old announcement, or a forged one: it runs out by itself"),
    );
  }
  if ((node.counters()["clock.tooFarAhead"] ?? 0) > 0) {
    const found = `the clock of ${change.nodeId} is over 60 s ahead of this host's`;
    findings.push(
      warning(
        "clock",
        found,
        "synchronise both with NTP: delays and expiry follow clocks, order does not",
      ),
    );
  }
  return findings;
};

const remedyOf = (code: string): string => {
  if (code === "WRONG_MESH") return "give both the same option mesh";
  if (code === "UNAUTHORIZED") return "the mesh has keys: say --keys and a folder of them";
  if (code === "SELF") return "this is the checking process itself";
  return code in ERROR_TABLE
    ? ERROR_TABLE[code as keyof typeof ERROR_TABLE].remedy
    : "see docs/operations.md";
};

const hostAndPort = (address: string): { host: string; port: number } | undefined => {
  const match =
    /^(?:(?:zmq|tcp|grpc):\/\/)?(?:\[([^\]]+)\]|([^:/]+)):(\d{1,5})(?:\?curve=[\w-]+)?$/.exec(
      address,
    );
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  return host === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
};

/** The code of the error, or undefined when a connection was made. */
const connect = async (target: { host: string; port: number }): Promise<string | undefined> => {
  const socket = createConnection(target);
  const signal = AbortSignal.timeout(CONNECT_MS);
  try {
    await once(socket, "connect", { signal });
    return undefined;
  } catch (error) {
    return signal.aborted
      ? "no answer within 3 s"
      : ((error as NodeJS.ErrnoException).code ?? String(error));
  } finally {
    socket.destroy();
  }
};
