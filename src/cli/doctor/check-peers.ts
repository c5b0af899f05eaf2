/**
 * Why this host does, or does not, link with a peer: a connection first, then the real greeting.
 *
 * The greeting is made by a node of this process, in memory, of service "doctor": the peer sees it come and go. Where the
 * mesh has keys, only keys of a service of that name greet.
 */
import { once } from "node:events";
import { createConnection } from "node:net";
import { performance } from "node:perf_hooks";
import { setTimeout } from "node:timers/promises";
import {
  createNode,
  ERROR_TABLE,
  type MeshNode,
  type StatusChange,
  staticPeers,
} from "../../index.ts";
import type { LoadedSecurity } from "../../security/index.ts";
import type { MetNode } from "./check-contract.ts";
import { checkTrust } from "./check-keys.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const CONNECT_MS = 3_000;
const GREET_MS = 5_000;
const SAY_MS = 2_000;
const LOOK_MS = 5;
const LETTERS_MAX = 1_000;

export type PeerToCheck = {
  /** As given to staticPeers: "10.0.0.5:7400", "tcp://10.0.0.5:7401". */
  readonly address: string;
  /** Who should answer there, if that is known. */
  readonly nodeId?: string;
};

/** Who may greet a mesh with keys: a node of its own, which no peer takes for another one. */
const OWN_SERVICE = "doctor";

/** What was found of a peer; `met` when it was greeted. */
type Checked = { readonly findings: readonly Finding[]; readonly met?: MetNode };

export const checkPeers = async (
  mesh: string,
  peers: readonly PeerToCheck[],
  security: LoadedSecurity | undefined,
): Promise<{ readonly findings: Finding[]; readonly met: MetNode[] }> => {
  const findings: Finding[] = [];
  const met = new Map<string, MetNode>();
  for (const peer of peers) {
    const checked = await checkPeer(mesh, peer, security);
    findings.push(...checked.findings);
    if (checked.met !== undefined) met.set(checked.met.nodeId, checked.met);
  }
  return { findings, met: [...met.values()] };
};

/** With the keys of a running node its peers would remember a life of it that never was. */
export const mayGreet = (security: LoadedSecurity | undefined): boolean =>
  security === undefined || security.self.service === OWN_SERVICE;

const checkPeer = async (
  mesh: string,
  { address, nodeId }: PeerToCheck,
  security: LoadedSecurity | undefined,
): Promise<Checked> => {
  const target = hostAndPort(address);
  if (target === undefined) {
    const remedy = 'write "host:port", "zmq://host:port" or "tcp://host:port"';
    const found = `${JSON.stringify(address)} is not an address that can be tried`;
    return { findings: [problem("peer", found, remedy)] };
  }
  const startMs = performance.now();
  const code = await connect(target);
  if (code !== undefined) return { findings: [notReached(address, code)] };
  const reached = ok(
    "peer",
    `${address} takes connections (${(performance.now() - startMs).toFixed(1)} ms)`,
  );
  const findings = [reached];
  if (security !== undefined) findings.push(await checkTrust(security, address, target));
  if (!mayGreet(security)) return { findings };
  const { findings: greeted, ...rest } = await greet(mesh, address, nodeId, security);
  return { findings: [...findings, ...greeted], ...rest };
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
  security: LoadedSecurity | undefined,
): Promise<Checked> => {
  const node = await createNode({
    service: OWN_SERVICE,
    mesh,
    dataDir: ":memory:",
    ...(security === undefined ? {} : { security }),
    discovery: [staticPeers([address])],
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  });
  try {
    const change = await firstOutcome(node);
    const findings = outcome(node, address, nodeId, change);
    if (change?.type !== "peer-up") return { findings };
    return { findings, met: await whatItSays(node, change) };
  } finally {
    await node.stop();
  }
};

type Outcome = Extract<StatusChange, { type: "peer-up" | "link-refused" }>;

const firstOutcome = async (node: MeshNode): Promise<Outcome | undefined> => {
  const changes = node.status();
  const giveUp = globalThis.setTimeout(() => void changes.return?.(undefined), GREET_MS);
  try {
    for await (const change of changes) {
      if (change.type === "peer-up" || change.type === "link-refused") return change;
    }
    return undefined;
  } finally {
    clearTimeout(giveUp);
  }
};

/** Its first word after the greeting is what it listens to. */
const whatItSays = async (
  node: MeshNode,
  { nodeId, service }: { readonly nodeId: string; readonly service: string },
): Promise<MetNode> => {
  const endMs = performance.now() + SAY_MS;
  let declared = node.declared(nodeId);
  while (declared === undefined && performance.now() < endMs) {
    await setTimeout(LOOK_MS);
    declared = node.declared(nodeId);
  }
  const letters = await node.deadLetters.list({ limit: LETTERS_MAX });
  return {
    ...{ nodeId, service, declared: declared ?? [] },
    letters: letters.filter((letter) => letter.node === nodeId),
  };
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
