/**
 * Whether what arrives for a subscription may come from whom it came.
 *
 * A message names its subject itself, and its sender the subscription: both must agree, or a right to say one thing
 * would be a right to be heard as another.
 */
import { compilePattern } from "../../core/subject.ts";
import type { SubscriptionRecord } from "../../wire/declare.ts";
import type { Access } from "../access.ts";
import type { Job } from "./job.ts";
import { describeError } from "./outcome.ts";

export class SenderRights {
  readonly #access: Access;
  readonly #kind: 0 | 1;
  readonly #pattern: string;
  readonly #matches: (subject: string) => boolean;

  constructor(access: Access, { role, pattern }: Pick<SubscriptionRecord, "role" | "pattern">) {
    this.#access = access;
    this.#kind = role === "commands" ? 1 : 0;
    this.#pattern = pattern;
    this.#matches = compilePattern(pattern);
  }

  /** Why not; undefined: it may. */
  denied(message: Pick<Job, "opening" | "envelope">): string | undefined {
    const { link } = message.opening;
    if (link.isLocal) return undefined;
    let subject: string;
    let kind: number;
    try {
      ({ subject, kind } = message.envelope);
    } catch (error) {
      return `the envelope cannot be read: ${describeError(error).message}`;
    }
    if (kind !== this.#kind || (subject !== this.#pattern && !this.#matches(subject))) {
      return `"${subject}" is not of this subscription, "${this.#pattern}"`;
    }
    return this.#access.saying(link, this.#kind, subject);
  }
}
