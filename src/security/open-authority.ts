/**
 * Makes and opens the folders of authorities and issuers.
 *
 * | file | what |
 * | --- | --- |
 * | authority-1.key, .crt | an authority; -2 and so on after changes |
 * | signing.json | which of them signs |
 * | issuer.key, issuer.crt | instead, in the folder of an issuer |
 * | issued.log | what was signed |
 * | tokens | of an issuer: join tokens, hashed |
 * | authorities.crt, revoked.list, mesh.secret | as in the folder of a node |
 */
import type { KeyObject } from "node:crypto";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../errors.ts";
import { CLOCK_SKEW_MS } from "../ports/security.ts";
import { Authority, DAY_MS, type SigningKey } from "./authority.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { generateIdentityKey, nodeIdOfKey, readPrivateKey, spkiOf } from "./identity-key.ts";
import { isIdentityName, NAME_RULE } from "./identity-name.ts";
import {
  checkKeyFolder,
  fileMark,
  hasFile,
  keysError,
  makeKeyFolder,
  readKeyFile,
  replaceFile,
  writeNewFile,
} from "./key-files.ts";
import {
  clearUnfinished,
  readTrust,
  replaceTrustOf,
  type TrustFiles,
  writeTrust,
} from "./keys-folder.ts";
import { hashOfSecret, newSecret } from "./mesh-secrets.ts";
import { fromPem, toPem } from "./pem.ts";
import { readRevocations, signRevocations } from "./revocation-list.ts";
import { isSignedBy } from "./verify-chain.ts";
import { writeCertificate } from "./write-certificate.ts";

const SIGNING = "signing.json";
const ISSUER = "issuer";
const AUTHORITY_LIFE_MS_MAX = 7_300 * DAY_MS;
const BYTES_MAX = 65_536;
const NUMBER_MAX = 1_000;

export type CreateAuthorityOptions = {
  readonly mesh: string;
  /** Default ten years. */
  readonly lifeMs?: number;
};

/** A new mesh: its authority, its secret and an empty list. @throws MeshError INVALID_OPTIONS, INVALID_KEYS */
export const createAuthority = (
  folder: string,
  { mesh, lifeMs = 3_650 * DAY_MS }: CreateAuthorityOptions,
  nowMs: number = Date.now(),
): Authority => {
  if (typeof mesh !== "string" || !isIdentityName(mesh)) {
    throw new MeshError("INVALID_OPTIONS", `keys: mesh must be ${NAME_RULE}`);
  }
  if (!(lifeMs >= DAY_MS && lifeMs <= AUTHORITY_LIFE_MS_MAX)) {
    throw new MeshError("INVALID_OPTIONS", "keys: an authority lives for 1 to 7,300 days");
  }
  makeKeyFolder(folder);
  if (hasFile(join(folder, SIGNING))) throw keysError(`${folder} holds an authority already`);
  const [left] = readdirSync(folder);
  if (left !== undefined) {
    throw keysError(
      `${folder} is not empty (${left}): give another, or remove what was not finished`,
    );
  }
  const certificate = writeAuthority(folder, 1, mesh, lifeMs, nowMs);
  const { key } = readSigning(folder, "authority-1");
  const secrets = [newSecret()];
  const trusted = { authorities: [certificate], secretHashes: secrets.map(hashOfSecret) };
  const list = { mesh, number: 1, madeMs: nowMs, revoked: [], ...trusted };
  const revoked = readRevocations(signRevocations(list, certificate, key));
  writeTrust(folder, { mesh, authorities: [certificate], secrets, revoked });
  // Last: a folder without it was never finished.
  writeNewFile(join(folder, SIGNING), signingText(1));
  return openAuthority(folder);
};

/** An authority or an issuer. @throws MeshError INVALID_KEYS */
export const openAuthority = (folder: string): Authority => {
  checkKeyFolder(folder);
  const isIssuer = hasFile(join(folder, `${ISSUER}.key`));
  if (!isIssuer && !hasFile(join(folder, SIGNING))) {
    throw keysError(`${folder} holds neither an authority nor an issuer`);
  }
  const trust = readTrust(folder);
  const current = (): SigningKey =>
    readSigning(folder, isIssuer ? ISSUER : `authority-${readNumber(folder)}`);
  const markPath = join(folder, isIssuer ? `${ISSUER}.crt` : SIGNING);
  let mark = fileMark(markPath);
  let signing = current();
  check(folder, signing.certificate, trust);
  // Another process may renew the issuer, or change which authority signs.
  return new Authority(folder, () => {
    const now = fileMark(markPath);
    if (now !== mark) signing = current();
    mark = now;
    return signing;
  });
};

/** A folder that may sign nodes, for `lifeMs`. @throws MeshError INVALID_KEYS, INVALID_OPTIONS */
export const createIssuer = (
  authority: Authority,
  folder: string,
  lifeMs: number = 90 * DAY_MS,
  nowMs: number = Date.now(),
): Authority => {
  if (authority.isIssuer) throw keysError("an issuer makes no issuers: use the authority");
  clearUnfinished(folder);
  const key = generateIdentityKey();
  const publicKey = spkiOf(key);
  const name = { role: "issuer", mesh: authority.mesh, id: nodeIdOfKey(publicKey) } as const;
  const certificate = authority.sign(name, publicKey, lifeMs, nowMs);
  writeTrust(folder, authority.trust);
  writeNewFile(join(folder, `${ISSUER}.crt`), toPem([certificate.der]));
  writeNewFile(join(folder, `${ISSUER}.key`), pemOf(key));
  return openAuthority(folder);
};

/** The issuer's certificate anew, for the same key. */
export const renewIssuer = (
  authority: Authority,
  issuer: Authority,
  lifeMs: number = 90 * DAY_MS,
  nowMs: number = Date.now(),
): void => {
  const { name, publicKey } = issuer.signing.certificate;
  const certificate = authority.sign(name, publicKey, lifeMs, nowMs);
  replaceTrustOf(issuer.folder, authority.trust);
  replaceFile(join(issuer.folder, `${ISSUER}.crt`), toPem([certificate.der]));
};

/** A further authority in the folder, not trusted by anybody yet; which it is. */
export const addAuthority = (authority: Authority, lifeMs: number, nowMs: number): Certificate => {
  const { folder, mesh } = authority;
  for (let n = 2; n <= NUMBER_MAX; n++) {
    if (!hasFile(join(folder, `authority-${n}.key`))) {
      return writeAuthority(folder, n, mesh, lifeMs, nowMs);
    }
  }
  throw keysError(`${folder} holds ${NUMBER_MAX} authorities`);
};

/** From now on this one of the folder's authorities signs. */
export const signWith = (authority: Authority, keyId: string): void => {
  for (let n = 1; n <= NUMBER_MAX && hasFile(join(authority.folder, `authority-${n}.crt`)); n++) {
    if (readSigning(authority.folder, `authority-${n}`).certificate.keyId !== keyId) continue;
    replaceFile(join(authority.folder, SIGNING), signingText(n));
    return;
  }
  throw keysError(`${authority.folder} does not hold the key of the authority ${keyId}`);
};

export const pemOf = (key: KeyObject): string =>
  key.export({ type: "pkcs8", format: "pem" }).toString();

const writeAuthority = (
  folder: string,
  number: number,
  mesh: string,
  lifeMs: number,
  nowMs: number,
): Certificate => {
  const key = generateIdentityKey();
  const name = { role: "authority", mesh } as const;
  const times = { notBeforeMs: nowMs - CLOCK_SKEW_MS, notAfterMs: nowMs + lifeMs };
  const der = writeCertificate({ name, publicKey: spkiOf(key), ...times }, { key, name });
  writeNewFile(join(folder, `authority-${number}.crt`), toPem([der]));
  writeNewFile(join(folder, `authority-${number}.key`), pemOf(key));
  const certificate = readSigning(folder, `authority-${number}`).certificate;
  new Authority(folder, () => ({ key, certificate })).record(certificate, nowMs);
  return certificate;
};

const readSigning = (folder: string, name: string): SigningKey => {
  const path = join(folder, `${name}.crt`);
  const [der] = fromPem(readKeyFile(path, "public", BYTES_MAX).toString("latin1"), path);
  const certificate = readCertificate(der ?? new Uint8Array(0));
  if ("malformed" in certificate) throw keysError(`${path}: ${certificate.malformed}`);
  const keyPath = join(folder, `${name}.key`);
  const key = readPrivateKey(readKeyFile(keyPath, "secret", BYTES_MAX).toString("latin1"), keyPath);
  if (Buffer.from(spkiOf(key)).equals(certificate.publicKey)) return { key, certificate };
  throw keysError(`${path} is not of the key in ${keyPath}`);
};

const check = (folder: string, certificate: Certificate, trust: TrustFiles): void => {
  const isTrusted = trust.authorities.some(
    (known) => known.keyId === certificate.keyId || isSignedBy(certificate, known),
  );
  if (isTrusted && certificate.name.mesh === trust.mesh) return;
  throw keysError(`the signer in ${folder} is not trusted by authorities.crt and revoked.list`);
};

const signingText = (number: number): string => `${JSON.stringify({ signing: number })}\n`;

const readNumber = (folder: string): number => {
  const path = join(folder, SIGNING);
  try {
    const text = readKeyFile(path, "public", BYTES_MAX).toString("latin1");
    const { signing } = JSON.parse(text) as { signing?: unknown };
    if (Number.isInteger(signing)) return signing as number;
  } catch (error) {
    if (MeshError.is(error)) throw error;
  }
  throw keysError(`${path} does not say which authority signs`);
};
