/**
 * Who signs: the authority of a mesh, and its issuers.
 *
 * Problem: the key that can make any member should be offline, and yet certificates are short-lived.
 * Approach: the authority signs issuers, which live for weeks and sign nodes where they are needed; both
 * are a folder with a key, and this class is either. The authority alone revokes and names authorities,
 * in the signed list; a change of authority takes three steps, in each of which every member is trusted
 * by every other: the new one is announced, then it signs, then the old one is dropped.
 *
 * Invariants: what was signed is in the record before anybody has it; a certificate never outlives its
 * signer; an id belongs to one living key; no key is ever written over.
 * Limit: a member that hears of none of the lists of a change, from announcing to dropping, has to be
 * given authorities.crt and revoked.list by hand.
 */
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { isNodeId, type NodeId } from "../core/ids.ts";
import { MeshError } from "../errors.ts";
import { CLOCK_SKEW_MS } from "../ports/security.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { isIdentitySpki, nodeIdOfKey } from "./identity-key.ts";
import { type IdentityName, isIdentityName, NAME_RULE } from "./identity-name.ts";
import { type IssuedLine, readIssued, recordIssued } from "./issued-record.ts";
import { keysError } from "./key-files.ts";
import { readTrust, type TrustFiles } from "./keys-folder.ts";
import { RevokedIndex } from "./revocation-list.ts";
import { type RightsOptions, rightsOf } from "./rights.ts";
import { writeCertificate } from "./write-certificate.ts";

export const DAY_MS = 86_400_000;
const LIFE_MS_MIN = 10_000;
export const NODE_LIFE_MS_MAX = 398 * DAY_MS;
const CURVE_KEY_BYTES = 32;
export const RECORD = "issued.log";

export type IssueRequest = {
  readonly service: string;
  readonly rights: RightsOptions;
  readonly lifeMs: number;
  /** SPKI, DER. */
  readonly publicKey: Uint8Array;
  readonly curveKey: Uint8Array;
  /** For a node that had this id before it had keys; default: the one that follows from its key. */
  readonly nodeId?: string;
  /** The token it joins with, for the record. */
  readonly token?: string;
};

/** The one that signs, opened from its folder. */
export type SigningKey = { readonly key: KeyObject; readonly certificate: Certificate };

export class Authority {
  readonly folder: string;
  readonly #signing: () => SigningKey;

  /** See open-authority.ts. */
  constructor(folder: string, signing: () => SigningKey) {
    this.folder = folder;
    this.#signing = signing;
  }

  /** Read anew each time: another process may have revoked something. @throws MeshError INVALID_KEYS */
  get trust(): TrustFiles {
    return readTrust(this.folder);
  }

  get mesh(): string {
    return this.signing.certificate.name.mesh;
  }

  get signing(): SigningKey {
    return this.#signing();
  }

  get isIssuer(): boolean {
    return this.signing.certificate.name.role === "issuer";
  }

  /** A chain for a node, recorded. @throws MeshError INVALID_OPTIONS, INVALID_SUBJECT, INVALID_KEYS */
  issue(request: IssueRequest, nowMs: number): Uint8Array[] {
    const { service, publicKey, curveKey, lifeMs } = request;
    if (!isIdentityName(service)) {
      throw invalid(`service is ${JSON.stringify(service.slice(0, 80))}, must be ${NAME_RULE}`);
    }
    if (!isIdentitySpki(publicKey) || curveKey.length !== CURVE_KEY_BYTES) {
      throw keysError("the request names no Ed25519 key, or no curve key of 32 B");
    }
    const keyId = nodeIdOfKey(publicKey);
    const nodeId = this.#nodeIdFor(request.nodeId, keyId);
    const rights = rightsOf(request.rights);
    const { signing, mesh } = this;
    this.#refuseRevoked(keyId, signing.certificate);
    this.#refuseTaken(nodeId, keyId, nowMs);
    const der = writeCertificate(
      {
        name: { role: "node", mesh, service, nodeId },
        publicKey,
        notBeforeMs: nowMs - CLOCK_SKEW_MS,
        notAfterMs: this.#endOf(lifeMs, NODE_LIFE_MS_MAX, nowMs),
        certified: { rights, curveKey, idGiven: nodeId !== keyId, lifeMs },
      },
      { key: signing.key, name: signing.certificate.name },
    );
    const certificate = readBack(der);
    const { token } = request;
    this.record(certificate, nowMs, { ...rights, ...(token === undefined ? {} : { token }) });
    this.#refuseTaken(nodeId, keyId, nowMs);
    return this.isIssuer ? [der, signing.certificate.der] : [der];
  }

  /** Signs another kind of certificate, and records it. */
  sign(name: IdentityName, publicKey: Uint8Array, lifeMs: number, nowMs: number): Certificate {
    const { signing } = this;
    const notAfterMs = this.#endOf(lifeMs, NODE_LIFE_MS_MAX, nowMs);
    const request = { name, publicKey, notBeforeMs: nowMs - CLOCK_SKEW_MS, notAfterMs };
    const signer = { key: signing.key, name: signing.certificate.name };
    const certificate = readBack(writeCertificate(request, signer));
    this.record(certificate, nowMs);
    return certificate;
  }

  /** All that was ever signed here. */
  issued(): Generator<IssuedLine> {
    return readIssued(join(this.folder, RECORD));
  }

  record(certificate: Certificate, atMs: number, more: Partial<IssuedLine> = {}): void {
    const { name, serial, notAfterMs, publicKey } = certificate;
    const { role } = name;
    recordIssued(join(this.folder, RECORD), {
      atMs,
      serial,
      role,
      ...(name.role === "node" ? { service: name.service, nodeId: name.nodeId } : {}),
      keyId: nodeIdOfKey(publicKey),
      notAfterMs,
      ...more,
    });
  }

  #nodeIdFor(given: string | undefined, keyId: NodeId): NodeId {
    if (given === undefined || given === keyId) return keyId;
    if (!isNodeId(given)) {
      throw invalid(`node id is ${JSON.stringify(given.slice(0, 80))}, must be that of a node`);
    }
    if (this.isIssuer) throw keysError("an issuer gives no ids: let the authority issue this one");
    return given;
  }

  #endOf(lifeMs: number, lifeMsMax: number, nowMs: number): number {
    if (!(lifeMs >= LIFE_MS_MIN && lifeMs <= lifeMsMax)) {
      const range = `${LIFE_MS_MIN / 1_000} s to ${lifeMsMax / DAY_MS} days`;
      throw invalid(`a life of ${lifeMs} ms is outside ${range}`);
    }
    const { notAfterMs } = this.signing.certificate;
    if (notAfterMs <= nowMs)
      throw keysError(`the certificate in ${this.folder} has ended: renew it`);
    return Math.min(nowMs + lifeMs, notAfterMs);
  }

  #refuseRevoked(keyId: NodeId, signer: Certificate): void {
    const { revoked } = this.trust.revoked.revocations;
    if (revoked.some((each) => "keyId" in each && each.keyId === keyId)) {
      throw keysError(`the key of ${keyId} is revoked: make a new one`);
    }
    if (new RevokedIndex(revoked).has(signer)) {
      throw keysError(`the certificate of the signer in ${this.folder} is revoked`);
    }
  }

  /**
   * Looked at again after the record, so that of two processes that give one id at once the first line
   * wins; the certificate of the other was never handed out.
   */
  #refuseTaken(nodeId: NodeId, keyId: NodeId, nowMs: number): void {
    if (nodeId === keyId) return;
    const index = new RevokedIndex(this.trust.revoked.revocations.revoked);
    for (const line of this.issued()) {
      if (line.nodeId !== nodeId || line.notAfterMs <= nowMs || index.hasSerial(line.serial))
        continue;
      if (line.keyId === keyId) return;
      throw keysError(`the id ${nodeId} is that of another living key (${line.serial}): revoke it`);
    }
  }
}

const readBack = (der: Uint8Array): Certificate => {
  const certificate = readCertificate(der);
  if (!("malformed" in certificate)) return certificate;
  throw new TypeError(`a certificate was made that is none: ${certificate.malformed}`);
};

const invalid = (message: string): MeshError =>
  new MeshError("INVALID_OPTIONS", `keys: ${message}`);
