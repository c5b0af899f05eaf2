/** Whether multicast works here, and which nodes of which meshes it tells of. */
import { type Browsed, browseMdns, type HeardNode } from "../../index.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const NAMED_MAX = 8;

export type Neighbours = {
  readonly findings: readonly Finding[];
  /** Nodes of the mesh that can be dialled from here. */
  readonly nodes: readonly HeardNode[];
};

/** @param secrets of a mesh with keys: what its nodes say can be read with them alone */
export const checkNeighbours = async (
  mesh: string,
  forMs: number,
  secrets?: readonly Uint8Array[],
): Promise<Neighbours> => {
  const heard = await browseMdns({
    forMs,
    ...(secrets === undefined ? {} : { sealed: { mesh, secrets } }),
  });
  const nodes = heard.nodes.filter((node) => node.mesh === mesh);
  const { sealed } = heard;
  return {
    findings: [
      ...multicastOf(heard),
      ...(nodes.length === 0 && sealed > 0 && secrets === undefined
        ? [sealedOnly(mesh, sealed)]
        : meshOf(mesh, heard.nodes)),
      ...twins(nodes),
    ],
    nodes,
  };
};

const sealedOnly = (mesh: string, sealed: number): Finding =>
  warning(
    "neighbours",
    `no node of mesh ${quoted(mesh)} without keys is heard, and ${sealed} with keys, whose mesh cannot be read`,
    "give --keys FOLDER: only members read where the others are",
  );

const multicastOf = ({ interfaces }: Browsed): Finding[] => {
  if (interfaces.length === 0) {
    const remedy = "multicast DNS needs an IPv4 address; use staticPeers([...]) or dns(...)";
    return [problem("multicast", "no interface has an IPv4 address", remedy)];
  }
  return interfaces.map(({ name, address, multicast, problem: said }) => {
    if (multicast) return ok("multicast", `works on ${name} (${address})`);
    const why = said === undefined ? "what was sent did not come back" : said;
    const remedy =
      "allow UDP 5353 to and from 224.0.0.251, or use staticPeers([...]) or dns(...) on this network";
    return warning("multicast", `does not work on ${name} (${address}): ${why}`, remedy);
  });
};

const meshOf = (mesh: string, all: readonly HeardNode[]): Finding[] => {
  const nodes = all.filter((node) => node.mesh === mesh);
  const others = [...new Set(all.map((node) => node.mesh))].filter((name) => name !== mesh);
  if (nodes.length === 0) {
    const there =
      others.length === 0
        ? "nor of any other"
        : `but of ${others.slice(0, NAMED_MAX).map(quoted).join(", ")}`;
    const remedy =
      others.length === 0
        ? "is a node running? do its host and this one share a network segment? nodes on 127.0.0.1 are heard on their own host only"
        : "nodes meet only those of their own mesh: compare the option mesh";
    return [warning("neighbours", `no node of mesh ${quoted(mesh)} is heard, ${there}`, remedy)];
  }
  const findings = nodes.map((node) => {
    const who = `${node.service ?? "?"} ${node.nodeId}`;
    if (node.addresses.length > 0) {
      return ok(
        "neighbours",
        `${who} at ${node.addresses.join(", ")}, heard on ${node.interfaces.join(", ")}`,
      );
    }
    const remedy =
      "it listens on loopback, or advertises an address that means nothing here: set listen.host or advertise.host there";
    return warning(
      "neighbours",
      `${who} is heard, and has no address that can be dialled from here`,
      remedy,
    );
  });
  if (others.length > 0) {
    findings.push(
      ok("neighbours", `other meshes here: ${others.slice(0, NAMED_MAX).map(quoted).join(", ")}`),
    );
  }
  return findings;
};

/** Two lives of one node at once: a copied folder. */
const twins = (nodes: readonly HeardNode[]): Finding[] => {
  return [...byNode(nodes)].flatMap(([nodeId, each]) =>
    each.length < 2
      ? []
      : [
          warning(
            "neighbours",
            `${nodeId} is announced ${each.length} times: ${each.flatMap(({ addresses }) => addresses).join(", ")}`,
            "a node that restarted is heard twice for a while; if both live, one runs on a copy of the other's folder: stop it and delete the copy",
          ),
        ],
  );
};

const byNode = (nodes: readonly HeardNode[]): Map<string, HeardNode[]> => {
  const lives = new Map<string, HeardNode[]>();
  for (const node of nodes) lives.set(node.nodeId, [...(lives.get(node.nodeId) ?? []), node]);
  return lives;
};

const quoted = (text: string): string => JSON.stringify(text);
