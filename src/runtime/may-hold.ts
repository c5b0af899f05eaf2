/** Whether what a peer says of the shards of a subscription is heard: it has to do with it. */
import type { HoldFrame } from "../wire/hold.ts";
import type { Environment } from "./environment.ts";
import type { Link } from "./link/link.ts";
import { parseSubscriptionId } from "./subscription-id.ts";

export const mayHold = ({ access }: Environment, link: Link, frame: HoldFrame): boolean => {
  if (access === undefined) return true;
  const named = parseSubscriptionId(frame.subscription);
  return named !== undefined && access.concerned(link, named) === undefined;
};
