/**
 * What only an authority says: that a certificate or a key is not trusted any more, and who the
 * authorities are. Each makes the next signed list, in the authority's folder; from there it goes to
 * issuers and nodes as a file, or from node to node.
 */
import type { KeyObject } from "node:crypto";
import { isNodeId } from "../core/ids.ts";
import { MeshError } from "../errors.ts";
import { CLOCK_SKEW_MS } from "../ports/security.ts";
import { type Authority, DAY_MS } from "./authority.ts";
import type { Certificate } from "./certificate.ts";
import { keysError } from "./key-files.ts";
import { readTrust, replaceSecrets, replaceTrust, replaceTrustOf } from "./keys-folder.ts";
import { areSame, hashOfSecret, newSecret } from "./mesh-secrets.ts";
import { addAuthority, signWith } from "./open-authority.ts";
import {
  ENTRIES_MAX,
  isSignedByOneOf,
  type Revocations,
  type Revoked,
  readRevocations,
  signRevocations,
} from "./revocation-list.ts";

/** What a certificate signed counts for longer than itself: entries of the directory. */
const KEPT_MS = 30 * DAY_MS;

/** One certificate by its serial, or a node: all certificates of its key, now and later. */
export type RevokeTarget = { readonly serial: string } | { readonly nodeId: string };

export type RevokeResult = {
  /** Of the list. */
  readonly number: number;
  /** False: it was in the list already. */
  readonly added: boolean;
};

/** @throws MeshError INVALID_OPTIONS, INVALID_KEYS */
export const revoke = (
  authority: Authority,
  target: RevokeTarget,
  nowMs: number = Date.now(),
): RevokeResult => {
  const list = authority.trust.revoked.revocations;
  const kept = list.revoked.filter(
    ({ untilMs }) => untilMs === 0 || untilMs + KEPT_MS + 2 * CLOCK_SKEW_MS >= nowMs,
  );
  const entry =
    "serial" in target
      ? entryOfSerial(authority, target.serial)
      : entryOfNode(authority, target.nodeId);
  if (kept.some((each) => isSame(each, entry))) return { number: list.number, added: false };
  if (kept.length >= ENTRIES_MAX) {
    throw keysError(
      `the list has ${kept.length} entries, at most ${ENTRIES_MAX}: change the authority`,
    );
  }
  const number = publish(authority, { ...list, revoked: [...kept, entry] }, nowMs);
  return { number, added: true };
};

/** A new authority is made, and trusted beside the old one, which signs on. @throws MeshError INVALID_KEYS */
export const beginRotation = (
  authority: Authority,
  lifeMs: number = 3_650 * DAY_MS,
  nowMs: number = Date.now(),
): Certificate => {
  const list = authorityList(authority);
  if (list.authorities.length > 1) throw keysError("a change is under way: switch or finish it");
  const next = addAuthority(authority, lifeMs, nowMs);
  const secretHashes = useSecrets(authority, ([current = newSecret()]) => [current, newSecret()]);
  publish(authority, { ...list, authorities: [...list.authorities, next], secretHashes }, nowMs);
  return next;
};

/** The new authority signs from now on; both are trusted. @throws MeshError INVALID_KEYS */
export const switchRotation = (authority: Authority, nowMs: number = Date.now()): Certificate => {
  const list = authorityList(authority);
  const [, next] = list.authorities;
  if (next === undefined) throw keysError("no change is under way: begin one");
  if (authority.signing.certificate.keyId === next.keyId) throw keysError("it is switched already");
  signWith(authority, next.keyId);
  const secretHashes = useSecrets(authority, ([old, second]) =>
    old !== undefined && second !== undefined ? [second, old] : undefined,
  );
  publish(authority, { ...list, secretHashes }, nowMs);
  return next;
};

/** The old authority is not trusted any more. @throws MeshError INVALID_KEYS */
export const finishRotation = (authority: Authority, nowMs: number = Date.now()): Certificate => {
  const list = authorityList(authority);
  const [old, next] = list.authorities;
  if (old === undefined || next === undefined) throw keysError("no change is under way: begin one");
  if (authority.signing.certificate.keyId !== next.keyId) {
    throw keysError("the old authority still signs: switch first");
  }
  const secretHashes = useSecrets(authority, ([current]) => current && [current]);
  publish(authority, { ...list, authorities: [next], secretHashes }, nowMs);
  return old;
};

/** Hands the authority's list to another folder: a node's, an issuer's. @throws MeshError INVALID_KEYS */
export const deliverTrust = (authority: Authority, folder: string): "new" | "old" => {
  const { revoked: theirs, authorities, secrets } = readTrust(folder);
  const { revoked: ours } = authority.trust;
  if (theirs.revocations.mesh !== ours.revocations.mesh) {
    throw keysError(`${folder} is of the mesh ${theirs.revocations.mesh}`);
  }
  if (!isSignedByOneOf(ours, authorities)) {
    throw keysError(`${folder} does not trust the authority that signed the list`);
  }
  const isOld = theirs.revocations.number >= ours.revocations.number;
  if (isOld && areSame(secrets, authority.trust.secrets)) return "old";
  replaceTrustOf(folder, authority.trust);
  return "new";
};

const authorityList = (authority: Authority): Revocations => {
  if (authority.isIssuer) throw keysError("an issuer changes no trust: use the authority");
  return authority.trust.revoked.revocations;
};

/** The next list, signed by who signs now; its number. */
/** Other secrets from the next list on, and what names them. Undefined: they stay as they are. */
const useSecrets = (
  authority: Authority,
  change: (secrets: readonly Uint8Array[]) => readonly Uint8Array[] | undefined,
): readonly Uint8Array[] => {
  const { secrets } = authority.trust;
  const next = change(secrets) ?? secrets;
  if (!areSame(next, secrets)) replaceSecrets(authority.folder, next);
  return next.map(hashOfSecret);
};

const publish = (authority: Authority, list: Revocations, nowMs: number): number => {
  if (authority.isIssuer) throw keysError("an issuer changes no trust: use the authority");
  const { key, certificate } = authority.signing as { key: KeyObject; certificate: Certificate };
  // Time as well as count, so that an authority restored from a copy does not give a number twice.
  const number = Math.max(list.number + 1, Math.floor(nowMs));
  const bytes = signRevocations({ ...list, number, madeMs: nowMs }, certificate, key);
  replaceTrust(authority.folder, readRevocations(bytes));
  return number;
};

const entryOfSerial = (authority: Authority, text: string): Revoked => {
  const serial = text.toLowerCase().replaceAll(":", "");
  if (!/^[0-9a-f]{32}$/.test(serial)) {
    throw new MeshError("INVALID_OPTIONS", "keys: a serial has 32 hexadecimal digits");
  }
  // What an issuer signed is not in the record here; it is revoked for ever.
  for (const line of authority.issued()) {
    if (line.serial === serial) return { serial, untilMs: line.notAfterMs };
  }
  return { serial, untilMs: 0 };
};

const entryOfNode = (authority: Authority, nodeId: string): Revoked => {
  if (!isNodeId(nodeId)) throw new MeshError("INVALID_OPTIONS", "keys: that is no node id");
  let keyId = nodeId;
  // An id that was given is not that of the key.
  for (const line of authority.issued()) {
    if (line.nodeId === nodeId && isNodeId(line.keyId)) keyId = line.keyId;
  }
  return { keyId, untilMs: 0 };
};

const isSame = (a: Revoked, b: Revoked): boolean =>
  "serial" in a ? "serial" in b && a.serial === b.serial : "keyId" in b && a.keyId === b.keyId;
