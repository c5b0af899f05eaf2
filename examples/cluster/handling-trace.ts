/**
 * Marks what a handler sends with where and when it was sent, for the proof at the end.
 *
 * Not part of the business: a service of your own needs nothing of this file. The stamp travels in a
 * header; a command passes on the stamps of what led to it. The start of each handler also goes to a
 * file, synchronously, so that starts in a process that is killed are counted too.
 */
import { openSync, writeSync } from "node:fs";
import type { HandlerContext } from "meshbus";
import type { Stamp } from "./check-history.ts";

const HEADER = "handled";

export class HandlingTrace {
  readonly #group: string;
  readonly #instance: string;
  readonly #startsFile: number;

  constructor(group: string, instance: string, startsFile: string) {
    this.#group = group;
    this.#instance = instance;
    this.#startsFile = openSync(startsFile, "a");
  }

  /** A handler starts: the options for everything that it sends. */
  start(ctx: HandlerContext): { readonly headers: Readonly<Record<string, string>> } {
    return { headers: { [HEADER]: JSON.stringify(this.stampsOf(ctx)) } };
  }

  /** This handling, after those that led to it since the last event. */
  stampsOf(ctx: HandlerContext): Stamp[] {
    const { subject, kind, key, producer, position, attempt, headers } = ctx.message;
    const { epoch, seq } = position;
    writeSync(this.#startsFile, `${subject} ${producer} ${epoch}:${seq}\n`);
    const stamp: Stamp = {
      group: this.#group,
      instance: this.#instance,
      subject,
      key: key ?? "",
      producer,
      epoch,
      seq,
      attempt,
      atNs: Number(process.hrtime.bigint()),
    };
    // An event has its own record; only a command would leave no trace.
    return kind === "command" ? [...stampsIn(headers), stamp] : [stamp];
  }
}

/** The stamps that came with a message. */
export const stampsIn = (headers: Readonly<Record<string, string>>): Stamp[] => {
  const text = headers[HEADER];
  return text === undefined ? [] : (JSON.parse(text) as Stamp[]);
};
