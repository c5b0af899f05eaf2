/**
 * Subscribe, Handle and Reply: a stream that takes what the node hands over, and says how each ended.
 *
 * opening -> open -> stopping (nothing more is given; over when all is settled) -> over; or over at any time,
 * when the client cancels, half-closes or vanishes: what it had goes back at once.
 *
 * Bounds: at most `credit` deliveries are out; more than one only while the client's budget has room, which
 * also counts what it has not read. One whose settle comes too late is answered by `refused`; the call is read
 * only while fewer than `REFUSED_MAX` of those are unread.
 */
import { MeshError } from "../errors.ts";
import { wireError } from "./call-errors.ts";
import type { ClientCall } from "./client-call.ts";
import type { Seat, Task } from "./desk.ts";
import type { Desks, Place } from "./desks.ts";
import type { Answer, Settle, TakeRequest } from "./gateway-protocol.ts";
import { creditOf, type ListenRole, openingOf } from "./open-options.ts";
import type { RawContracts } from "./raw-contract.ts";
import { answered, settled, type Verdict } from "./settling.ts";

export type TakeHost = {
  readonly desks: Desks;
  readonly contracts: RawContracts;
  /** The default group. */
  readonly service: string;
  readonly creditMax: number;
  readonly prefetchBytesMax: number;
};

const REFUSED_MAX = 1_024;
const OVERHEAD = 64;

export class TakeCall implements Seat {
  readonly #call: ClientCall;
  readonly #role: ListenRole;
  readonly #host: TakeHost;
  readonly #out = new Map<number, Task>();
  readonly #numbers = new Map<Task, number>();
  #state: "new" | "opening" | "open" | "stopping" | "over" = "new";
  #place: Place | undefined;
  #credit = 0;
  #last = 0;
  #refused = 0;

  constructor(call: ClientCall, role: ListenRole, host: TakeHost) {
    this.#call = call;
    this.#role = role;
    this.#host = host;
    call.start({
      heard: (message) => this.#heard(message as TakeRequest),
      heardLast: () => this.#leave(),
      taken: () => this.#taken(),
      over: () => this.#leave(),
    });
  }

  // --- Seat ----------------------------------------------------------------------------------

  get load(): number {
    return this.#out.size;
  }

  canTake({ bytes, alone }: Task): boolean {
    if (this.#state !== "open" || this.#out.size >= this.#credit) return false;
    const { client } = this.#call;
    if (!client.mayTake(alone, this.#dispatch)) return false;
    const isIdle = this.#out.size === 0 && this.#call.unsentBytes === 0;
    return isIdle || client.given.hasRoom(bytes, this.#dispatch);
  }

  give(task: Task): void {
    const number = ++this.#last;
    const { client } = this.#call;
    this.#out.set(number, task);
    this.#numbers.set(task, number);
    client.took(task.alone);
    client.given.add(task.bytes);
    const field = this.#role === "queries" ? "questions" : "deliveries";
    this.#call.push(field, { number, ...task.content }, task.bytes);
  }

  withdraw(task: Task, why: MeshError): void {
    const number = this.#numbers.get(task);
    if (number === undefined) return;
    this.#call.push("withdrawn", { number, error: wireError(why) }, OVERHEAD + why.message.length);
    this.#forget(number, task);
  }

  end(error: MeshError): void {
    this.#call.finish(error);
    this.#leave();
  }

  stopping(): void {
    this.#call.say({ stopping: true });
    this.#stop();
  }

  // --- inside --------------------------------------------------------------------------------

  readonly #dispatch = (): void => this.#place?.desk.dispatch();

  #heard({ open, credit, settles = [], answers = [], stop = false }: TakeRequest): void {
    if (this.#state === "new") {
      if (!open) throw new MeshError("INVALID_OPTIONS", "the first message has no open");
      this.#open(open);
    } else if (open) {
      throw new MeshError("INVALID_OPTIONS", "open is for the first message only");
    }
    if (credit !== undefined) this.#credit = creditOf(credit, this.#host.creditMax);
    for (const settle of settles) this.#settle(settle);
    for (const answer of answers) this.#settle(answer);
    if (stop) this.#stop();
    this.#dispatch();
  }

  #open(open: NonNullable<TakeRequest["open"]>): void {
    const { service, desks, creditMax, prefetchBytesMax } = this.#host;
    const opening = openingOf(this.#role, open, service, prefetchBytesMax);
    this.#call.client.rights?.assertMayTake(this.#role, opening.pattern);
    this.#credit = creditOf(open.credit, creditMax);
    this.#state = "opening";
    desks.sit(opening, this).then(
      ({ place, subscription: { group, unconfirmed } }) => {
        if (this.#state === "over") {
          this.#quit(place, []).catch(() => {}); // the node stops, and says so itself
          return;
        }
        this.#place = place;
        this.#call.say({ opened: { group, unconfirmed } });
        if (this.#state === "opening") this.#state = "open";
        else this.#stop();
        place.desk.dispatch();
      },
      (error: unknown) => this.#call.finish(error),
    );
  }

  #settle(settle: Settle & Answer): void {
    const { number = 0 } = settle;
    const task = this.#out.get(number);
    if (task === undefined) {
      if (number > this.#last || number === 0) {
        throw new MeshError("INVALID_OPTIONS", `number ${number} was never given`);
      }
      const message = `number ${number} was settled before, or withdrawn`;
      this.#refuse(number, new MeshError("ALREADY_SETTLED", message));
      return;
    }
    const { contracts } = this.#host;
    const verdict: Verdict =
      this.#role === "queries"
        ? answered(settle)
        : settled(settle, task, contracts, this.#call.client.rights);
    this.#forget(number, task);
    this.#place?.desk.end(task, verdict.error, verdict.value);
    if (verdict.refused !== undefined) this.#refuse(number, verdict.refused);
    if (this.#state === "stopping") this.#stop();
  }

  #refuse(number: number, why: unknown): void {
    const error = wireError(why);
    this.#refused++;
    this.#call.push("refused", { number, error }, OVERHEAD + error.message.length);
    if (this.#refused >= REFUSED_MAX) this.#call.hold();
  }

  /** All that was pushed before is on its way. */
  #taken(): void {
    if (this.#call.unsentItems === 0) this.#refused = 0;
    if (this.#refused < REFUSED_MAX) this.#call.release();
    this.#dispatch();
  }

  #forget(number: number, task: Task): void {
    const { client } = this.#call;
    this.#out.delete(number);
    this.#numbers.delete(task);
    client.given.remove(task.bytes);
    client.ended();
  }

  /** Takes nothing more; the call ends when all is settled, and that is on its way. */
  #stop(): void {
    if (this.#state === "over") return;
    this.#state = "stopping";
    const place = this.#place;
    if (place === undefined || this.#out.size > 0) return;
    this.#state = "over";
    this.#quit(place, []).then(
      () => this.#call.finish(),
      (error: unknown) => this.#call.finish(error),
    );
  }

  #leave(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    const tasks = [...this.#out];
    const place = this.#place;
    const left =
      place === undefined
        ? undefined
        : this.#quit(
            place,
            tasks.map(([, task]) => task),
          );
    for (const [number, task] of tasks) this.#forget(number, task);
    this.#call.finish();
    left?.catch(() => {}); // the node stops, and says so itself
  }

  #quit(place: Place, has: readonly Task[]): Promise<void> {
    const { client } = this.#call;
    client.forget(this.#dispatch);
    return this.#host.desks.leave(place, this, has, client);
  }
}
