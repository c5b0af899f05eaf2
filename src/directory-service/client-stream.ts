/**
 * One client of a directory: what it announces, and what it has still to be told.
 *
 * Problem: the others come and go faster than a slow client reads. Approach: only the ids of nodes with news are
 * kept for it, each once; what there is to say of them is looked up when the client takes more.
 *
 * Bounds: one message of about MESSAGE_BYTES on its way to it, and the next not within SEND_GAP_MS; a client that
 * takes nothing for STUCK_MS, says nothing for SILENCE_MS, or did not announce itself by then is closed; one that
 * says too much or nonsense is refused.
 *
 * States: new -> announced -> over, or new -> over. Nothing is sent to one that is over.
 */
import { RateLimiter } from "../core/rate-limiter.ts";
import type { Clock, Timer } from "../ports/clock.ts";
import type { Connection } from "../ports/transport.ts";
import { WireError } from "../wire/wire-error.ts";
import {
  ALIVE_MS,
  type AnnounceRequest,
  type AnnounceResponse,
  decodeRequest,
  encodeResponse,
  entryBytesMax,
  type NodeEntry,
  REQUEST_BYTES_MAX,
  SILENCE_MS,
} from "./directory-messages.ts";
import { checkedEntry, type OtherSide, withoutHostLocal } from "./node-entry.ts";

export interface StreamOwner {
  readonly mesh: string;
  readonly clock: Clock;
  /** Nodes there is something to say of. */
  nodeIds(): Iterable<string>;
  find(nodeId: string): NodeEntry | undefined;
  /** The client says where its node is. False: there is no room. */
  announced(stream: ClientStream, entry: NodeEntry): boolean;
  refused(stream: ClientStream, code: string, message: string): void;
  /** The stream has ended; `broke`: without a goodbye. */
  over(stream: ClientStream, broke: boolean): void;
}

const MESSAGE_BYTES = 32_768;
const SEND_GAP_MS = 50;
const STUCK_MS = 8_000;
/** Messages of a client. */
const RATE = { perSecond: 2, burst: 20 };
const EMPTY: AnnounceResponse = {
  there: [],
  gone: [],
  listed: false,
  refusal: undefined,
  alive: false,
};

export class ClientStream {
  /** As the board knows it. */
  readonly source: number;
  readonly from: OtherSide;
  readonly #connection: Connection;
  readonly #owner: StreamOwner;
  readonly #rate = new RateLimiter(RATE);
  /** Ids of nodes with news. */
  readonly #news = new Set<string>();
  #state: "new" | "announced" | "over" = "new";
  #nodeId = "";
  #isListed = false;
  #heardAtMs: number;
  #sentAtMs: number;
  #sendTimer: Timer | undefined;
  #lookTimer: Timer | undefined;

  constructor(source: number, from: OtherSide, connection: Connection, owner: StreamOwner) {
    this.source = source;
    this.from = from;
    this.#connection = connection;
    this.#owner = owner;
    this.#heardAtMs = owner.clock.monotonicMs();
    this.#sentAtMs = this.#heardAtMs - SEND_GAP_MS;
    this.#look();
    connection.open({
      frame: (bytes) => this.#heard(bytes),
      drained: () => this.#send(),
      closed: (reason) => this.#end(reason !== undefined),
    });
  }

  /** There may be news of the node. */
  tell(nodeId: string): void {
    if (this.#state !== "announced" || nodeId === this.#nodeId) return;
    this.#news.add(nodeId);
    this.#send();
  }

  refuse(code: string, message: string): void {
    if (this.#state === "over") return;
    this.#connection.send(encodeResponse({ ...EMPTY, refusal: { code, message } }));
    this.#owner.refused(this, code, message);
    this.close(false);
  }

  /** Says goodbye, and ends it; `broke`: its statement stays for the grace. */
  close(broke: boolean): void {
    this.#connection.close();
    this.#end(broke);
  }

  // --- inside --------------------------------------------------------------------------------

  #heard(bytes: Uint8Array): void {
    if (this.#state === "over") return;
    const { clock, mesh } = this.#owner;
    this.#heardAtMs = clock.monotonicMs();
    if (bytes.length > REQUEST_BYTES_MAX) {
      const size = `a message of ${bytes.length} B`;
      this.refuse("PAYLOAD_TOO_LARGE", `${size} exceeds the ${REQUEST_BYTES_MAX} B of a client`);
      return;
    }
    if (this.#rate.admit(this.#heardAtMs) > 0) {
      this.refuse("RATE_LIMITED", `more than ${RATE.perSecond} messages a second`);
      return;
    }
    let request: AnnounceRequest;
    try {
      request = decodeRequest(bytes);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.refuse("MALFORMED", error.reason);
      return;
    }
    if (request.node === undefined) {
      if (this.#state === "new") this.refuse("MALFORMED", "the announcement comes first");
    } else if (request.mesh !== mesh) {
      const other = `"${request.mesh.slice(0, 80)}"`;
      this.refuse("WRONG_MESH", `this directory is of the mesh "${mesh}", not of ${other}`);
    } else {
      this.#announced(request.node);
    }
  }

  #announced(said: NodeEntry): void {
    const entry = checkedEntry(said, this.from);
    if (typeof entry === "string") {
      this.refuse("MALFORMED", entry);
      return;
    }
    if (this.#state === "announced" && entry.nodeId !== this.#nodeId) {
      this.refuse("MALFORMED", "a call announces one node");
      return;
    }
    const isNew = this.#state === "new";
    this.#nodeId = entry.nodeId;
    this.#state = "announced";
    if (!this.#owner.announced(this, entry)) {
      this.refuse("FULL", "the directory has no room for another node");
      return;
    }
    if (!isNew) return;
    for (const nodeId of this.#owner.nodeIds()) if (nodeId !== this.#nodeId) this.#news.add(nodeId);
    this.#send();
  }

  /** Says what there is to say, if it may: the client has taken what was said before, and some time has passed. */
  #send(): void {
    if (this.#state !== "announced" || this.#sendTimer !== undefined) return;
    if (this.#connection.bufferedBytes > 0) return; // `drained` comes
    if (this.#news.size === 0 && this.#isListed) return;
    const { clock } = this.#owner;
    const waitMs = this.#sentAtMs + SEND_GAP_MS - clock.monotonicMs();
    if (waitMs > 0) {
      this.#sendTimer = clock.setTimer(waitMs, () => {
        this.#sendTimer = undefined;
        this.#send();
      });
      return;
    }
    this.#write(this.#next());
    if (this.#news.size > 0) this.#send();
  }

  /** As much of the news as one message should have. */
  #next(): AnnounceResponse {
    const there: NodeEntry[] = [];
    const gone: string[] = [];
    let bytes = 0;
    for (const nodeId of this.#news) {
      const entry = this.#shown(nodeId);
      bytes += entry === undefined ? nodeId.length + 4 : entryBytesMax(entry);
      if (bytes > MESSAGE_BYTES && there.length + gone.length > 0) break;
      this.#news.delete(nodeId);
      if (entry === undefined) gone.push(nodeId);
      else there.push(entry);
    }
    const listed = !this.#isListed && this.#news.size === 0;
    if (listed) this.#isListed = true;
    return { ...EMPTY, there, gone, listed };
  }

  /** The node as this client may dial it; undefined: not at all. */
  #shown(nodeId: string): NodeEntry | undefined {
    const entry = this.#owner.find(nodeId);
    if (entry === undefined) return undefined;
    const shown = this.from.isLoopback ? entry : withoutHostLocal(entry);
    return shown.addresses.length > 0 ? shown : undefined;
  }

  #write(response: AnnounceResponse): void {
    this.#sentAtMs = this.#owner.clock.monotonicMs();
    this.#connection.send(encodeResponse(response));
  }

  /** Now and then: is it there, does it read, does it know that the directory is there. */
  #look(): void {
    const { clock } = this.#owner;
    const dueAtMs = clock.monotonicMs() + ALIVE_MS;
    this.#lookTimer = clock.setTimer(ALIVE_MS, () => {
      const nowMs = clock.monotonicMs();
      // This side stood still: what came meanwhile is read first.
      if (nowMs - dueAtMs >= ALIVE_MS) {
        this.#look();
        return;
      }
      const isStuck = this.#connection.bufferedBytes > 0 && nowMs - this.#sentAtMs >= STUCK_MS;
      if (isStuck || nowMs - this.#heardAtMs >= SILENCE_MS) {
        this.close(true);
        return;
      }
      if (this.#state === "new") {
        this.refuse("MALFORMED", "no announcement came in time");
        return;
      }
      const isQuiet = nowMs - this.#sentAtMs >= ALIVE_MS / 2;
      if (isQuiet && this.#connection.bufferedBytes === 0) this.#write({ ...EMPTY, alive: true });
      this.#look();
    });
  }

  #end(broke: boolean): void {
    if (this.#state === "over") return;
    this.#state = "over";
    const { clock } = this.#owner;
    if (this.#sendTimer !== undefined) clock.clearTimer(this.#sendTimer);
    if (this.#lookTimer !== undefined) clock.clearTimer(this.#lookTimer);
    this.#news.clear();
    this.#owner.over(this, broke);
  }
}
