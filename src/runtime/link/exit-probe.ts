/**
 * Whether the process behind a lost link is gone for sure: its host says that nobody listens where it did.
 *
 * Problem: a lease must run out before a peer counts as dead, since a link that broke tells nothing of a process; but
 * where nothing depends on who owns what, waiting for it is a second lost. Approach: a connection is tried where the
 * peer listened. One that is refused is an answer of the peer's host, which an address of a process that lives does
 * not give; silence says nothing. A process that ends closes its sockets one by one, within milliseconds, and its
 * listener breaks what its backlog still took: so a connection is kept, and its end is when to look again. One that
 * closed in order, or said why, lives: a look would stand in its way, since an event loop takes one connection a turn,
 * and on a host that has no time many links end so.
 *
 * Only addresses that lead where the link did are tried: the one that was dialled, or those on the host that it came
 * from. Another one may be true in the peer's network alone, and name something else here.
 * Bound: after a lost link a connection for each of LOOKS_MS, one at a time, for PROBE_MS or KEPT_MS; one that
 * lives is given one.
 */
import { MeshError } from "../../errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Connection, Transport } from "../../ports/transport.ts";
import { asReached } from "./better-addresses.ts";
import type { Link } from "./link.ts";

const PROBE_MS = 500;
/** Whoever has not ended what it took by then lives, or stands still. */
const KEPT_MS = 220;
/** Pauses before each look, after what the one before came to: twice at once, for a listener ends within a millisecond. */
const LOOKS_MS = [0, 0, 1, 4, 15, 50, 150] as const;

export class ExitProbe {
  readonly #clock: Clock;
  readonly #transports: readonly Transport[];
  readonly #isLost: (nodeId: string) => boolean;
  readonly #gone: (nodeId: string) => void;

  /** `gone` hears of a process that is no more; nobody looks for one that `isLost` no longer. */
  constructor(
    clock: Clock,
    transports: readonly Transport[],
    isLost: (nodeId: string) => boolean,
    gone: (nodeId: string) => void,
  ) {
    this.#clock = clock;
    this.#transports = transports;
    this.#isLost = isLost;
    this.#gone = gone;
  }

  /** The link has ended: "" is a connection that broke, TIMEOUT one that was silent. */
  look(link: Link, code: string): void {
    if (code !== "" && code !== "TIMEOUT") return;
    const address = placeOf(link);
    const transport = this.#transports.find(({ scheme }) => address?.startsWith(`${scheme}://`));
    if (address === undefined || transport === undefined) return;
    // One that fell silent is not about to end just now.
    const first = code === "" ? 0 : LOOKS_MS.length - 1;
    this.#lookAgain(link.peer.nodeId, transport, address, first);
  }

  #lookAgain(nodeId: string, transport: Transport, address: string, look: number): void {
    const delayMs = LOOKS_MS[look];
    if (delayMs === undefined) return;
    const again = (): void => this.#lookAgain(nodeId, transport, address, look + 1);
    const dial = (): void => {
      if (!this.#isLost(nodeId)) return;
      transport.dial(address, { timeoutMs: PROBE_MS }).then(
        (connection) => this.#keep(connection, again),
        (error: unknown) => {
          const isRefused = MeshError.is(error) && error.details.refused === true;
          if (!isRefused) again();
          else if (this.#isLost(nodeId)) this.#gone(nodeId);
        },
      );
    };
    if (delayMs === 0) dial();
    else this.#clock.setTimer(delayMs, dial);
  }

  /** Calls `ended` when the other side ends it. */
  #keep(connection: Connection, ended: () => void): void {
    let isOver = false;
    const timer = this.#clock.setTimer(KEPT_MS, () => {
      isOver = true;
      connection.close();
    });
    connection.open({
      frame: () => {},
      drained: () => {},
      closed: () => {
        this.#clock.clearTimer(timer);
        if (!isOver) ended();
      },
    });
  }
}

/** Where the peer of the link listened, as seen from here. */
const placeOf = ({ dialled, address, peer }: Link): string | undefined => {
  if (dialled) return address;
  const host = hostOf(address);
  return asReached(peer.addresses, address).find((one) => hostOf(one) === host);
};

const hostOf = (address: string): string => address.slice(0, address.lastIndexOf(":"));
