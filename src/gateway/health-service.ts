/**
 * The standard health service of gRPC, from `node.health()`.
 *
 * Problem: a node's health is a question, not an event, and Watch promises changes. Approach: while anybody
 * watches, it is asked four times a second, and who stops it says so at once.
 *
 * Invariant: a watcher gets the status now, then each change once; nobody watching costs nothing.
 */
import {
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Clock, Timer } from "../ports/clock.ts";
import { GATEWAY_SERVICE, type HealthCheckRequest } from "./gateway-protocol.ts";

type Status = "SERVING" | "NOT_SERVING" | "SERVICE_UNKNOWN";
type Watcher = ServerWritableStream<HealthCheckRequest, { status: Status }>;

const LOOK_MS = 250;

export class HealthService {
  readonly #isReady: () => boolean;
  readonly #clock: Clock;
  readonly #called: (peer: string) => void;
  readonly #watchers = new Set<Watcher>();
  #last: Status = "SERVING";
  #timer: Timer | undefined;

  /** `called` hears who calls. */
  constructor(isReady: () => boolean, clock: Clock, called: (peer: string) => void) {
    this.#isReady = isReady;
    this.#called = called;
    this.#clock = clock;
  }

  get implementation(): UntypedServiceImplementation {
    return {
      check: (
        call: ServerUnaryCall<HealthCheckRequest, { status: Status }>,
        answer: sendUnaryData<{ status: Status }>,
      ) => {
        this.#called(call.getPeer());
        if (isKnown(call.request)) answer(null, { status: this.#status() });
        else answer({ code: status.NOT_FOUND, details: "no such service here" });
      },
      watch: (call: Watcher) => this.#watch(call),
    };
  }

  /** Tells watchers of a change. */
  look(): void {
    const now = this.#status();
    if (now === this.#last) return;
    this.#last = now;
    for (const watcher of this.#watchers) watcher.write({ status: now });
  }

  /** Ends all watching. */
  stop(): void {
    this.look();
    for (const watcher of this.#watchers) watcher.end();
  }

  #status(): Status {
    return this.#isReady() ? "SERVING" : "NOT_SERVING";
  }

  #watch(call: Watcher): void {
    this.#called(call.getPeer());
    if (!isKnown(call.request)) {
      call.write({ status: "SERVICE_UNKNOWN" });
      return;
    }
    this.look();
    this.#last = this.#status();
    call.write({ status: this.#last });
    this.#watchers.add(call);
    call.once("cancelled", () => this.#watchers.delete(call));
    if (this.#timer === undefined) this.#arm();
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(LOOK_MS, () => {
      this.#timer = undefined;
      if (this.#watchers.size === 0) return;
      this.look();
      this.#arm();
    });
  }
}

const isKnown = ({ service = "" }: HealthCheckRequest): boolean =>
  service === "" || service === GATEWAY_SERVICE;
