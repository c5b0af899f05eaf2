/** A command that nobody has claimed yet: its messages wait in a cursor without members. */
import { ZERO } from "../../core/position.ts";
import { subscriptionId } from "../subscription-id.ts";
import type { ProducerHost } from "./producer-host.ts";

export const expectCommand = ({ env, table, journal }: ProducerHost, subject: string): void => {
  const record = { role: "commands", group: "", pattern: subject } as const;
  const definition = {
    ...record,
    id: subscriptionId(record),
    durable: true,
    birthTime: env.hybrid.now(env.clock.wallMs()),
    birthCreator: "",
    distribution: "key",
    failoverMove: true,
    holdOnDead: false,
    filter: [],
    definedTime: { ms: 0, counter: 0 },
  } as const;
  journal.committer.dirty(table.create(definition, journal.head ?? ZERO));
};
