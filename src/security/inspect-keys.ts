/** What certificates say, as plain values: for people, and for programs that look after keys. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { type Certificate, readCertificate } from "./certificate.ts";
import { z85 } from "./identity-key.ts";
import { formatIdentity } from "./identity-name.ts";
import { hasFile, keysError, readKeyFile } from "./key-files.ts";
import { FILES, readTrust } from "./keys-folder.ts";
import { fromPem } from "./pem.ts";
import { RevokedIndex } from "./revocation-list.ts";
import type { Rights } from "./rights.ts";
import { isSignedBy } from "./verify-chain.ts";

export type CertificateFacts = {
  /** meshbus://mesh/service/node, meshbus://mesh/$issuer/id, meshbus://mesh */
  readonly name: string;
  readonly role: "authority" | "issuer" | "node";
  readonly serial: string;
  readonly notBefore: string;
  readonly notAfter: string;
  readonly keyId: string;
  readonly signerKeyId: string;
  /** "valid", "not yet valid", "expired", "revoked", or "untrusted" where there are authorities beside it. */
  readonly state: string;
  readonly rights?: Rights;
  /** As an address carries it (base64url), and as ZeroMQ takes it (Z85). */
  readonly curve?: { readonly base64url: string; readonly z85: string };
};

export type KeysFacts = {
  readonly certificates: readonly CertificateFacts[];
  /** Of the signed list beside the certificates, where there is one. */
  readonly revocations?: {
    readonly number: number;
    readonly entries: number;
    readonly made: string;
  };
};

const PEM_BYTES_MAX = 1_000_000;

/** Of a file with certificates (PEM), or a folder of a node, an issuer or an authority. @throws MeshError INVALID_KEYS */
export const inspectCertificates = (path: string, nowMs: number = Date.now()): KeysFacts => {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw keysError(`there is no ${path}`);
  if (!stats.isDirectory()) {
    return { certificates: read(path).map((each) => factsOf(each, nowMs)) };
  }
  const trust = readTrust(path);
  const { revocations } = trust.revoked;
  const index = new RevokedIndex(revocations.revoked);
  const own = [FILES.certificate, "issuer.crt"].find((name) => hasFile(join(path, name)));
  const chain = own === undefined ? [] : read(join(path, own));
  const all = [...chain, ...trust.authorities];
  const certificates = all.map((each) => {
    const isTrusted = all.some((signer) => signer.name.role !== "node" && isSignedBy(each, signer));
    if (!isTrusted) return { ...factsOf(each, nowMs), state: "untrusted" };
    return index.has(each) ? { ...factsOf(each, nowMs), state: "revoked" } : factsOf(each, nowMs);
  });
  const made = new Date(revocations.madeMs).toISOString();
  const { number, revoked } = revocations;
  return { certificates, revocations: { number, entries: revoked.length, made } };
};

const read = (path: string): Certificate[] =>
  fromPem(readKeyFile(path, "public", PEM_BYTES_MAX).toString("latin1"), path).map((der) => {
    const certificate = readCertificate(der);
    if ("malformed" in certificate) throw keysError(`${path}: ${certificate.malformed}`);
    return certificate;
  });

const factsOf = (certificate: Certificate, nowMs: number): CertificateFacts => {
  const { name, serial, notBeforeMs, notAfterMs, keyId, signerKeyId, certified } = certificate;
  const curve = certified && {
    base64url: Buffer.from(certified.curveKey).toString("base64url"),
    z85: z85(certified.curveKey),
  };
  return {
    name: formatIdentity(name),
    role: name.role,
    serial,
    notBefore: new Date(notBeforeMs).toISOString(),
    notAfter: new Date(notAfterMs).toISOString(),
    keyId,
    signerKeyId,
    state: nowMs < notBeforeMs ? "not yet valid" : nowMs > notAfterMs ? "expired" : "valid",
    ...(certified === undefined ? {} : { rights: certified.rights }),
    ...(curve === undefined ? {} : { curve }),
  };
};
