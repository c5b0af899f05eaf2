/**
 * Why what one side sends does not come to the other although both are linked: nobody listens to it, or not in that
 * group, or a handler there reads other versions of the contract.
 *
 * Nodes say what they listen to, not what they send. What a node sent and others refused stands in its dead letters.
 */
import type { VersionRange } from "../../contract/contract.ts";
import type { DeadLetterEntry, Declared } from "../../index.ts";
import { type Finding, ok, problem, warning } from "./finding.ts";
import { NEAR_MAX, patternDistance } from "./pattern-distance.ts";
import type { WantedContract } from "./wanted-contracts.ts";

/** A node that was greeted, and what it said. */
export type MetNode = {
  readonly nodeId: string;
  readonly service: string;
  readonly declared: readonly Declared[];
  /** Its dead letters, as far as it told of them. */
  readonly letters: readonly DeadLetterEntry[];
};

type Taker = Declared & { readonly who: string };

const NAMED_MAX = 4;
const REFUSED = "CONTRACT_MISMATCH";
const BOTH =
  "let handlers read both versions (accepts of the contract) until every producer sends the new one";
const NAME_ONE = "name a node that should take it with --peer";
const OWN_KEYS =
  "with the keys of a node nobody is greeted: give the doctor some of its own, meshbus keys issue --service doctor";
const VERBS = { event: "publish", command: "send", query: "request" } as const;
const LISTENS = { event: "subscribe", command: "handle", query: "reply" } as const;

export const checkContracts = (
  wanted: readonly WantedContract[],
  met: readonly MetNode[],
  mayGreet: boolean,
): Finding[] => {
  const takers = met.flatMap(({ nodeId, service, declared }) =>
    declared.map((one): Taker => ({ ...one, who: `${service} ${nodeId}` })),
  );
  const findings = wanted.flatMap((contract) => {
    if (met.length > 0) return checkOne(contract, takers, met.length);
    const found = `nobody was greeted who could say what becomes of ${shown(contract.subject)}`;
    return [problem("contract", found, mayGreet ? NAME_ONE : OWN_KEYS)];
  });
  return [...findings, ...disagreements(takers), ...met.flatMap(refusedLetters)];
};

const checkOne = (wanted: WantedContract, all: readonly Taker[], metCount: number): Finding[] => {
  const { kind, subject, group } = wanted;
  const takers = all.filter(
    (one) => one.kind === kind && patternDistance(one.pattern, subject) === 0,
  );
  if (takers.length === 0) return [nobody(wanted, all, metCount)];
  const inGroup = group === undefined ? takers : takers.filter((one) => one.group === group);
  if (inGroup.length > 0) return inGroup.map((taker) => versionsOf(wanted, taker));
  const groups = list([...new Set(takers.map((one) => shown(one.group)))]);
  const found = `${shown(subject)} is taken in group ${groups}, not in ${shown(group ?? "")}`;
  const remedy = `compare the option group of ${LISTENS[kind]}(); without it the group is the service's name`;
  return [problem("contract", found, remedy)];
};

const versionsOf = ({ kind, subject, version, accepts }: WantedContract, taker: Taker): Finding => {
  const { who, pattern, group } = taker;
  const [min, max] = taker.accepts;
  const by = pattern === subject ? "" : ` by ${shown(pattern)}`;
  const takes = `${who} takes ${shown(subject)}${by} in group ${shown(group)}`;
  if (version === 0 && max !== 0) {
    const found = `${takes} and reads ${versions(taker.accepts)}; yours has none, so the schema alone decides there`;
    return warning("contract", found, "give the contract its version at both sides");
  }
  if (version === 0 || max === 0 || (version >= min && version <= max)) {
    return ok("contract", `${takes} and reads ${versions(taker.accepts)}${yours(version)}`);
  }
  const found = `${takes} and reads ${versions(taker.accepts)}, not version ${version}: ${outcome(kind)}`;
  const other = max < version ? "upgrade that handler" : `${VERBS[kind]} with the newer contract`;
  const wide: VersionRange = [Math.min(min, accepts[0]), Math.max(max, accepts[1])];
  return problem("contract", found, `${other}, or let it read both: accepts: [${wide.join(", ")}]`);
};

const outcome = (kind: WantedContract["kind"]): string =>
  kind === "query"
    ? `a question fails there (${REFUSED})`
    : `a message becomes a dead letter at the node that sent it (${REFUSED})`;

const nobody = (
  { kind, subject }: WantedContract,
  all: readonly Taker[],
  count: number,
): Finding => {
  const exact = all.find((one) => patternDistance(one.pattern, subject) === 0);
  if (exact !== undefined) {
    const found = `${exact.who} takes ${shown(subject)} as ${article(exact.kind)}, not as ${article(kind)}`;
    const remedy = `say it with ${VERBS[exact.kind]}(), or listen with ${LISTENS[kind]}()`;
    return problem("contract", found, remedy);
  }
  const near = all
    .map((taker) => ({ taker, distance: patternDistance(taker.pattern, subject) }))
    .filter(({ taker, distance }) => isNear(taker, subject, distance))
    .sort((a, b) => a.distance - b.distance);
  if (near.length > 0) {
    const named = near.map(({ taker: { who, pattern } }) => `${shown(pattern)} by ${who}`);
    const found = `nobody takes ${shown(subject)}; close to it: ${list([...new Set(named)])}`;
    const remedy =
      'correct the subject or the pattern: "*" is one token, ">" one or more at the end, and case counts';
    return problem("contract", found, remedy);
  }
  const nodes =
    count === 1
      ? "the node that was greeted does not take"
      : `none of the ${count} nodes that were greeted takes`;
  const remedy = `does the service that should take it run? has it called ${LISTENS[kind]}()? name it with --peer`;
  return problem("contract", `${nodes} ${shown(subject)} as ${article(kind)}`, remedy);
};

/** Misspelt, or all but one token alike; two names of one token each have nothing in common otherwise. */
const isNear = ({ pattern }: Taker, subject: string, distance: number): boolean => {
  if (distance < NEAR_MAX) return true;
  const wanted = subject.split(".");
  return distance === NEAR_MAX && pattern.split(".").some((token) => wanted.includes(token));
};

/** Members of one group that read different versions: which of them gets a message is chance. */
const disagreements = (takers: readonly Taker[]): Finding[] => {
  const groups = new Map<string, Taker[]>();
  for (const taker of takers) {
    const name = JSON.stringify([taker.kind, taker.pattern, taker.group]);
    groups.set(name, [...(groups.get(name) ?? []), taker]);
  }
  return [...groups.values()].flatMap((members) => {
    const [first] = members;
    if (first === undefined || new Set(members.map((one) => versions(one.accepts))).size < 2) {
      return [];
    }
    const each = list(members.map(({ who, accepts }) => `${versions(accepts)} by ${who}`));
    const found = `members of group ${shown(first.group)} read ${shown(first.pattern)} differently: ${each}`;
    return [warning("contract", found, BOTH)];
  });
};

const refusedLetters = ({ nodeId, service, letters }: MetNode): Finding[] => {
  const counts = new Map<string, number>();
  for (const { reason, group } of letters) {
    if (!reason.startsWith(REFUSED)) continue;
    const said = `that group ${shown(group)} refused: ${reason}`;
    counts.set(said, (counts.get(said) ?? 0) + 1);
  }
  return [...counts].slice(0, NAMED_MAX).map(([said, count]) => {
    const found = `${service} ${nodeId} keeps ${count === 1 ? "a message" : `${count} messages`} ${said}`;
    return warning("contract", found, `${BOTH}, then replay the dead letters`);
  });
};

const versions = ([min, max]: VersionRange): string => {
  if (max === 0) return "any version";
  return min === max ? `version ${min}` : `versions ${min} to ${max}`;
};

const yours = (version: number): string => (version === 0 ? "" : `; yours is ${version}`);
const article = (kind: string): string => (kind === "event" ? "an event" : `a ${kind}`);
const shown = (text: string): string => JSON.stringify(text);

const list = (names: readonly string[]): string => {
  const more = names.length - NAMED_MAX;
  return `${names.slice(0, NAMED_MAX).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
};
