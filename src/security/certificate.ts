/**
 * A certificate of a mesh, read from bytes that anybody may have sent.
 *
 * Problem: X.509 is wide, and its parsers have been the way into many systems. Approach: the ASN.1 is
 * parsed by a typed library within bounds of size, depth and number of elements, and of the result only
 * one narrow profile is accepted: version 3, Ed25519, one name, each extension known and there once. Then
 * the certificate is written again, and must come out as the same bytes: it has one spelling, and nothing
 * is in it that was not read.
 *
 * Invariants: `readCertificate` gives a certificate of the profile or a reason, whatever the bytes, and
 * throws nothing. It proves nothing: see verify-chain.ts.
 * Source: RFC 5280 (certificates), RFC 8410 (Ed25519), X.690 section 10 (DER).
 */
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  Certificate as Asn1Certificate,
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyUsage,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
} from "@peculiar/asn1-x509";
import { CERTIFICATE_BYTES_MAX } from "../ports/security.ts";
import { WireError } from "../wire/wire-error.ts";
import { isIdentitySpki } from "./identity-key.ts";
import { type IdentityName, parseIdentity } from "./identity-name.ts";
import { type CertifiedRights, decodeRights } from "./rights-message.ts";

export const ED25519 = "1.3.101.112";
/** Under the arc of UUIDs, which nobody has to be asked for. */
export const RIGHTS_EXTENSION = "2.25.1835365224";
export const SERIAL_BYTES = 16;
const SIGNATURE_BYTES = 64;
/** As the bits of KeyUsage are numbered by the library. */
export const USAGE_NODE = 1;
export const USAGE_AUTHORITY = 32 | 64;
export const USAGE_ISSUER = USAGE_NODE | USAGE_AUTHORITY;

const BOUNDS = Object.freeze({
  berOptions: { maxDepth: 16, maxNodes: 512, maxContentLength: CERTIFICATE_BYTES_MAX },
});

export type Certificate = {
  readonly der: Uint8Array;
  /** What is signed. */
  readonly signed: Uint8Array;
  readonly signature: Uint8Array;
  /** 32 hexadecimal digits. */
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly name: IdentityName;
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
  /** SHA-1 of the key's bits, hex, as RFC 5280 4.2.1.2 (1): names the key, secures nothing. */
  readonly keyId: string;
  /** That of the key that signed. */
  readonly signerKeyId: string;
  /** Of a node's certificate only. */
  readonly certified: CertifiedRights | undefined;
};

/** A reason instead of a certificate. */
export type Malformed = { readonly malformed: string };

export const readCertificate = (der: Uint8Array): Certificate | Malformed => {
  if (der.length > CERTIFICATE_BYTES_MAX) {
    return { malformed: `certificate of ${der.length} B exceeds ${CERTIFICATE_BYTES_MAX}` };
  }
  try {
    return read(Uint8Array.from(der));
  } catch (error) {
    // The parsers throw several classes; each means that these bytes are no certificate of the profile.
    const reason = error instanceof Error ? error.message : String(error);
    return { malformed: `no certificate of a mesh: ${reason.slice(0, 200)}` };
  }
};

const read = (der: Uint8Array): Certificate => {
  const outer = AsnConvert.parse(der, Asn1Certificate, BOUNDS);
  const { tbsCertificate: inner, tbsCertificateRaw, signatureAlgorithm, signatureValue } = outer;
  if (tbsCertificateRaw === undefined) throw new WireError("nothing is signed");
  demand(inner.version === 2, "version is not 3");
  const algorithms = [signatureAlgorithm, inner.signature, inner.subjectPublicKeyInfo.algorithm];
  for (const { algorithm, parameters } of algorithms) {
    demand(algorithm === ED25519 && parameters === undefined, "key or signature is not Ed25519");
  }
  demand(signatureValue.byteLength === SIGNATURE_BYTES, "signature is not of 64 B");
  const publicKey = new Uint8Array(AsnConvert.serialize(inner.subjectPublicKeyInfo));
  demand(isIdentitySpki(publicKey), "key is not of 32 B");
  const serial = new Uint8Array(inner.serialNumber);
  demand(serial.length === SERIAL_BYTES && isPositive(serial), "serial is not of 16 B");
  const { issuerUniqueID, subjectUniqueID } = inner;
  demand(issuerUniqueID === undefined && subjectUniqueID === undefined, "has a unique id");
  const extensions = new Map<string, Extension>();
  for (const { extnID, critical, extnValue } of inner.extensions ?? []) {
    demand(!extensions.has(extnID), `extension ${extnID} is there twice`);
    extensions.set(extnID, { critical, value: extnValue.buffer });
  }
  const profile = readExtensions(extensions);
  // A lax spelling of the same values would be another certificate to whoever compares bytes.
  const again = Buffer.from(AsnConvert.serialize(outer));
  demand(again.equals(der), "is not in its one spelling");
  return {
    der,
    signed: new Uint8Array(tbsCertificateRaw),
    signature: new Uint8Array(signatureValue),
    serial: Buffer.from(serial).toString("hex"),
    notBeforeMs: inner.validity.notBefore.getTime().getTime(),
    notAfterMs: inner.validity.notAfter.getTime().getTime(),
    publicKey,
    ...profile,
  };
};

type Extension = { readonly critical: boolean; readonly value: ArrayBuffer };
type Profile = Pick<Certificate, "name" | "keyId" | "signerKeyId" | "certified">;

const readExtensions = (extensions: Map<string, Extension>): Profile => {
  const take = <T>(id: string, critical: boolean, what: string, type: new () => T): T => {
    const extension = extensions.get(id);
    if (extension === undefined) throw new WireError(`has no ${what}`);
    demand(extension.critical === critical, `${what} is ${critical ? "not " : ""}critical`);
    extensions.delete(id);
    return AsnConvert.parse(extension.value, type, BOUNDS);
  };
  const names = take(id_ce_subjectAltName, false, "name", SubjectAlternativeName);
  const uri = names.length === 1 ? names[0]?.uniformResourceIdentifier : undefined;
  const name = uri === undefined ? undefined : parseIdentity(uri);
  if (name === undefined) throw new WireError("its name is not one URI of a mesh");
  const usage = take(id_ce_keyUsage, true, "key usage", KeyUsage).toNumber();
  const constraints = take(id_ce_basicConstraints, true, "basic constraints", BasicConstraints);
  const keyId = take(id_ce_subjectKeyIdentifier, false, "key id", SubjectKeyIdentifier);
  const signer = take(id_ce_authorityKeyIdentifier, false, "signer id", AuthorityKeyIdentifier);
  if (signer.keyIdentifier === undefined) throw new WireError("has no signer id");
  if (name.role !== "authority") {
    const uses = take(id_ce_extKeyUsage, false, "extended key usage", ExtendedKeyUsage);
    const right = uses.includes(id_kp_serverAuth) && uses.includes(id_kp_clientAuth);
    demand(right && uses.length === 2, "extended key usage is not that of server and client");
  }
  checkRole(name.role, usage, constraints);
  let certified: CertifiedRights | undefined;
  if (name.role === "node") {
    const rights = take(RIGHTS_EXTENSION, false, "rights", OctetString);
    certified = decodeRights(new Uint8Array(rights.buffer));
  }
  const [unknown] = extensions.keys();
  demand(unknown === undefined, `has the extension ${unknown}`);
  return { name, keyId: hex(keyId), signerKeyId: hex(signer.keyIdentifier), certified };
};

const checkRole = (role: IdentityName["role"], usage: number, made: BasicConstraints): void => {
  const wanted = { authority: USAGE_AUTHORITY, issuer: USAGE_ISSUER, node: USAGE_NODE }[role];
  demand(usage === wanted, `key usage is not that of ${role}`);
  demand(made.cA === (role !== "node"), `basic constraints are not those of ${role}`);
  const length = { authority: 1, issuer: 0, node: undefined }[role];
  demand(made.pathLenConstraint === length, `path length is not that of ${role}`);
};

const hex = (octets: OctetString): string => Buffer.from(octets.buffer).toString("hex");

const isPositive = (serial: Uint8Array): boolean => {
  const [first = 0] = serial;
  return first > 0 && first < 0x80;
};

function demand(right: boolean, reason: string): asserts right {
  if (!right) throw new WireError(reason);
}
