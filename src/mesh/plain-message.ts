/**
 * A message without anything rare, as the journal takes it: one object that is its own record and its own variables.
 *
 * Problem: a publish that makes a record, its variables and a time leaves more behind for the collector than its
 * receipt. Approach: what never differs is said by the class.
 */
import type { Outgoing } from "../runtime/producer/acceptance.ts";
import type { EnvelopeTemplate } from "../wire/envelope.ts";
import type { EnvelopeVariables } from "../wire/envelope-rest.ts";
import type { HybridTime } from "../wire/hybrid-time.ts";

export class PlainMessage implements Outgoing, EnvelopeVariables {
  readonly kind: 0 | 1;
  readonly subject: string;
  readonly keyHash: number;
  readonly expireAtMs: number;
  readonly template: EnvelopeTemplate;
  readonly key: string | undefined;
  readonly time: HybridTime;
  readonly payload: Uint8Array;

  constructor(
    kind: 0 | 1,
    subject: string,
    keyHash: number,
    expireAtMs: number,
    template: EnvelopeTemplate,
    key: string | undefined,
    time: HybridTime,
    payload: Uint8Array,
  ) {
    this.kind = kind;
    this.subject = subject;
    this.keyHash = keyHash;
    this.expireAtMs = expireAtMs;
    this.template = template;
    this.key = key;
    this.time = time;
    this.payload = payload;
  }

  get variables(): EnvelopeVariables {
    return this;
  }

  get timeMs(): number {
    return this.time.ms;
  }

  get timeCounter(): number {
    return this.time.counter;
  }

  get target(): undefined {
    return undefined;
  }

  get bytes(): undefined {
    return undefined;
  }

  get reserve(): false {
    return false;
  }

  get delayMs(): 0 {
    return 0;
  }
}
