/** What a peer declares goes to the side that it is for: who replies to queries, and who takes messages. */
import type { DeclareFrame } from "../wire/declare.ts";
import type { Environment } from "./environment.ts";
import type { Link } from "./link/link.ts";
import type { Producer } from "./producer/producer.ts";
import type { Requests } from "./requests.ts";

type Sides = {
  readonly env: Environment;
  readonly requests: Requests;
  readonly producer: Producer;
};

export const declaredBy = (
  { env, requests, producer }: Sides,
  link: Link,
  frame: DeclareFrame,
): void => {
  link.declared.heard(frame, env.limits.subscriptionsMax);
  for (const record of frame.add) if (record.role === "queries") requests.declared(link, record);
  for (const index of [...frame.drain, ...frame.remove]) requests.removed(link, index);
  producer.members.declare(link, frame);
};
