/**
 * From a chain of certificates to who its owner is.
 *
 * A chain is one certificate that an authority signed, or two: the node's, and that of the issuer which
 * signed it. Everything is looked at again in each certificate: form, signature, time, mesh, revocation.
 * Whose private key it is, the proof in the handshake shows; a chain is public.
 *
 * Invariant: an identity is given only when every check passed; the order of checks decides which reason
 * is told, never whether one is accepted.
 */
import { verify } from "node:crypto";
import {
  CHAIN_LENGTH_MAX,
  CLOCK_SKEW_MS,
  type PeerIdentity,
  type RefusalCode,
  type SecurityRefusal,
} from "../ports/security.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { nodeIdOfKey, publicKeyOf } from "./identity-key.ts";
import { Permissions } from "./rights.ts";

/** What a chain is judged by. */
export type Trust = {
  readonly mesh: string;
  readonly authorities: readonly Certificate[];
  revokes(certificate: Certificate): boolean;
};

/** A chain whose form and signatures are right; time and revocation are another question. */
export type SignedChain = {
  readonly leaf: Certificate;
  /** Leaf, issuer if any, authority. */
  readonly certificates: readonly Certificate[];
  readonly identity: PeerIdentity;
};

export const refusal = (code: RefusalCode, message: string): SecurityRefusal =>
  Object.freeze({ code, message });

/** Form, names and signatures. */
export const readChain = (
  chain: readonly Uint8Array[],
  trust: Trust,
): SignedChain | SecurityRefusal => {
  if (chain.length < 1 || chain.length > CHAIN_LENGTH_MAX) {
    return refusal("malformed", `a chain has 1 to ${CHAIN_LENGTH_MAX} certificates`);
  }
  const certificates: Certificate[] = [];
  for (const der of chain) {
    const certificate = readCertificate(der);
    if ("malformed" in certificate) return refusal("malformed", certificate.malformed);
    certificates.push(certificate);
  }
  const [leaf, issuer] = certificates;
  if (leaf === undefined || leaf.name.role !== "node" || leaf.certified === undefined) {
    return refusal("malformed", "the first certificate is not that of a node");
  }
  if (issuer !== undefined && issuer.name.role !== "issuer") {
    return refusal("malformed", "the second certificate is not that of an issuer");
  }
  const signed = signedBy(certificates, trust);
  if ("code" in signed) return signed;
  const derived = nodeIdOfKey(leaf.publicKey) === leaf.name.nodeId;
  if (!derived && !(leaf.certified.idGiven && issuer === undefined)) {
    return refusal("wrong-id", `the id ${leaf.name.nodeId} is not that of the certificate's key`);
  }
  return { leaf, certificates: signed, identity: identityOf(leaf, chain) };
};

/** Time and revocation, of all certificates of a chain. */
export const judgeChain = (
  certificates: readonly Certificate[],
  trust: Trust,
  nowMs: number,
): SecurityRefusal | undefined => {
  for (const certificate of certificates) {
    const { notBeforeMs, notAfterMs, serial } = certificate;
    const what = `the certificate ${serial} of ${nounOf(certificate)}`;
    if (nowMs + CLOCK_SKEW_MS < notBeforeMs) {
      return refusal("not-yet-valid", `${what} begins ${timeText(notBeforeMs)}`);
    }
    if (nowMs - CLOCK_SKEW_MS > notAfterMs) {
      return refusal("expired", `${what} ended ${timeText(notAfterMs)}`);
    }
    if (trust.revokes(certificate)) return refusal("revoked", `${what} is revoked`);
  }
  return undefined;
};

/** Whether `signer` signed it. */
export const isSignedBy = (certificate: Certificate, signer: Certificate): boolean => {
  if (certificate.signerKeyId !== signer.keyId) return false;
  const key = publicKeyOf(signer.publicKey);
  return key !== undefined && verify(null, certificate.signed, key, certificate.signature);
};

const signedBy = (
  certificates: readonly Certificate[],
  trust: Trust,
): readonly Certificate[] | SecurityRefusal => {
  for (const { name } of certificates) {
    if (name.mesh === trust.mesh) continue;
    return refusal("wrong-mesh", `the certificate is of the mesh ${name.mesh}, not ${trust.mesh}`);
  }
  for (const [index, certificate] of certificates.entries()) {
    const next = certificates[index + 1];
    if (next !== undefined) {
      if (isSignedBy(certificate, next)) continue;
      return refusal("untrusted", "the issuer in the chain did not sign the certificate");
    }
    const authority = trust.authorities.find((known) => isSignedBy(certificate, known));
    if (authority !== undefined) return [...certificates, authority];
  }
  return refusal("untrusted", `no authority of the mesh ${trust.mesh} signed the certificate`);
};

const identityOf = (leaf: Certificate, chain: readonly Uint8Array[]): PeerIdentity => {
  const { name, certified, serial, notBeforeMs, notAfterMs, publicKey, der } = leaf;
  if (name.role !== "node" || certified === undefined) throw new TypeError("not a node's");
  const permissions = new Permissions(certified.rights);
  return Object.freeze({
    mesh: name.mesh,
    service: name.service,
    nodeId: name.nodeId,
    serial,
    notBeforeMs,
    notAfterMs,
    curveKey: certified.curveKey,
    certificate: der,
    chain: Object.freeze(chain.map((each) => Uint8Array.from(each))),
    publicKey,
    admin: certified.rights.admin,
    may: (action, subject) => permissions.may(action, subject),
    mayOverlap: (action, pattern) => permissions.mayOverlap(action, pattern),
  } satisfies PeerIdentity);
};

const nounOf = ({ name }: Certificate): string =>
  name.role === "node" ? `${name.service} ${name.nodeId}` : `the ${name.role}`;

const timeText = (ms: number): string =>
  Number.isFinite(ms) ? new Date(ms).toISOString().slice(0, 19).concat("Z") : "at no time";
