/** A process that is to be a member of the group of the bench, and what it tells. */
import type { BeginLog } from "./begin-log.ts";
import type { Bench } from "./bench.ts";
import type { Child } from "./child.ts";
import type { Begun, MemberOpen } from "./children/group-member.ts";

const JOIN_MS = 30_000;

export type MemberProcess = {
  readonly child: Child;
  join(open: MemberOpen): Promise<void>;
};

export const startMember = async (
  bench: Bench,
  log: BeginLog,
  name: string,
): Promise<MemberProcess> => {
  const child = await bench.start("group-member");
  child.onNews = (news) => log.add(name, news as Begun);
  return { child, join: (open) => child.call("join", open, JOIN_MS) };
};
