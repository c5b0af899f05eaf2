/** What a peer declares goes to the side that it is for: who replies to queries, and who takes messages. */
import type { DeclareFrame } from "../wire/declare.ts";
import type { Link } from "./link/link.ts";
import type { Producer } from "./producer/producer.ts";
import type { Requests } from "./requests.ts";

type Sides = { readonly requests: Requests; readonly producer: Producer };

export const declaredBy = (
  { requests, producer }: Sides,
  link: Link,
  frame: DeclareFrame,
): void => {
  for (const record of frame.add) if (record.role === "queries") requests.declared(link, record);
  for (const index of [...frame.drain, ...frame.remove]) requests.removed(link, index);
  producer.members.declare(link, frame);
};
