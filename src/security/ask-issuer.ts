/**
 * Asks an issuer for a certificate: to join with a token, or to renew.
 *
 * Invariants: nothing is said before the other end has proved to be the issuer (by the key that the token
 * names, or by a certificate that the node's authority signed); the private key is made here and stays
 * here; what comes back is verified whole before a file is touched.
 */
import { type KeyObject, sign } from "node:crypto";
import { join } from "node:path";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";
import { MeshError } from "../errors.ts";
import { WireError } from "../wire/wire-error.ts";
import { type Certificate, readCertificate } from "./certificate.ts";
import { curveKeysOf, generateIdentityKey, readPrivateKey, spkiOf } from "./identity-key.ts";
import {
  decodeAnswer,
  EXCHANGE_MS,
  encodeQuestion,
  encodeSigned,
  fingerprintOf,
  type IssueAnswer,
  type IssueQuestion,
  RESPONSE_BYTES_MAX,
  readMessage,
  signedPart,
  TOLD_LIST_BYTES_MAX,
  writeMessage,
} from "./issue-protocol.ts";
import { parseToken } from "./join-tokens.ts";
import {
  hasFile,
  keysError,
  makeKeyFolder,
  readKeyFile,
  replaceFile,
  writeNewFile,
} from "./key-files.ts";
import {
  clearUnfinished,
  FILES,
  readNodeKeys,
  replaceCertificate,
  replaceTrustOf,
  type TrustFiles,
  writeTrust,
} from "./keys-folder.ts";
import { areNamedBy, SECRET_BYTES, SECRETS_MAX } from "./mesh-secrets.ts";
import { pemOf } from "./open-authority.ts";
import { toPem } from "./pem.ts";
import {
  isSignedByOneOf,
  RevokedIndex,
  readRevocations,
  type SignedRevocations,
} from "./revocation-list.ts";
import { isSignedBy, judgeChain, readChain, type SignedChain, type Trust } from "./verify-chain.ts";

export type JoinOptions = {
  /** "host:port". */
  readonly issuer: string;
  readonly token: string;
};

export type Joined = {
  readonly mesh: string;
  readonly service: string;
  readonly nodeId: string;
  readonly notAfterMs: number;
};

const PEM_BYTES_MAX = 65_536;

/**
 * A new folder of keys, by a token. Asked again after a failure it goes on with the key that it made.
 * @throws MeshError INVALID_KEYS with the issuer's reason, PEER_LOST
 */
export const joinMesh = async (folder: string, { issuer, token }: JoinOptions): Promise<Joined> => {
  const { fingerprint } = parseToken(token);
  makeKeyFolder(folder);
  const other = ["signing.json", "issuer.key"].find((name) => hasFile(join(folder, name)));
  if (other !== undefined) throw keysError(`${folder} is not a node's: it holds ${other}`);
  if (hasFile(join(folder, FILES.certificate))) throw keysError(`${folder} holds a certificate`);
  const key = keyOf(folder);
  const answer = await ask(
    issuer,
    key,
    {},
    { token: token.trim(), chain: [], revocations: 0, ...NO_LIST, tellsOnly: false },
    (spki) => {
      if (fingerprintOf(spki) === fingerprint) return;
      throw keysError(`${issuer} is not the issuer that the token names`);
    },
  );
  const { trust, signed } = trustOf(answer, key);
  clearUnfinished(folder, FILES.key);
  writeTrust(folder, trust);
  replaceFile(join(folder, FILES.issuer), `${JSON.stringify({ address: issuer })}\n`);
  writeNewFile(join(folder, FILES.certificate), toPem(answer.chain));
  return factsOf(signed);
};

/**
 * The certificate of a folder anew, from the issuer it joined through, and the newest list.
 * @throws MeshError INVALID_KEYS with the issuer's reason, PEER_LOST
 */
export const renewFromIssuer = async (folder: string): Promise<Joined> => {
  const { key, keyPem, chain, trust, issuer } = readNodeKeys(folder);
  if (issuer === undefined) throw keysError(`${folder} names no issuer`);
  const { authorities, revoked } = trust;
  const judged = judgeBy(trust);
  const { number } = revoked.revocations;
  const client = { cert: toPem(chain), key: keyPem };
  const answer = await ask(
    issuer.address,
    key,
    client,
    { token: "", chain, revocations: number, ...listOf(trust), tellsOnly: false },
    (_spki, der) => checkIssuer(der, judged),
  );
  const list = answer.revocations.length === 0 ? undefined : readList(answer.revocations);
  if (list !== undefined && !isSignedByOneOf(list, authorities)) {
    throw keysError("the issuer's list is signed by no authority of this node");
  }
  const isNewer = list !== undefined && list.revocations.number > number;
  const next = isNewer ? { ...judged, authorities: list.revocations.authorities } : judged;
  const signed = readChain(answer.chain, next);
  if ("code" in signed) throw keysError(`the issuer's certificate: ${signed.message}`);
  if (!Buffer.from(spkiOf(key)).equals(signed.leaf.publicKey)) {
    throw keysError("the issuer's certificate is of another key");
  }
  if (isNewer) {
    replaceTrustOf(folder, { ...trust, secrets: answer.meshSecrets, revoked: list });
  }
  replaceCertificate(folder, answer.chain);
  return factsOf(signed);
};

/**
 * Hands the issuer of a folder the signed list in it, so that it renews nothing that is revoked there.
 * @throws MeshError INVALID_KEYS with the issuer's reason, PEER_LOST
 */
export const tellIssuer = async (folder: string): Promise<void> => {
  const { key, keyPem, chain, trust, issuer } = readNodeKeys(folder);
  if (issuer === undefined) throw keysError(`${folder} names no issuer`);
  const told = listOf(trust);
  if (told.list.length === 0) throw keysError("the list is too large to tell: hand it as a file");
  const judged = judgeBy(trust);
  const { number } = trust.revoked.revocations;
  const client = { cert: toPem(chain), key: keyPem };
  const asked = { token: "", chain, revocations: number, ...told, tellsOnly: true };
  await ask(issuer.address, key, client, asked, (_spki, der) => checkIssuer(der, judged));
};

const judgeBy = ({ mesh, authorities, revoked }: TrustFiles): Trust => {
  const index = new RevokedIndex(revoked.revocations.revoked);
  return { mesh, authorities, revokes: index.has.bind(index) };
};

const listOf = ({ revoked, secrets }: TrustFiles): Pick<IssueQuestion, "list" | "secrets"> => {
  const { bytes, revocations } = revoked;
  if (bytes.length > TOLD_LIST_BYTES_MAX) return NO_LIST;
  const isNamed = areNamedBy(secrets, revocations.secretHashes);
  return { list: bytes, secrets: isNamed ? secrets : [] };
};

const NO_LIST = { list: new Uint8Array(0), secrets: [] };

/** The key of a folder that joins: made once, whatever becomes of the rest. */
const keyOf = (folder: string): KeyObject => {
  const path = join(folder, FILES.key);
  if (!hasFile(path)) writeNewFile(path, pemOf(generateIdentityKey()));
  return readPrivateKey(readKeyFile(path, "secret", PEM_BYTES_MAX).toString("latin1"), path);
};

type Asked = Omit<IssueQuestion, "publicKey" | "curveKey">;

const ask = async (
  address: string,
  key: KeyObject,
  client: ConnectionOptions,
  asked: Asked,
  check: (spki: Uint8Array, der: Uint8Array) => void,
): Promise<IssueAnswer> => {
  const socket = await open(address, client);
  const timer = setTimeout(() => socket.destroy(new Error("no answer in time")), EXCHANGE_MS);
  try {
    const shown = socket.getPeerX509Certificate();
    if (shown === undefined) throw keysError(`${address} shows no certificate`);
    check(new Uint8Array(shown.publicKey.export({ type: "spki", format: "der" })), shown.raw);
    const publicKey = spkiOf(key);
    const curveKey = curveKeysOf(key).publicKey;
    const request = encodeQuestion({ ...asked, publicKey, curveKey });
    const signature = new Uint8Array(sign(null, signedPart(socket, request), key));
    writeMessage(socket, encodeSigned({ request, signature }));
    const answer = decodeAnswer(await readMessage(socket, RESPONSE_BYTES_MAX));
    if (answer.refusal === "") return answer;
    throw keysError(`${address} refused: ${answer.refusal.slice(0, 300)}`);
  } catch (error) {
    if (MeshError.is(error)) throw error;
    if (error instanceof WireError) throw keysError(`${address}: ${error.reason}`, error);
    throw lost(address, error);
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
};

const open = (address: string, client: ConnectionOptions): Promise<TLSSocket> => {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || !(port > 0 && port < 65_536)) {
    throw new MeshError("INVALID_OPTIONS", `keys: the issuer ${address} is not host:port`);
  }
  return new Promise((resolve, reject) => {
    // Whose certificate it is, `check` decides before a word is said.
    const socket = connect({
      ...client,
      host,
      port,
      rejectUnauthorized: false,
      minVersion: "TLSv1.3",
    });
    const timer = setTimeout(
      () => socket.destroy(new Error("no connection in time")),
      EXCHANGE_MS / 2,
    );
    const fail = (error: Error): void => {
      clearTimeout(timer);
      reject(lost(address, error));
    };
    socket.once("error", fail);
    socket.once("secureConnect", () => {
      clearTimeout(timer);
      socket.off("error", fail);
      // Without a reader an error would end the process.
      socket.on("error", () => {});
      resolve(socket);
    });
  });
};

const checkIssuer = (der: Uint8Array, trust: Trust): void => {
  const certificate = readCertificate(der);
  if ("malformed" in certificate) throw keysError(`the issuer: ${certificate.malformed}`);
  const authority = trust.authorities.find((known) => isSignedBy(certificate, known));
  if (
    authority === undefined ||
    certificate.name.role !== "issuer" ||
    certificate.name.mesh !== trust.mesh
  ) {
    throw keysError("that is no issuer of this node's authority");
  }
  const bad = judgeChain([certificate, authority], trust, Date.now());
  if (bad !== undefined) throw keysError(bad.message);
};

/** What a token brought, checked as a folder would be. */
const trustOf = (
  answer: IssueAnswer,
  key: KeyObject,
): { trust: TrustFiles; signed: SignedChain } => {
  const authorities: Certificate[] = answer.authorities.map((der) => {
    const certificate = readCertificate(der);
    if ("malformed" in certificate) throw keysError(`the authority: ${certificate.malformed}`);
    return certificate;
  });
  const mesh = authorities[0]?.name.mesh ?? "";
  const revoked = readList(answer.revocations);
  if (revoked.revocations.mesh !== mesh || !isSignedByOneOf(revoked, authorities)) {
    throw keysError("the issuer's list is not signed by its authority");
  }
  const signed = readChain(answer.chain, { mesh, authorities, revokes: () => false });
  if ("code" in signed) throw keysError(`the issuer's certificate: ${signed.message}`);
  const isOwn = Buffer.from(spkiOf(key)).equals(signed.leaf.publicKey);
  const secrets = answer.meshSecrets;
  const isWhole = secrets.length > 0 && secrets.length <= SECRETS_MAX;
  if (!isOwn || !isWhole || secrets.some(({ length }) => length !== SECRET_BYTES)) {
    throw keysError("the issuer's answer is of another key, or has no secret");
  }
  return { trust: { mesh, authorities, secrets, revoked }, signed };
};

const readList = (bytes: Uint8Array): SignedRevocations => {
  try {
    return readRevocations(bytes);
  } catch (error) {
    if (error instanceof WireError) throw keysError(`the issuer's list: ${error.reason}`, error);
    throw error;
  }
};

const factsOf = ({ identity }: SignedChain): Joined => {
  const { mesh, service, nodeId, notAfterMs } = identity;
  return { mesh, service, nodeId, notAfterMs };
};

const lost = (address: string, cause: unknown): MeshError => {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new MeshError("PEER_LOST", `cannot ask the issuer ${address}: ${reason}`, { cause });
};
