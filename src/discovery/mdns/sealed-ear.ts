/**
 * What a node with keys believes of the answers it hears: what a member has said, lately, and once.
 *
 * Problem: on an open link most of what comes may be forged, recorded or plain noise, and must neither be believed
 * nor keep true answers from being heard. Approach: an answer is never decoded. Its size, its statement and that
 * statement's MAC are looked at in the packet as it came; then its end, and whether it is newer than what was heard
 * of that node on that interface. What does not pass is counted by reason and forgotten.
 *
 * Invariants: at most RATE a second are looked at, half of it of one remote sender, the rest is dropped unread; a
 * statement is taken once; NEWEST_MAX streams are remembered, and strangers can add none.
 */
import type { DiscoveryContext } from "../../ports/discovery.ts";
import { PACKET_BYTES_MAX } from "./packet-gate.ts";
import { RecordSeal, type SealedStatement } from "./record-seal.ts";
import { SenderRates } from "./sender-rates.ts";

/** How far clocks of a mesh may be apart, as for certificates. */
const CLOCK_SKEW_MS = 60_000;
const RATE = 5_000;
const NEWEST_MAX = 2_048;
const SERVICE = "_meshbus";

type Newest = { readonly epoch: number; readonly sequence: number; readonly untilMs: number };

export class SealedEar {
  /** Also for what the node itself says. */
  readonly seal: RecordSeal;
  readonly #context: DiscoveryContext;
  readonly #rates = new SenderRates(RATE, RATE);
  readonly #newest = new Map<string, Newest>();
  readonly #openMesh: Buffer;
  #saidOpen = false;
  #saidClock = false;

  constructor(context: DiscoveryContext, secrets: () => readonly Uint8Array[]) {
    this.#context = context;
    this.seal = new RecordSeal(context.self.mesh, secrets);
    const text = Buffer.from(`mesh=${context.self.mesh}`, "utf8");
    this.#openMesh = Buffer.concat([Buffer.from([text.length & 0xff]), text]);
  }

  /** The statement of an answer, if it is to be believed. */
  hear(packet: Buffer, sender: string, local: boolean): SealedStatement | undefined {
    const { clock } = this.#context;
    if (!packet.includes(SERVICE, 0, "latin1")) return undefined; // of printers and televisions
    if (packet.length > PACKET_BYTES_MAX) return this.#drop("malformed");
    if (!this.#rates.admit(sender, local, clock.monotonicMs())) return this.#drop("limited");
    const statement = this.seal.open(packet);
    if (statement === undefined) return this.#open(packet);
    if (typeof statement === "string") return this.#drop(statement);
    return this.#isNew(statement, clock.wallMs()) ? statement : undefined;
  }

  /** How long to believe it: no longer than its end. */
  lifeMs({ ttlMs, untilMs }: SealedStatement): number {
    return Math.min(ttlMs, untilMs + CLOCK_SKEW_MS - this.#context.clock.wallMs());
  }

  // --- inside --------------------------------------------------------------------------------

  #drop(why: string): undefined {
    this.#context.count(`discovery.${why}`);
    return undefined;
  }

  /** Somebody announces without a MAC: of this mesh it is a node without keys, or a forger. */
  #open(packet: Buffer): undefined {
    if (!packet.includes(this.#openMesh)) return undefined;
    if (!this.#saidOpen) {
      this.#saidOpen = true;
      this.#context.logger.warn(
        "a node without keys announces itself in this mesh and is not heard: issue it a certificate (meshbus keys issue), or give this node no keys",
        { mesh: this.#context.self.mesh },
      );
    }
    return this.#drop("withoutKeys");
  }

  #isNew(statement: SealedStatement, wallMs: number): boolean {
    const { nodeId, at, epoch, sequence, untilMs, ttlMs } = statement;
    const isEarly = untilMs - ttlMs > wallMs + CLOCK_SKEW_MS;
    if (isEarly || untilMs + CLOCK_SKEW_MS < wallMs) {
      this.#drop("stale");
      if (!this.#saidClock) {
        this.#saidClock = true;
        const offByMs = Math.round(untilMs - ttlMs - wallMs);
        this.#context.logger.warn(
          "an announcement of this mesh is out of date, or its clock and this one are more than 60 s apart",
          { nodeId, offByMs },
        );
      }
      return false;
    }
    const stream = `${nodeId} ${at}`;
    const newest = this.#newest.get(stream);
    if (newest !== undefined) {
      if (epoch < newest.epoch) {
        this.#drop("stale");
        return false;
      }
      if (epoch === newest.epoch && sequence <= newest.sequence) {
        this.#drop("replayed");
        return false;
      }
      this.#newest.delete(stream);
    } else if (this.#newest.size >= NEWEST_MAX) {
      // What is past its end needs no memory; else the one heard longest ago.
      for (const [name, { untilMs: ends }] of this.#newest) {
        if (ends + CLOCK_SKEW_MS < wallMs) this.#newest.delete(name);
      }
      const [oldest] = this.#newest.size >= NEWEST_MAX ? this.#newest.keys() : [];
      if (oldest !== undefined) this.#newest.delete(oldest);
    }
    this.#newest.set(stream, { epoch, sequence, untilMs });
    return true;
  }
}
