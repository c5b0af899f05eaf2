/**
 * The life of certificates over running links: newer ones, lists of what is revoked, and what has expired.
 *
 * Problem: a certificate lives a day and a link longer; one that is stolen must lose its links before it expires; and
 * nothing may be lost for either. Approach: a node that renewed its certificate shows the new one over its links,
 * where it counts if its key is the one that was proved; the newest list of revocations goes over every link when it
 * is up and whenever a newer one was learned; each list, and each second, every peer is judged anew. One that is
 * revoked loses its link at once: what it had goes to others as if it had died, or waits. One that has expired gets
 * nothing new, finishes what it has for EXPIRED_DRAIN_MS, and then loses its link.
 *
 * Bound: a list of REVOCATIONS_BYTES_MAX, and no larger than the peer's frames.
 */
import type { Timer } from "../ports/clock.ts";
import { REVOCATIONS_BYTES_MAX, type Security } from "../ports/security.ts";
import type { CredentialsFrame } from "../wire/proof.ts";
import type { Environment } from "./environment.ts";
import type { Link } from "./link/link.ts";
import type { LinkTable } from "./link/link-table.ts";
import type { Producer } from "./producer/producer.ts";
import type { Requests } from "./requests.ts";

const SWEEP_MS = 1_000;
const EXPIRED_DRAIN_MS = 10_000;
/** Of a frame beside the list. */
const FRAME_REST = 1_024;

type ListParts = Pick<CredentialsFrame, "revocations" | "secrets">;
const NO_LIST: ListParts = { revocations: Buffer.alloc(0), secrets: [] };

export type CredentialsOwner = {
  /** Links with other nodes that are up. */
  links(): Iterable<Link>;
  /** The peer of this link may do other things than before. */
  rightsChanged(link: Link): void;
};

export class Credentials {
  readonly #env: Environment;
  readonly #security: Security;
  readonly #owner: CredentialsOwner;
  readonly #expiredMs = new Map<Link, number>();
  readonly #unlisten: () => void;
  #timer: Timer | undefined;

  constructor(env: Environment, security: Security, owner: CredentialsOwner) {
    this.#env = env;
    this.#security = security;
    this.#owner = owner;
    this.#unlisten = security.onChange((what) => {
      if (what === "renewed") this.#tellAll({ chain: security.self.chain, ...NO_LIST });
      else this.#tellAll({ chain: [], ...this.#list() });
      this.#judgeAll();
    });
    const { clock, logger, counters } = env;
    security.start({ clock, logger, count: (name) => counters.count(name) });
    this.#sweepLater();
  }

  linkUp(link: Link): void {
    const list = this.#list();
    if (link.proven !== undefined && list.revocations.length > 0)
      this.#tell(link, { chain: [], ...list });
  }

  linkDown(link: Link): void {
    this.#expiredMs.delete(link);
  }

  told(link: Link, { chain, revocations, secrets }: CredentialsFrame): void {
    if (link.proven === undefined) return;
    // Views of a frame: what is kept must not keep the frame.
    if (chain.length > 0)
      this.#shown(
        link,
        chain.map((one) => Uint8Array.from(one)),
      );
    if (revocations.length === 0 || revocations.length > REVOCATIONS_BYTES_MAX) return;
    const learned = this.#security.learnRevocations(Uint8Array.from(revocations), secrets);
    if (learned !== "refused") return;
    this.#env.counters.count("security.listRefused");
  }

  async stop(): Promise<void> {
    this.#unlisten();
    if (this.#timer !== undefined) this.#env.clock.clearTimer(this.#timer);
    await this.#security.stop();
  }

  // --- inside --------------------------------------------------------------------------------

  #shown(link: Link, chain: readonly Uint8Array[]): void {
    const { proven } = link;
    const fresh = this.#security.verify(chain, this.#env.clock.wallMs());
    if ("code" in fresh) {
      this.#env.counters.count("security.renewalRefused");
      this.#env.logger.warn("a peer's newer certificate is not accepted", { why: fresh.message });
      return;
    }
    const isSame =
      proven !== undefined &&
      fresh.nodeId === proven.nodeId &&
      fresh.service === proven.service &&
      Buffer.compare(fresh.publicKey, proven.publicKey) === 0;
    if (!isSame) {
      link.close("UNAUTHORIZED", "the newer certificate is another node's");
      return;
    }
    if (fresh.notBeforeMs < proven.notBeforeMs) return;
    link.renewed(fresh);
    link.expired = false;
    this.#expiredMs.delete(link);
    this.#owner.rightsChanged(link);
  }

  #judgeAll(): void {
    for (const link of [...this.#owner.links()]) this.#judge(link);
  }

  #judge(link: Link): void {
    const { proven } = link;
    if (proven === undefined) return;
    const refusal = this.#security.recheck(proven, this.#env.clock.wallMs());
    if (refusal === undefined) return;
    const { service, nodeId, serial } = proven;
    const nowMs = this.#env.clock.monotonicMs();
    if (refusal.code === "expired") {
      const sinceMs = this.#expiredMs.get(link);
      if (sinceMs === undefined) {
        this.#expiredMs.set(link, nowMs);
        link.expired = true;
        this.#env.counters.count("security.expired");
        this.#env.logger.warn("a peer's certificate has expired", { service, nodeId, serial });
      }
      if (nowMs - (sinceMs ?? nowMs) < EXPIRED_DRAIN_MS) return;
    }
    const why = refusal.message;
    this.#security.audit({
      who: proven,
      action: "join",
      subject: link.address,
      allowed: false,
      why,
    });
    link.close("UNAUTHORIZED", why);
  }

  #list(): ListParts {
    const { number, bytes, secrets } = this.#security.revocations();
    return number > 0 ? { revocations: bytes, secrets } : NO_LIST;
  }

  #tellAll(what: Omit<CredentialsFrame, "type" | "session">): void {
    for (const link of this.#owner.links()) this.#tell(link, what);
  }

  #tell(link: Link, what: Omit<CredentialsFrame, "type" | "session">): void {
    if (what.revocations.length + FRAME_REST > link.peer.frameBytesMax) {
      this.#env.counters.count("security.listTooLarge");
      return;
    }
    link.send({ type: "credentials", session: link.session, ...what });
  }

  #sweepLater(): void {
    this.#timer = this.#env.clock.setTimer(SWEEP_MS, () => {
      this.#judgeAll();
      this.#sweepLater();
    });
  }
}

/** Undefined: the node has no keys. */
export const credentialsOf = (
  env: Environment,
  table: LinkTable,
  { producer, requests }: { readonly producer: Producer; readonly requests: Requests },
): Credentials | undefined => {
  const security = env.access?.security;
  if (security === undefined) return undefined;
  const { nodeId } = security.self;
  return new Credentials(env, security, {
    links: () => [...table.live()].filter((peer) => peer.nodeId !== nodeId).map(({ link }) => link),
    rightsChanged: (link) => {
      producer.members.rightsChanged(link);
      requests.rightsChanged(link);
    },
  });
};
