/** Whole folders of keys for nodes: made, renewed and looked at. */
import { type Authority, DAY_MS } from "./authority.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { curveKeysOf, generateIdentityKey, spkiOf } from "./identity-key.ts";
import { hasFile, keysError } from "./key-files.ts";
import {
  clearUnfinished,
  readNodeKeys,
  replaceCertificate,
  replaceTrustOf,
  writeNodeKeys,
} from "./keys-folder.ts";
import { areSame } from "./mesh-secrets.ts";
import { pemOf } from "./open-authority.ts";
import type { RightsOptions } from "./rights.ts";

export type IssueKeysOptions = RightsOptions & {
  readonly service: string;
  /** How long the certificate lives, 10 s to 398 days; default 30 days. */
  readonly lifeMs?: number;
  /** For a node that had this id before it had keys. */
  readonly nodeId?: string;
};

export type IssuedKeys = {
  readonly nodeId: string;
  readonly serial: string;
  readonly notAfterMs: number;
};

/**
 * A new key and its certificate, in a new folder.
 * @throws MeshError INVALID_OPTIONS, INVALID_SUBJECT, INVALID_KEYS
 */
export const issueKeys = (
  authority: Authority,
  folder: string,
  options: IssueKeysOptions,
  nowMs: number = Date.now(),
): IssuedKeys => {
  const { service, lifeMs = 30 * DAY_MS, nodeId, ...rights } = options;
  // Before anything is signed; a new folder is made only when it was.
  if (hasFile(folder)) clearUnfinished(folder);
  const key = generateIdentityKey();
  const chain = authority.issue(
    {
      service,
      rights,
      lifeMs,
      publicKey: spkiOf(key),
      curveKey: curveKeysOf(key).publicKey,
      ...(nodeId === undefined ? {} : { nodeId }),
    },
    nowMs,
  );
  writeNodeKeys(folder, pemOf(key), chain, authority.trust);
  return factsOf(chain);
};

/**
 * The same rights, key and life again, from now on; and the newest list. A running node takes it.
 * @throws MeshError INVALID_KEYS
 */
export const renewKeys = (
  authority: Authority,
  folder: string,
  nowMs: number = Date.now(),
): IssuedKeys => {
  const { signed, trust } = readNodeKeys(folder);
  const { leaf } = signed;
  const { certified, name, publicKey } = leaf;
  if (certified === undefined || name.role !== "node") throw keysError("it is not a node's");
  if (trust.mesh !== authority.mesh) throw keysError(`${folder} is of the mesh ${trust.mesh}`);
  const next = authority.trust;
  const chain = authority.issue(
    {
      service: name.service,
      rights: certified.rights,
      lifeMs: certified.lifeMs,
      publicKey,
      curveKey: certified.curveKey,
      ...(certified.idGiven ? { nodeId: name.nodeId } : {}),
    },
    nowMs,
  );
  const isNewer = next.revoked.revocations.number > trust.revoked.revocations.number;
  if (isNewer || !areSame(next.secrets, trust.secrets)) replaceTrustOf(folder, next);
  replaceCertificate(folder, chain);
  return factsOf(chain);
};

const factsOf = ([leaf]: readonly Uint8Array[]): IssuedKeys => {
  const certificate = readCertificate(leaf ?? new Uint8Array(0));
  if ("malformed" in certificate) throw keysError(certificate.malformed);
  const { serial, notAfterMs } = certificate;
  return { nodeId: nodeIdOf(certificate), serial, notAfterMs };
};

const nodeIdOf = ({ name }: Certificate): string => (name.role === "node" ? name.nodeId : "");
