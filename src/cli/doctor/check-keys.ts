/**
 * Whether keys can be used, and whether a peer and they trust each other: by TLS alone.
 */
import type { Socket } from "node:net";
import { connect, type DetailedPeerCertificate } from "node:tls";
import { type LoadedSecurity, loadSecurity } from "../../security/index.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";

const ANSWER_MS = 3_000;
/** A certificate with less of its life left should have been renewed. */
const RENEWED_BY = 0.25;

/** `security` is absent where there are no keys, or none that can be used. */
export const checkKeys = async (
  folder: string | undefined,
  mesh: string | undefined,
): Promise<{ readonly findings: Finding[]; readonly security?: LoadedSecurity }> => {
  if (folder === undefined) return { findings: [] };
  let security: LoadedSecurity;
  try {
    security = loadSecurity(folder);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    const remedy = "meshbus keys inspect says what is in it; issue, renew or join anew";
    return { findings: [problem("keys", said, remedy)] };
  }
  const { self } = security;
  const until = new Date(self.notAfterMs).toISOString();
  const who = `${self.service} ${self.nodeId} of mesh "${self.mesh}"`;
  const findings = [ok("keys", `${folder} is of ${who}, until ${until}`)];
  const left = (self.notAfterMs - Date.now()) / (self.notAfterMs - self.notBeforeMs);
  if (left < RENEWED_BY) {
    const found = `${Math.round(left * 100)} % of the certificate's life is left: nobody renewed it`;
    const remedy = "does the issuer run, and is it reached? or meshbus keys renew";
    findings.push(warning("keys", found, remedy));
  }
  if (mesh !== undefined && mesh !== self.mesh) {
    const found = `the keys are of mesh "${self.mesh}", not "${mesh}"`;
    findings.push(
      problem("keys", found, "give the node the option mesh that its certificate names"),
    );
  }
  return { findings, security };
};

/** What a peer that takes TLS shows, and whether it takes these keys. */
export const checkTrust = async (
  security: LoadedSecurity,
  address: string,
  target: { readonly host: string; readonly port: number },
): Promise<Finding> => {
  if (!/^(tcp|grpc):/.test(address)) return checkCurve(address);
  const { cert, key, ca } = security.tls();
  const socket = connect({
    ...target,
    ...{ cert, key, ca: [...ca], minVersion: "TLSv1.3", rejectUnauthorized: true },
    checkServerIdentity: () => undefined, // names of hosts say nothing about nodes
  });
  try {
    const failure = await outcomeOf(socket);
    if (failure !== undefined) return refused(address, failure);
    const chain = chainOf(socket.getPeerCertificate(true));
    const peer = security.verify(chain, Date.now());
    if ("code" in peer) {
      return problem(
        "trust",
        `${address} shows a certificate that is not accepted: ${peer.message}`,
        REISSUE,
      );
    }
    const until = new Date(peer.notAfterMs).toISOString();
    return ok("trust", `${address} is ${peer.service} ${peer.nodeId}, until ${until}`);
  } finally {
    socket.destroy();
  }
};

const REISSUE = "compare both with meshbus keys inspect; issue or renew the one that is wrong";

const checkCurve = (address: string): Finding => {
  if (/\?curve=[\w-]{43}$/.test(address)) {
    const found = `${address} was connected to only: ZeroMQ shows no certificate`;
    return warning("trust", found, "try the node's tcp:// address as well");
  }
  const remedy =
    "add ?curve= and the node's key (meshbus keys inspect shows it), or name its tcp:// address, which needs none";
  return problem(
    "trust",
    `${address} lacks the key that ZeroMQ needs to dial a node with keys`,
    remedy,
  );
};

/** The code of what went wrong; undefined: it speaks, so it has taken these keys. */
const outcomeOf = (socket: Socket): Promise<string | undefined> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve("no answer within 3 s"), ANSWER_MS);
    const end = (code: string | undefined): void => {
      clearTimeout(timer);
      resolve(code);
    };
    // A node speaks first, once it has accepted the certificate; one that has not says so in an alert.
    socket.once("data", () => end(undefined));
    socket.once("error", (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
    socket.once("close", () => end("closed"));
  });

const refused = (address: string, code: string): Finding => {
  if (/WRONG_VERSION|HTTP_REQUEST|PACKET_LENGTH|ECONNRESET|closed|no answer/.test(code)) {
    const remedy = "has that node keys? all nodes of a mesh have them, or none: meshbus keys issue";
    return problem(
      "trust",
      `${address} does not speak TLS as a node with keys does (${code})`,
      remedy,
    );
  }
  if (/EXPIRED|NOT_YET_VALID/.test(code)) {
    const remedy = "renew it, and compare the clocks of both hosts";
    return problem("trust", `the certificate of ${address} is not valid now (${code})`, remedy);
  }
  if (/ALERT/.test(code)) {
    const remedy =
      "is it revoked there, or of an authority that it does not trust? its log says which";
    return problem("trust", `${address} does not take these keys (${code})`, remedy);
  }
  return problem("trust", `${address} is not trusted (${code})`, REISSUE);
};

/** Leaf first, without the authority, whose signer is itself. */
const chainOf = (leaf: DetailedPeerCertificate): Uint8Array[] => {
  const chain = [leaf.raw];
  for (let at = leaf; at.issuerCertificate !== undefined && at.issuerCertificate !== at; ) {
    at = at.issuerCertificate;
    if (at.issuerCertificate === at || at.issuerCertificate === undefined) break;
    chain.push(at.raw);
  }
  return chain;
};
