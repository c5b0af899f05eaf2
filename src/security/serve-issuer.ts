/**
 * An issuer at work: signs for join tokens, and renews what it or its authority signed.
 *
 * Problem: it holds a key that makes members, and listens to a network. Approach: TLS 1.3 only; one
 * question and one answer a connection, each bounded in bytes and time; connections bounded in all, and
 * questions by the address they come from, those that were refused far more tightly. A renewal needs the
 * living certificate and the proof of its key, twice: as the client's certificate in TLS, and by the
 * signature over this connection; it changes nothing but the time.
 *
 * Invariants: nothing is signed before the token's use is on the disk; no question can make it throw or
 * stop; what is refused says no more than that a token is not good.
 */
import { type KeyObject, verify } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import { RateLimiter, type RatePolicy } from "../core/rate-limiter.ts";
import { MeshError } from "../errors.ts";
import type { Logger } from "../ports/logger.ts";
import { WireError } from "../wire/wire-error.ts";
import type { Authority } from "./authority.ts";
import { nodeIdOfKey, publicKeyOf } from "./identity-key.ts";
import {
  decodeQuestion,
  decodeSigned,
  EXCHANGE_MS,
  encodeAnswer,
  type IssueAnswer,
  type IssueQuestion,
  REQUEST_BYTES_MAX,
  readMessage,
  signedPart,
  writeMessage,
} from "./issue-protocol.ts";
import { useToken } from "./join-tokens.ts";
import { keysError } from "./key-files.ts";
import { replaceTrustOf, type TrustFiles } from "./keys-folder.ts";
import { pemOf } from "./open-authority.ts";
import { toPem } from "./pem.ts";
import {
  isSignedByOneOf,
  RevokedIndex,
  readRevocations,
  type SignedRevocations,
} from "./revocation-list.ts";
import { judgeChain, readChain, type SignedChain } from "./verify-chain.ts";

export type ServeIssuerOptions = {
  /** Default "127.0.0.1". */
  readonly host?: string;
  /** Default 0: a free one. */
  readonly port?: number;
  /** Hears of each certificate and each refusal. */
  readonly logger?: Logger;
};

export interface IssuerService {
  /** "host:port". */
  readonly address: string;
  stop(): Promise<void>;
}

/** Bounds: docs/limits.md. */
const CONNECTIONS_MAX = 256;
const CONNECTIONS_OF_ADDRESS_MAX = 32;
const ADDRESSES_MAX = 1_024;
const ASKED: RatePolicy = { perSecond: 10, burst: 100 };
const REFUSED: RatePolicy = { perSecond: 1 / 6, burst: 10 };
const RENEWED: RatePolicy = { perSecond: 1 / 60, burst: 10 };

/** @throws MeshError INVALID_KEYS, ADDRESS_IN_USE */
export const serveIssuer = async (
  issuer: Authority,
  options: ServeIssuerOptions = {},
): Promise<IssuerService> => {
  if (!issuer.isIssuer) throw keysError(`${issuer.folder} is no issuer: make one for it`);
  const desk = new IssuerDesk(issuer, options.logger);
  const sockets = new Set<Socket>();
  const server = createServer({
    ...contextOf(issuer),
    requestCert: true,
    // Who has no certificate yet has a token; a certificate is judged by our own rules, below.
    rejectUnauthorized: false,
    handshakeTimeout: EXCHANGE_MS / 2,
  });
  server.maxConnections = CONNECTIONS_MAX;
  let signing = issuer.signing;
  const connected = new Map<string, number>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    const from = socket.remoteAddress ?? "";
    const count = (connected.get(from) ?? 0) + 1;
    connected.set(from, count);
    socket.once("close", () => {
      sockets.delete(socket);
      const left = (connected.get(from) ?? 1) - 1;
      if (left > 0) connected.set(from, left);
      else connected.delete(from);
    });
    if (count > CONNECTIONS_OF_ADDRESS_MAX) socket.destroy();
    // A renewed certificate of the issuer is shown from the next connection on.
    if (signing === issuer.signing) return;
    signing = issuer.signing;
    server.setSecureContext(contextOf(issuer));
  });
  server.on("secureConnection", (socket) => {
    socket.on("error", () => {});
    void desk.answer(socket);
  });
  server.on("tlsClientError", () => {});
  const { host = "127.0.0.1", port = 0 } = options;
  await listen(server, host, port);
  const bound = server.address();
  const boundPort = typeof bound === "object" && bound !== null ? bound.port : port;
  const shownHost = host.includes(":") ? `[${host}]` : host;
  return {
    address: `${shownHost}:${boundPort}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
};

class IssuerDesk {
  readonly #issuer: Authority;
  readonly #logger: Logger | undefined;
  readonly #asked = new Rates(ASKED);
  readonly #refused = new Rates(REFUSED);
  readonly #renewed = new Rates(RENEWED);

  constructor(issuer: Authority, logger: Logger | undefined) {
    this.#issuer = issuer;
    this.#logger = logger;
  }

  /** One question, one answer, whatever comes. */
  async answer(socket: TLSSocket): Promise<void> {
    const from = socket.remoteAddress ?? "";
    const timer = setTimeout(() => socket.destroy(), EXCHANGE_MS);
    try {
      const answer = await this.#answerTo(socket, from);
      writeMessage(socket, encodeAnswer(answer));
      socket.end();
      socket.resume();
    } catch {
      // It hung up, or its bytes were none of ours.
      socket.destroy();
    } finally {
      socket.once("close", () => clearTimeout(timer));
      if (socket.destroyed) clearTimeout(timer);
    }
  }

  async #answerTo(socket: TLSSocket, from: string): Promise<IssueAnswer> {
    const nowMs = performance.now();
    if (this.#asked.admit(from, nowMs) > 0 || this.#refused.waitMs(from, nowMs) > 0) {
      return refused("too many questions from this address: try again in a minute");
    }
    try {
      const question = await askedBy(socket);
      const answer =
        question.token === "" ? this.#renew(question, socket) : this.#join(question, socket);
      return answer;
    } catch (error) {
      this.#refused.admit(from, performance.now());
      if (!(MeshError.is(error) || error instanceof WireError)) throw error;
      this.#logger?.warn("refused", { from, reason: error.message });
      return refused(MeshError.is(error) ? error.message : "that was no question");
    }
  }

  #join(question: IssueQuestion, socket: TLSSocket): IssueAnswer {
    const { publicKey, curveKey } = question;
    const keyId = nodeIdOfKey(publicKey);
    const nowMs = Date.now();
    const grant = useToken(this.#issuer, question.token, keyId, nowMs);
    const { service, rights, lifeMs, id } = grant;
    const chain = this.#issuer.issue(
      { service, rights, lifeMs, publicKey, curveKey, token: id },
      nowMs,
    );
    this.#logger?.info("joined", { service, nodeId: keyId, from: socket.remoteAddress, token: id });
    const { authorities, secrets, revoked } = this.#issuer.trust;
    return {
      chain,
      revocations: revoked.bytes,
      authorities: authorities.map(({ der }) => der),
      meshSecrets: secrets,
      refusal: "",
    };
  }

  #renew(question: IssueQuestion, socket: TLSSocket): IssueAnswer {
    const { chain, publicKey, curveKey, revocations } = question;
    const nowMs = Date.now();
    const signed = this.#judged(chain, nowMs);
    const { leaf, identity } = signed;
    const shown = socket.getPeerX509Certificate()?.raw;
    if (shown === undefined || !shown.equals(leaf.der)) {
      throw keysError("the certificate to renew is not that of the connection");
    }
    // It may be the first to say that it is revoked, or somebody else.
    if (this.#learn(question)) this.#judged(chain, nowMs);
    if (question.tellsOnly) return NOTHING;
    const same = Buffer.from(publicKey).equals(leaf.publicKey);
    const { certified } = leaf;
    if (!same || certified === undefined || !Buffer.from(curveKey).equals(identity.curveKey)) {
      throw keysError("a renewal changes no key");
    }
    if (certified.idGiven) throw keysError("the authority gave this id: let it renew");
    if (this.#renewed.admit(identity.nodeId, performance.now()) > 0) {
      throw keysError("renewed too often: try again in a minute");
    }
    const { service } = identity;
    const { rights, lifeMs } = certified;
    const next = this.#issuer.issue({ service, rights, lifeMs, publicKey, curveKey }, nowMs);
    const { nodeId } = identity;
    this.#logger?.info("renewed", { service, nodeId, from: socket.remoteAddress });
    const { revoked, secrets } = this.#issuer.trust;
    const isNewer = revoked.revocations.number > revocations;
    if (!isNewer) return { ...NOTHING, chain: next };
    return { ...NOTHING, chain: next, revocations: revoked.bytes, meshSecrets: secrets };
  }

  #judged(chain: readonly Uint8Array[], nowMs: number): SignedChain {
    const { mesh, authorities, revoked } = this.#issuer.trust;
    const index = new RevokedIndex(revoked.revocations.revoked);
    const trust = { mesh, authorities, revokes: index.has.bind(index) };
    const signed = readChain(chain, trust);
    if ("code" in signed) throw keysError(signed.message);
    const bad = judgeChain(signed.certificates, trust, nowMs);
    if (bad !== undefined) throw keysError(bad.message);
    return signed;
  }

  /** Takes a newer list from a member. */
  #learn({ list, secrets }: IssueQuestion): boolean {
    if (list.length === 0) return false;
    const { trust, folder } = this.#issuer;
    const revoked = listOf(list, trust);
    if (revoked.revocations.number <= trust.revoked.revocations.number) return false;
    replaceTrustOf(folder, { ...trust, revoked, secrets });
    this.#logger?.info("a newer list was told", { number: revoked.revocations.number });
    return true;
  }
}

/** What a list says is from its signer, whoever hands it over. */
const listOf = (bytes: Uint8Array, { mesh, authorities }: TrustFiles): SignedRevocations => {
  const signed = readRevocations(bytes);
  if (signed.revocations.mesh === mesh && isSignedByOneOf(signed, authorities)) return signed;
  throw keysError("the list is signed by no authority that this issuer trusts");
};

/** The question, signed by the key that it names, for this connection. @throws MeshError, WireError */
const askedBy = async (socket: TLSSocket): Promise<IssueQuestion> => {
  const { request, signature } = decodeSigned(await readMessage(socket, REQUEST_BYTES_MAX));
  const question = decodeQuestion(request);
  const key: KeyObject | undefined = publicKeyOf(question.publicKey);
  if (key === undefined || !verify(null, signedPart(socket, request), key, signature)) {
    throw keysError("the question is not signed by the key that it names");
  }
  return question;
};

const NONE = new Uint8Array(0);
const NOTHING: IssueAnswer = {
  chain: [],
  revocations: NONE,
  authorities: [],
  meshSecrets: [],
  refusal: "",
};

const refused = (refusal: string): IssueAnswer => ({ ...NOTHING, refusal });

/** A rate for each name; past ADDRESSES_MAX names the oldest is forgotten. */
class Rates {
  readonly #policy: RatePolicy;
  readonly #limiters = new Map<string, RateLimiter>();

  constructor(policy: RatePolicy) {
    this.#policy = policy;
  }

  admit(name: string, nowMs: number): number {
    return this.#of(name).admit(nowMs);
  }

  waitMs(name: string, nowMs: number): number {
    return this.#limiters.get(name)?.waitMs(nowMs) ?? 0;
  }

  #of(name: string): RateLimiter {
    const known = this.#limiters.get(name) ?? new RateLimiter(this.#policy);
    this.#limiters.delete(name);
    this.#limiters.set(name, known);
    if (this.#limiters.size > ADDRESSES_MAX) {
      const [oldest] = this.#limiters.keys();
      if (oldest !== undefined) this.#limiters.delete(oldest);
    }
    return known;
  }
}

const contextOf = ({
  signing,
  trust,
}: {
  signing: Authority["signing"];
  trust: TrustFiles;
}): object => ({
  key: pemOf(signing.key),
  cert: toPem([signing.certificate.der]),
  ca: trust.authorities.map(({ der }) => toPem([der])),
  minVersion: "TLSv1.3",
});

const listen = (server: Server, host: string, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => {
      const code = cause.code === "EADDRINUSE" ? "ADDRESS_IN_USE" : "INVALID_OPTIONS";
      reject(new MeshError(code, `cannot listen on ${host}:${port}: ${cause.code}`, { cause }));
    });
    server.listen(port, host, () => {
      server.removeAllListeners("error");
      server.on("error", () => {}); // an accept that fails does not end the service
      resolve();
    });
  });
