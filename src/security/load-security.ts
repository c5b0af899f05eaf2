/**
 * A node's security, from its folder of keys.
 *
 * Problem: certificates end after a day, authorities change and keys are revoked while the node runs, and
 * no message may be lost for it. Approach: everything that changes is behind one object that is asked anew
 * each time; files are looked at every few seconds, and half of a certificate's life before its end a
 * renewal is fetched. What is found new is verified before it replaces what works.
 *
 * Invariants: the node's id and keys never change while it runs; the number of the revocation list never
 * falls; a peer's certificate is verified once and remembered, at most CHAINS_MAX of them.
 */
import { createHash, type KeyObject, sign, verify } from "node:crypto";
import type { NodeId } from "../core/ids.ts";
import type {
  AuditRecord,
  PeerIdentity,
  Security,
  SecurityChange,
  SecurityContext,
  SecurityRefusal,
} from "../ports/security.ts";
import { WireError } from "../wire/wire-error.ts";
import { AuditLog } from "./audit-log.ts";
import type { Certificate } from "./certificate.ts";
import { curveKeysOf, nodeIdOfKey, publicKeyOf, z85 } from "./identity-key.ts";
import { keysError } from "./key-files.ts";
import {
  folderMark,
  type NodeKeys,
  readNodeKeys,
  replaceSecrets,
  replaceTrust,
} from "./keys-folder.ts";
import { areNamedBy, areSame } from "./mesh-secrets.ts";
import { toPem } from "./pem.ts";
import { Renewal } from "./renewal.ts";
import {
  isSignedByOneOf,
  RevokedIndex,
  readRevocations,
  type SignedRevocations,
} from "./revocation-list.ts";
import { judgeChain, readChain, refusal, type SignedChain, type Trust } from "./verify-chain.ts";

const CHAINS_MAX = 1_024;
const CURVE_KEYS_MAX = 8 * CHAINS_MAX;
const LOOK_MS = 5_000;

/**
 * Reads and checks a folder of keys.
 * @throws MeshError INVALID_KEYS that names the file and what to do
 */
export const loadSecurity = (folder: string, nowMs: number = Date.now()): LoadedSecurity => {
  const keys = readNodeKeys(folder);
  return new LoadedSecurity(folder, keys, nowMs);
};

export class LoadedSecurity implements Security {
  readonly curve: Security["curve"];
  readonly #folder: string;
  readonly #listeners = new Set<(what: SecurityChange) => void>();
  readonly #chains = new Map<string, SignedChain>();
  /** Who was verified here: their certificates need not be parsed again. */
  readonly #known = new WeakMap<PeerIdentity, SignedChain>();
  /** The ids of the keys of nodes that were verified here, by the key of their ZeroMQ sockets. */
  readonly #curveKeys = new Map<string, NodeId>();
  /** Made once for each: it costs more than a signature. */
  readonly #keyObjects = new WeakMap<PeerIdentity, KeyObject>();
  readonly #audit = new AuditLog();
  #keys: NodeKeys;
  #revoked: SignedRevocations;
  #index: RevokedIndex;
  #trust: Trust;
  #secrets: readonly Uint8Array[];
  #mark: string;
  #context: SecurityContext | undefined;
  #renewal: Renewal | undefined;
  #timer: ReturnType<SecurityContext["clock"]["setTimer"]> | undefined;

  constructor(folder: string, keys: NodeKeys, nowMs: number) {
    this.#folder = folder;
    this.#mark = folderMark(folder);
    this.#keys = keys;
    this.#revoked = keys.trust.revoked;
    this.#index = new RevokedIndex(this.#revoked.revocations.revoked);
    this.#trust = this.#trustOf(keys.trust.authorities);
    const { publicKey, secretKey } = curveKeysOf(keys.key);
    if (!Buffer.from(publicKey).equals(keys.signed.identity.curveKey)) {
      throw keysError(`the certificate in ${folder} names another curve key than its key gives`);
    }
    const bad = judgeChain(keys.signed.certificates, this.#trust, nowMs);
    if (bad !== undefined) throw keysError(`${folder}: ${bad.message}: issue or renew it`);
    this.curve = Object.freeze({ publicKey: z85(publicKey), secretKey: z85(secretKey) });
    this.#secrets = keys.trust.secrets;
    this.#known.set(keys.signed.identity, keys.signed);
  }

  get meshSecrets(): readonly Uint8Array[] {
    return this.#secrets;
  }

  get self(): PeerIdentity {
    return this.#keys.signed.identity;
  }

  start(context: SecurityContext): void {
    this.#context = context;
    this.#audit.start(context);
    this.#renewal = new Renewal(this.#folder, context);
    this.#plan();
  }

  async stop(): Promise<void> {
    if (this.#timer !== undefined) this.#context?.clock.clearTimer(this.#timer);
    this.#timer = undefined;
    this.#context = undefined;
    this.#listeners.clear();
    await this.#renewal?.stop();
  }

  tls(): { cert: string; key: string; ca: readonly string[] } {
    return {
      cert: toPem(this.#keys.chain),
      key: this.#keys.keyPem,
      ca: this.#trust.authorities.map(({ der }) => toPem([der])),
    };
  }

  sign(bytes: Uint8Array): Uint8Array {
    return new Uint8Array(sign(null, bytes, this.#keys.key));
  }

  verify(chain: readonly Uint8Array[], nowMs: number): PeerIdentity | SecurityRefusal {
    const name = nameOf(chain);
    let signed = this.#chains.get(name);
    if (signed === undefined) {
      const read = readChain(chain, this.#trust);
      if ("code" in read) return read;
      signed = read;
      if (this.#chains.size >= CHAINS_MAX) this.#forgetOldest();
      this.#chains.set(name, signed);
      this.#known.set(signed.identity, signed);
      this.#noteCurveKey(signed.identity);
    }
    return judgeChain(signed.certificates, this.#trust, nowMs) ?? signed.identity;
  }

  recheck(peer: PeerIdentity, nowMs: number): SecurityRefusal | undefined {
    const signed = this.#known.get(peer) ?? readChain(peer.chain, this.#trust);
    if ("code" in signed) return signed;
    const authority = signed.certificates.at(-1);
    if (!this.#trust.authorities.some(({ keyId }) => keyId === authority?.keyId)) {
      return refusal("untrusted", "the authority that signed the certificate is not trusted now");
    }
    return judgeChain(signed.certificates, this.#trust, nowMs);
  }

  verifySignature(peer: PeerIdentity, bytes: Uint8Array, signature: Uint8Array): boolean {
    let key = this.#keyObjects.get(peer);
    if (key === undefined) {
      key = publicKeyOf(peer.publicKey);
      if (key !== undefined) this.#keyObjects.set(peer, key);
    }
    return key !== undefined && verify(null, bytes, key, signature);
  }

  isRevoked(serial: string): boolean {
    return this.#index.hasSerial(serial);
  }

  isRevokedCurveKey(curveKey: Uint8Array): boolean {
    const keyId = this.#curveKeys.get(Buffer.from(curveKey).toString("base64"));
    return keyId !== undefined && this.#index.hasKey(keyId);
  }

  revocations(): ReturnType<Security["revocations"]> {
    const { bytes, revocations } = this.#revoked;
    const isKnown = areNamedBy(this.#secrets, revocations.secretHashes);
    return { number: revocations.number, bytes, secrets: isKnown ? this.#secrets : [] };
  }

  learnRevocations(
    bytes: Uint8Array,
    secrets: readonly Uint8Array[] = [],
  ): "new" | "old" | "refused" {
    const signed = this.#readList(bytes);
    if (signed === undefined) return "refused";
    if (signed.revocations.number <= this.#revoked.revocations.number) {
      // Its secrets may come later than a list, from somebody else.
      const { revocations } = this.#revoked;
      const isOwn = signed.revocations.number === revocations.number;
      if (isOwn) this.#learnSecrets(secrets, revocations.secretHashes);
      return "old";
    }
    if (!isSignedByOneOf(signed, this.#trust.authorities)) return "refused";
    this.#learnSecrets(secrets, signed.revocations.secretHashes);
    try {
      // The mark stays: what else was replaced meanwhile is found at the next look.
      replaceTrust(this.#folder, signed);
    } catch (error) {
      // It holds all the same; after a restart it will be heard of again.
      this.#context?.logger.warn("the revocation list could not be written", { error });
    }
    this.#takeList(signed);
    if (this.#keys.issuer !== undefined) this.#renewal?.heardList();
    return "new";
  }

  onChange(listener: (what: SecurityChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  audit(record: AuditRecord): void {
    this.#audit.write(record);
  }

  /** Takes what was replaced in the folder; false when nothing was, or it cannot be used. */
  reload(): boolean {
    const mark = folderMark(this.#folder);
    if (mark === this.#mark) return false;
    this.#mark = mark;
    try {
      return this.#take(readNodeKeys(this.#folder));
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      this.#context?.logger.warn("new keys are not taken, the old ones stay", { reason: message });
      this.#context?.count("security.reloadFailed");
      return false;
    }
  }

  #take(keys: NodeKeys): boolean {
    const { identity } = keys.signed;
    if (identity.nodeId !== this.self.nodeId || identity.mesh !== this.self.mesh) {
      throw keysError(
        `the keys in ${this.#folder} are of ${identity.nodeId}: restart to take them`,
      );
    }
    if (identity.service !== this.self.service) {
      throw keysError(`the certificate is of the service ${identity.service}: restart to take it`);
    }
    const newer = keys.trust.revoked.revocations.number > this.#revoked.revocations.number;
    const isSecretNew = !areSame(keys.trust.secrets, this.#secrets);
    if (isSecretNew) this.#secrets = keys.trust.secrets;
    if (newer) this.#takeList(keys.trust.revoked);
    if (identity.serial === this.self.serial) return newer || isSecretNew;
    const now = this.#context?.clock.wallMs() ?? Date.now();
    const bad = judgeChain(keys.signed.certificates, this.#trust, now);
    if (bad !== undefined) throw keysError(bad.message);
    this.#keys = keys;
    this.#known.set(identity, keys.signed);
    this.#tell("renewed");
    return true;
  }

  #takeList(signed: SignedRevocations): void {
    const before = this.#trust.authorities.map(({ keyId }) => keyId).join();
    const { authorities, revoked } = signed.revocations;
    this.#revoked = signed;
    this.#index = new RevokedIndex(revoked);
    this.#trust = this.#trustOf(authorities);
    this.#chains.clear();
    if (authorities.map(({ keyId }) => keyId).join() !== before) this.#tell("authorities");
    this.#tell("revoked");
  }

  /** Takes what the list names, before anybody is told of the list. */
  #learnSecrets(secrets: readonly Uint8Array[], hashes: readonly Uint8Array[]): void {
    if (!areNamedBy(secrets, hashes) || areSame(secrets, this.#secrets)) return;
    this.#secrets = secrets.map((secret) => Uint8Array.from(secret));
    try {
      replaceSecrets(this.#folder, this.#secrets);
    } catch (error) {
      this.#context?.logger.warn("the mesh's secret could not be written", { error });
    }
  }

  #trustOf(authorities: readonly Certificate[]): Trust {
    const index = this.#index;
    const { mesh } = this.#keys.trust;
    return { mesh, authorities, revokes: (certificate) => index.has(certificate) };
  }

  #readList(bytes: Uint8Array): SignedRevocations | undefined {
    try {
      const signed = readRevocations(bytes);
      return signed.revocations.mesh === this.self.mesh ? signed : undefined;
    } catch (error) {
      if (error instanceof WireError) return undefined;
      throw error;
    }
  }

  #tell(what: SecurityChange): void {
    for (const listener of this.#listeners) listener(what);
  }

  #noteCurveKey({ curveKey, publicKey }: PeerIdentity): void {
    const [oldest] = this.#curveKeys.keys();
    if (this.#curveKeys.size >= CURVE_KEYS_MAX && oldest !== undefined) {
      this.#curveKeys.delete(oldest);
    }
    this.#curveKeys.set(Buffer.from(curveKey).toString("base64"), nodeIdOfKey(publicKey));
  }

  #forgetOldest(): void {
    const [oldest] = this.#chains.keys();
    if (oldest !== undefined) this.#chains.delete(oldest);
  }

  #plan(): void {
    const context = this.#context;
    if (context === undefined) return;
    this.#timer = context.clock.setTimer(LOOK_MS, () => {
      this.reload();
      this.#renewal?.look(this.self, this.#keys.issuer !== undefined, () => this.reload());
      this.#plan();
    });
  }
}

const nameOf = (chain: readonly Uint8Array[]): string => {
  const hash = createHash("sha256");
  for (const der of chain) hash.update(`${der.length} `).update(der);
  return hash.digest("base64");
};
