/**
 * Calls that wait for the mesh: simulated time passes until they have settled.
 *
 * A call that does not settle within `patienceMs` of simulated time is rejected with what stands in its way.
 * When its process is killed, a call of the test is rejected at once; one that a handler made never settles,
 * because nothing of a killed process runs on.
 */
import { MeshError } from "../errors.ts";
import type { OutsideWaits } from "./outside-waits.ts";
import type { Pacer } from "./pacer.ts";
import type { TestLife } from "./test-machine.ts";
import type { VirtualTime } from "./virtual-time.ts";

export type CallsHost = {
  readonly time: VirtualTime;
  readonly pacer: Pacer;
  readonly outside: OutsideWaits;
  readonly patienceMs: number;
  /** What is not at rest, for the message of an error. */
  readonly why: () => string;
};

export class Calls {
  readonly #host: CallsHost;

  constructor(host: CallsHost) {
    this.#host = host;
  }

  /** A method of a node is called. */
  call<T>(what: string, life: TestLife, start: () => Promise<T>): Promise<T> {
    const { ended } = life;
    if (ended !== undefined) {
      return this.#host.outside.isInHandler ? new Promise(nothing) : Promise.reject(ended);
    }
    return this.wait(`${what} at ${life.machine.name}`, start(), { life });
  }

  /** Somebody waits for this. */
  wait<T>(
    what: string,
    promise: Promise<T>,
    options: { readonly life?: TestLife; readonly withinMs?: number } = {},
  ): Promise<T> {
    const { time, pacer, outside, patienceMs, why } = this.#host;
    const { life, withinMs = patienceMs } = options;
    const isHandlers = outside.isInHandler;
    const result = new Promise<T>((resolve, reject) => {
      let isReached = false;
      const end = (): void => {
        isReached = true;
        if (life?.pending.delete(cut) === true) life.underWay--;
      };
      const fail = (error: Error): void => {
        end();
        reject(error);
      };
      const cut = (error: Error): void => {
        end();
        if (isHandlers) return;
        reject(error);
        result.catch(nothing); // whoever does not wait for it any more need not hear of it
      };
      if (life !== undefined) {
        life.pending.add(cut);
        life.underWay++;
      }
      promise.then(
        (value) => {
          end();
          resolve(value);
        },
        (error) => fail(error as Error),
      );
      const over = (reached: boolean): void => {
        if (reached) return;
        if (pacer.isStopped) {
          cut(new MeshError("STOPPED", "the test mesh has stopped"));
          return;
        }
        const message = `${what} did not settle within ${withinMs} ms of simulated time: ${why()}`;
        fail(new MeshError("TIMEOUT", message));
      };
      outside.apart(() => {
        pacer.add({ untilMs: time.nowMs + withinMs, isReached: () => isReached, over });
      });
    });
    outside.wait(result.then(nothing, nothing));
    return result;
  }

  /** The next of an endless stream: time passes only while it may come. */
  read<T>(next: Promise<T>): Promise<T> {
    const { pacer, outside } = this.#host;
    const settled = next.then(nothing, nothing);
    outside.apart(() => pacer.read(settled));
    outside.wait(settled);
    return next;
  }
}

const nothing = (): void => {};
