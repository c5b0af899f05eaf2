/**
 * The folder that a node's keys are in.
 *
 * | file | what |
 * | --- | --- |
 * | node.key | the identity key (PKCS#8, PEM); never leaves the folder |
 * | node.crt | its certificate, then the issuer's if one signed it |
 * | authorities.crt | whom to trust: one authority, or two during a change |
 * | mesh.secret | 32 B that every member has, base64; two while it changes, the first in use |
 * | revoked.list | the signed list of revocations and authorities |
 * | issuer.json | where to renew, if the node joined through an issuer |
 *
 * Invariant: what is read fits together, or reading fails and names the file. Files that change are
 * replaced one by one in an order in which each state between is one that can be read.
 */
import type { KeyObject } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { WireError } from "../wire/wire-error.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { readPrivateKey, spkiOf } from "./identity-key.ts";
import {
  checkKeyFolder,
  fileMark,
  hasFile,
  isTemporary,
  keysError,
  makeKeyFolder,
  type Privacy,
  readKeyFile,
  removeFile,
  replaceFile,
  writeNewFile,
} from "./key-files.ts";
import { areNamedBy, areSame, parseSecrets, SECRET_BYTES, secretsText } from "./mesh-secrets.ts";
import { fromPem, toPem } from "./pem.ts";
import {
  AUTHORITIES_MAX,
  isSignedByOneOf,
  readRevocations,
  type SignedRevocations,
} from "./revocation-list.ts";
import { readChain, type SignedChain } from "./verify-chain.ts";

export const FILES = Object.freeze({
  key: "node.key",
  certificate: "node.crt",
  authorities: "authorities.crt",
  secret: "mesh.secret",
  revoked: "revoked.list",
  issuer: "issuer.json",
});
const PEM_BYTES_MAX = 65_536;
const LIST_BYTES_MAX = 1_500_000;

/** Where a node renews its certificate. */
export type IssuerPlace = {
  /** "host:port". */
  readonly address: string;
};

/** What is in a folder, verified but for time and revocation. */
export type NodeKeys = {
  readonly key: KeyObject;
  readonly keyPem: string;
  readonly chain: readonly Uint8Array[];
  readonly signed: SignedChain;
  readonly trust: TrustFiles;
  readonly issuer: IssuerPlace | undefined;
};

/** What authorities, issuers and nodes have alike. */
export type TrustFiles = {
  readonly mesh: string;
  readonly authorities: readonly Certificate[];
  /** One, or two during a change. */
  readonly secrets: readonly Uint8Array[];
  readonly revoked: SignedRevocations;
};

/** @throws MeshError INVALID_KEYS */
export const readNodeKeys = (folder: string): NodeKeys => {
  checkKeyFolder(folder);
  const trust = readTrust(folder);
  const keyPem = text(folder, FILES.key, "secret");
  const key = readPrivateKey(keyPem, join(folder, FILES.key));
  const chain = fromPem(text(folder, FILES.certificate, "public"), join(folder, FILES.certificate));
  const { mesh, authorities } = trust;
  const signed = readChain(chain, { mesh, authorities, revokes: () => false });
  if ("code" in signed) throw keysError(`${join(folder, FILES.certificate)}: ${signed.message}`);
  if (!Buffer.from(spkiOf(key)).equals(signed.leaf.publicKey)) {
    throw keysError(`${join(folder, FILES.certificate)} is not of the key in ${FILES.key}`);
  }
  return { key, keyPem, chain, signed, trust, issuer: readIssuerPlace(folder) };
};

/** Authorities, the list and the secret. @throws MeshError INVALID_KEYS */
export const readTrust = (folder: string): TrustFiles => {
  const path = join(folder, FILES.authorities);
  const anchors = fromPem(text(folder, FILES.authorities, "public"), path).map((der) => {
    const certificate = readCertificate(der);
    if ("malformed" in certificate) throw keysError(`${path}: ${certificate.malformed}`);
    if (certificate.name.role !== "authority") throw keysError(`${path} holds no authority`);
    return certificate;
  });
  if (anchors.length > AUTHORITIES_MAX) throw keysError(`${path} holds more than 2 certificates`);
  const mesh = anchors[0]?.name.mesh ?? "";
  if (anchors.some(({ name }) => name.mesh !== mesh)) {
    throw keysError(`${path} holds authorities of two meshes`);
  }
  const listPath = join(folder, FILES.revoked);
  const revoked = parseList(readKeyFile(listPath, "public", LIST_BYTES_MAX), listPath);
  if (revoked.revocations.mesh !== mesh || !isSignedByOneOf(revoked, anchors)) {
    const remedy = "take both files from the authority";
    throw keysError(`${listPath} is signed by no authority of ${FILES.authorities}: ${remedy}`);
  }
  // The list is the newer word on who is trusted.
  const { authorities } = revoked.revocations;
  return { mesh, authorities, secrets: readSecrets(folder), revoked };
};

/**
 * Makes room for new keys: takes away what a run that was stopped half way left, and refuses a folder in
 * which somebody's key is.
 * @param own the key that may be there
 */
export const clearUnfinished = (folder: string, own?: string): void => {
  makeKeyFolder(folder);
  const other = readdirSync(folder).find((name) => name.endsWith(".key") && name !== own);
  if (other !== undefined) throw keysError(`${join(folder, other)} is there already`);
  const { certificate, authorities, secret, revoked } = FILES;
  const left = readdirSync(folder).filter(isTemporary);
  for (const name of [certificate, "issuer.crt", authorities, secret, revoked, ...left]) {
    removeFile(join(folder, name));
  }
};

/** A folder for a new node. Its key is written last: without one there is nothing in the folder. */
export const writeNodeKeys = (
  folder: string,
  keyPem: string,
  chain: readonly Uint8Array[],
  trust: TrustFiles,
): void => {
  clearUnfinished(folder);
  writeTrust(folder, trust);
  writeNewFile(join(folder, FILES.certificate), toPem(chain));
  writeNewFile(join(folder, FILES.key), keyPem);
};

export const replaceCertificate = (folder: string, chain: readonly Uint8Array[]): void =>
  replaceFile(join(folder, FILES.certificate), toPem(chain));

/**
 * The list first: its signer was trusted by what is there, so that a stop in between leaves a folder that
 * can be read.
 */
export const replaceTrust = (folder: string, signed: SignedRevocations): void => {
  replaceFile(join(folder, FILES.revoked), signed.bytes);
  const bundle = signed.revocations.authorities.map(({ der }) => der);
  replaceFile(join(folder, FILES.authorities), toPem(bundle));
};

export const replaceSecrets = (folder: string, secrets: readonly Uint8Array[]): void =>
  replaceFile(join(folder, FILES.secret), secretsText(secrets));

/** A newer list, and the secrets it names if they are at hand. */
export const replaceTrustOf = (folder: string, { revoked, secrets }: TrustFiles): void => {
  const has = readSecrets(folder);
  if (areNamedBy(secrets, revoked.revocations.secretHashes) && !areSame(secrets, has)) {
    replaceSecrets(folder, secrets);
  }
  replaceTrust(folder, revoked);
};

export const writeTrust = (folder: string, trust: TrustFiles): void => {
  writeNewFile(join(folder, FILES.authorities), toPem(trust.authorities.map(({ der }) => der)));
  writeNewFile(join(folder, FILES.revoked), trust.revoked.bytes);
  writeNewFile(join(folder, FILES.secret), secretsText(trust.secrets));
};

/** Changes when a file that may be replaced was. */
export const folderMark = (folder: string): string =>
  [FILES.certificate, FILES.authorities, FILES.revoked, FILES.issuer, FILES.secret]
    .map((name) => fileMark(join(folder, name)))
    .join(" ");

const text = (folder: string, name: string, privacy: Privacy): string =>
  readKeyFile(join(folder, name), privacy, PEM_BYTES_MAX).toString("latin1");

const readSecrets = (folder: string): readonly Uint8Array[] => {
  const secrets = parseSecrets(text(folder, FILES.secret, "secret"));
  if (secrets !== undefined) return secrets;
  throw keysError(
    `${join(folder, FILES.secret)} does not hold ${SECRET_BYTES} B in base64, or two of that`,
  );
};

const parseList = (bytes: Uint8Array, path: string): SignedRevocations => {
  try {
    return readRevocations(bytes);
  } catch (error) {
    if (error instanceof WireError) throw keysError(`${path}: ${error.reason}`, error);
    throw error;
  }
};

const readIssuerPlace = (folder: string): IssuerPlace | undefined => {
  const path = join(folder, FILES.issuer);
  if (!hasFile(path)) return undefined;
  try {
    const value = JSON.parse(text(folder, FILES.issuer, "public")) as Partial<IssuerPlace>;
    const { address } = value;
    if (typeof address === "string") return { address };
  } catch {
    // Told below, with the file's name.
  }
  throw keysError(`${path} does not name an issuer; join again, or remove it`);
};
