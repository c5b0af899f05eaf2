/**
 * Join tokens: one node each, for one service with fixed rights, for a short time.
 *
 * Problem: a token is a secret on its way through scripts and chats; it must be worth nothing soon, and
 * nothing a second time, also when two use it at once or the issuer dies while it is used. Approach: a
 * token names the issuer's key, so that whoever joins knows whom to trust before it says anything; at the
 * issuer only its hash is kept. Using it links a file that names the key it was used for into place:
 * that happens once, whatever runs beside it, and is synced before a certificate is signed.
 *
 * Invariant: a token gives certificates for one key only. The same key may ask again until the token
 * ends, so that an answer that was lost loses no token.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { linkSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../errors.ts";
import { type Authority, DAY_MS, NODE_LIFE_MS_MAX } from "./authority.ts";
import { isIdentityName, NAME_RULE } from "./identity-name.ts";
import { fingerprintOf } from "./issue-protocol.ts";
import {
  hasFile,
  keysError,
  makeKeyFolder,
  readKeyFile,
  removeFile,
  syncFolder,
  writeNewFile,
} from "./key-files.ts";
import { type RightsOptions, rightsOf } from "./rights.ts";

const FOLDER = "tokens";
const PREFIX = "mbj1";
const ID = /^[A-Za-z0-9_-]{16}$/;
const BYTES_MAX = 65_536;
/** Tokens that were not used and have not ended. */
export const TOKENS_MAX = 1_000;
const EXPIRE_MS_MAX = 30 * DAY_MS;
const REFUSED = "the token is not known here, was used, or has ended";

export type TokenOptions = RightsOptions & {
  readonly service: string;
  /** How long the node's certificates live; default 1 day. */
  readonly lifeMs?: number;
  /** How long the token may be used; default 1 h, at most 30 days. */
  readonly expireMs?: number;
};

export type TokenText = {
  readonly fingerprint: string;
  readonly id: string;
  readonly secret: string;
};

/** What a token stands for. */
export type TokenGrant = {
  readonly id: string;
  readonly service: string;
  readonly rights: RightsOptions;
  readonly lifeMs: number;
};

type Stored = Omit<TokenGrant, "id"> & { readonly hash: string; readonly endMs: number };

/** @throws MeshError INVALID_OPTIONS, INVALID_SUBJECT, INVALID_KEYS */
export const createToken = (
  issuer: Authority,
  options: TokenOptions,
  nowMs: number = Date.now(),
): string => {
  const { service, lifeMs = DAY_MS, expireMs = 3_600_000, ...rights } = options;
  if (!issuer.isIssuer) throw keysError("tokens are an issuer's: make one with createIssuer()");
  if (!isIdentityName(service)) throw invalid(`service must be ${NAME_RULE}`);
  if (!(lifeMs >= 10_000 && lifeMs <= NODE_LIFE_MS_MAX)) {
    throw invalid(`lifeMs is ${lifeMs}, must be 10,000 to ${NODE_LIFE_MS_MAX}`);
  }
  if (!(expireMs >= 1_000 && expireMs <= EXPIRE_MS_MAX)) {
    throw invalid(`expireMs is ${expireMs}, must be 1,000 to ${EXPIRE_MS_MAX}`);
  }
  const folder = join(issuer.folder, FOLDER);
  makeKeyFolder(folder);
  if (forgetEnded(folder, nowMs) >= TOKENS_MAX) {
    throw keysError(`${folder} holds ${TOKENS_MAX} tokens: wait until some have ended`);
  }
  const id = randomBytes(12).toString("base64url");
  const secret = randomBytes(24).toString("base64url");
  const stored: Stored = {
    hash: hashOf(secret).toString("hex"),
    service,
    rights: rightsOf(rights),
    lifeMs,
    endMs: nowMs + expireMs,
  };
  writeNewFile(join(folder, `${id}.json`), `${JSON.stringify(stored)}\n`);
  const { publicKey } = issuer.signing.certificate;
  return [PREFIX, fingerprintOf(publicKey), id, secret].join(".");
};

/** @throws MeshError INVALID_KEYS for any other text */
export const parseToken = (text: string): TokenText => {
  const [prefix, fingerprint, id, secret, ...more] = text.trim().split(".", 5);
  const isWhole = prefix === PREFIX && fingerprint?.length === 43 && more.length === 0;
  if (
    !isWhole ||
    id === undefined ||
    !ID.test(id) ||
    secret === undefined ||
    secret.length !== 32
  ) {
    throw keysError("that is no join token");
  }
  return { fingerprint, id, secret };
};

/**
 * Uses a token for a key: synced when it returns.
 * @throws MeshError INVALID_KEYS, with one message for all that is wrong with a token
 */
export const useToken = (
  issuer: Authority,
  text: string,
  keyId: string,
  nowMs: number,
): TokenGrant => {
  const { id, secret } = parseToken(text);
  const folder = join(issuer.folder, FOLDER);
  const stored = readStored(folder, id);
  const hash = Buffer.from(stored?.hash ?? "00".repeat(32), "hex");
  const isRight = timingSafeEqual(hashOf(secret), hash);
  if (stored === undefined || !isRight || stored.endMs < nowMs) throw keysError(REFUSED);
  const used = join(folder, `${id}.used`);
  const claim = join(folder, `${id}.${randomBytes(6).toString("hex")}.claim`);
  if (!hasFile(used)) {
    writeNewFile(claim, keyId);
    try {
      linkSync(claim, used);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    } finally {
      removeFile(claim);
    }
    syncFolder(folder);
  }
  if (readKeyFile(used, "public", BYTES_MAX).toString("latin1") !== keyId) throw keysError(REFUSED);
  const { service, rights, lifeMs } = stored;
  return { id, service, rights, lifeMs };
};

/** Drops what has ended; how many tokens are left that were not used. */
const forgetEnded = (folder: string, nowMs: number): number => {
  let left = 0;
  for (const name of readdirSync(folder)) {
    const id = name.split(".", 1)[0] ?? "";
    if (!ID.test(id)) continue;
    // Left by a process that was killed while it used a token.
    if (name.endsWith(".claim") && !hasFile(join(folder, `${id}.json`))) {
      removeFile(join(folder, name));
    }
    if (!name.endsWith(".json")) continue;
    const stored = readStored(folder, id);
    const used = join(folder, `${id}.used`);
    if (stored !== undefined && stored.endMs >= nowMs) {
      if (!hasFile(used)) left++;
      continue;
    }
    removeFile(join(folder, name));
    removeFile(used);
  }
  return left;
};

const readStored = (folder: string, id: string): Stored | undefined => {
  const path = join(folder, `${id}.json`);
  if (!hasFile(path)) return undefined;
  return JSON.parse(readKeyFile(path, "secret", BYTES_MAX).toString("utf8")) as Stored;
};

const hashOf = (secret: string): Buffer => createHash("sha256").update(secret).digest();

const invalid = (message: string): MeshError =>
  new MeshError("INVALID_OPTIONS", `keys: ${message}`);
