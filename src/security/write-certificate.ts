/**
 * Makes certificates: for an authority (signed by itself), an issuer and a node.
 *
 * Times have whole seconds, as X.509 has; who asks for a certificate lets it begin earlier by the skew that clocks of a
 * mesh may have, since TLS compares it with the reader's clock as it is; a serial is 126 random bits, so that no two authorities or
 * issuers have to agree on a counter.
 */
import { createHash, type KeyObject, randomBytes, sign } from "node:crypto";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AlgorithmIdentifier,
  Certificate as Asn1Certificate,
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyIdentifier,
  KeyUsage,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from "@peculiar/asn1-x509";
import {
  ED25519,
  RIGHTS_EXTENSION,
  SERIAL_BYTES,
  USAGE_AUTHORITY,
  USAGE_ISSUER,
  USAGE_NODE,
} from "./certificate.ts";
import { spkiOf } from "./identity-key.ts";
import { formatIdentity, type IdentityName } from "./identity-name.ts";
import { type CertifiedRights, encodeRights } from "./rights-message.ts";

const COMMON_NAME = "2.5.4.3";
/** The last 32 bytes of an Ed25519 SPKI are the key. */
const KEY_BYTES = 32;

export type CertificateRequest = {
  readonly name: IdentityName;
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** For a node. */
  readonly certified?: CertifiedRights;
};

export type Signer = { readonly key: KeyObject; readonly name: IdentityName };

/** DER. */
export const writeCertificate = (request: CertificateRequest, signer: Signer): Uint8Array => {
  const { name, publicKey } = request;
  const algorithm = new AlgorithmIdentifier({ algorithm: ED25519 });
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: buffer(randomSerial()),
    signature: algorithm,
    issuer: distinguishedName(signer.name),
    subject: distinguishedName(name),
    validity: new Validity({
      notBefore: wholeSecond(request.notBeforeMs),
      notAfter: wholeSecond(request.notAfterMs),
    }),
    subjectPublicKeyInfo: AsnConvert.parse(publicKey, SubjectPublicKeyInfo),
    extensions: new Extensions(extensionsOf(request, spkiOf(signer.key))),
  });
  const signed = new Uint8Array(AsnConvert.serialize(tbsCertificate));
  const signatureValue = buffer(sign(null, signed, signer.key));
  const whole = { tbsCertificate, signatureAlgorithm: algorithm, signatureValue };
  return new Uint8Array(AsnConvert.serialize(new Asn1Certificate(whole)));
};

const extensionsOf = (request: CertificateRequest, signerKey: Uint8Array): Extension[] => {
  const { name, publicKey, certified } = request;
  const uri = new GeneralName({ uniformResourceIdentifier: formatIdentity(name) });
  const signerId = new AuthorityKeyIdentifier({
    keyIdentifier: new KeyIdentifier(buffer(keyId(signerKey))),
  });
  const list = [
    extension(id_ce_basicConstraints, true, constraintsOf(name.role)),
    extension(id_ce_keyUsage, true, new KeyUsage(usageOf(name.role))),
    extension(
      id_ce_subjectKeyIdentifier,
      false,
      new SubjectKeyIdentifier(buffer(keyId(publicKey))),
    ),
    extension(id_ce_authorityKeyIdentifier, false, signerId),
    extension(id_ce_subjectAltName, false, new SubjectAlternativeName([uri])),
  ];
  if (name.role !== "authority") {
    const uses = new ExtendedKeyUsage([id_kp_serverAuth, id_kp_clientAuth]);
    list.push(extension(id_ce_extKeyUsage, false, uses));
  }
  if (certified !== undefined) {
    list.push(extension(RIGHTS_EXTENSION, false, new OctetString(encodeRights(certified))));
  }
  return list;
};

const usageOf = (role: IdentityName["role"]): number =>
  ({ authority: USAGE_AUTHORITY, issuer: USAGE_ISSUER, node: USAGE_NODE })[role];

const constraintsOf = (role: IdentityName["role"]): BasicConstraints => {
  if (role === "node") return new BasicConstraints({ cA: false });
  return new BasicConstraints({ cA: true, pathLenConstraint: role === "authority" ? 1 : 0 });
};

const extension = (extnID: string, critical: boolean, value: object): Extension =>
  new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });

/** For people who read it with other tools; nothing is decided by it. */
const distinguishedName = (name: IdentityName): Name => {
  const text = {
    authority: () => `${name.mesh} authority`,
    issuer: () => `${name.mesh} issuer`,
    node: () => (name.role === "node" ? name.service : ""),
  }[name.role]();
  const value = new AttributeValue({ utf8String: text.slice(0, 64) });
  const pair = new AttributeTypeAndValue({ type: COMMON_NAME, value });
  return new Name([new RelativeDistinguishedName([pair])]);
};

const randomSerial = (): Uint8Array => {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
};

const keyId = (spki: Uint8Array): Buffer =>
  createHash("sha1")
    .update(spki.subarray(spki.length - KEY_BYTES))
    .digest();

const wholeSecond = (ms: number): Date => new Date(Math.floor(ms / 1_000) * 1_000);

const buffer = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;
