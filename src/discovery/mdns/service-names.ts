/**
 * The DNS names of a node and of its mesh.
 *
 * The instance is the node's id, which is unique by construction, so the probing of RFC 6762 section
 * 8.1 is left out. Meshes are told apart by a subtype (RFC 6763 section 7.1), so that a query reaches
 * only nodes of the same mesh; its label is a hash, because a mesh's name may be long or hold dots. A
 * collision of that hash is harmless: the name itself is in the TXT record and decides. Nodes with keys
 * use labels that only their mesh can compute (record-seal.ts).
 */

/** The service type every meshbus node announces. */
export const SERVICE_TYPE = "_meshbus._tcp.local";
/** The meta-query of browsers (RFC 6763 section 9). */
export const META_QUERY = "_services._dns-sd._udp.local";

const NODE_ID = /^[A-Za-z0-9]([A-Za-z0-9_-]{0,61}[A-Za-z0-9])?$/;
const encoder = new TextEncoder();

/** True when the id can be one DNS label: letters, digits, '-' and '_', at most 63. */
export function isNodeLabel(nodeId: string): boolean {
  return NODE_ID.test(nodeId);
}

function instanceName(nodeId: string): string {
  return `${nodeId}.${SERVICE_TYPE}`;
}

/** The host name the SRV record points to: one per node, so that it never conflicts with the machine's own. */
function hostName(nodeId: string): string {
  return `${nodeId}.local`;
}

export function meshQueryName(mesh: string): string {
  return subtypeName(meshLabel(mesh));
}

/** The names that nodes of one mesh use. */
export type MeshNames = {
  /** What is asked for; a node announces itself under the first. */
  readonly questions: readonly string[];
  /** What stands for a node in its names. */
  label(nodeId: string): string;
  instance(nodeId: string): string;
  host(nodeId: string): string;
};

export function namesOf(labels: readonly string[], labelOf: (nodeId: string) => string): MeshNames {
  return {
    questions: labels.map(subtypeName),
    label: labelOf,
    instance: (nodeId) => instanceName(labelOf(nodeId)),
    host: (nodeId) => hostName(labelOf(nodeId)),
  };
}

/** Of a mesh without keys: everybody can read them. */
export function openNames(mesh: string): MeshNames {
  return namesOf([meshLabel(mesh)], (nodeId) => nodeId);
}

/** The node id in an instance name, or undefined when it is not one of ours. */
export function nodeIdOfInstance(name: string): string | undefined {
  const cut = name.length - SERVICE_TYPE.length - 1;
  if (cut < 1 || name[cut] !== ".") return undefined;
  if (name.slice(cut + 1).toLowerCase() !== SERVICE_TYPE) return undefined;
  const nodeId = name.slice(0, cut);
  return isNodeLabel(nodeId) ? nodeId : undefined;
}

function meshLabel(mesh: string): string {
  return `_m${fnv1a32(encoder.encode(mesh)).toString(16).padStart(8, "0")}`;
}

function subtypeName(label: string): string {
  return `${label}._sub.${SERVICE_TYPE}`;
}

/** FNV-1a, 32 bits. A label, not a secret. */
function fnv1a32(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
