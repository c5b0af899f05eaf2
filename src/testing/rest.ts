/**
 * Whether anything more happens in a test mesh by itself, and what.
 *
 * What waits for somebody who is away (killed, paused, blocked, cut off, not subscribed) is at rest: it goes on when
 * the test brings them back. What is delayed or retried, however late, is not.
 */
import type { Table } from "../ports/journal-store.ts";
import type { TestLife, TestMachine } from "./test-machine.ts";
import type { VirtualDisk } from "./virtual-disk.ts";
import type { VirtualNetwork } from "./virtual-network.ts";

/** The first thing that is not at rest, or undefined. */
export const stirring = (
  machines: readonly TestMachine[],
  network: VirtualNetwork,
): string | undefined => {
  const lives = machines.flatMap(({ life }) => (life?.process.isAlive === true ? [life] : []));
  const awake = lives.filter(({ process }) => !process.isStill);
  for (const life of awake) {
    const { node, machine, underWay } = life;
    const { name, disk } = machine;
    if (node === undefined) return `${name} starts`;
    if (underWay > 0) return `${name} has ${underWay} calls under way`;
    for (const other of awake) {
      if (!meets(network, life, other)) continue;
      if (!isLinked(life, other)) return `${name} is not linked with ${other.machine.name}`;
    }
    for (const [id, { pending: count }] of Object.entries(node.ledger())) {
      const members = awake.filter(({ listening }) => listening.has(id));
      if (count > 0 && members.some((member) => reaches(network, life, member)))
        return `${name} has ${count} pending of "${id}"`;
    }
    const delayed = rowsIn(disk, "delayed");
    if (delayed > 0) return `${name} has ${delayed} delayed messages`;
    const isWhole = machines.every((one) => one.life !== undefined && awake.includes(one.life));
    if (isWhole && rowsIn(disk, "held") > 0) return `${name} holds output`;
  }
  return undefined;
};

/** Everything that was said has come to its end, and everybody is there. */
export const isQuiet = (
  machines: readonly TestMachine[],
  network: VirtualNetwork,
  isHandled: (subscription: string) => boolean,
): boolean => {
  if (stirring(machines, network) !== undefined) return false;
  return machines.every(({ life, disk }) => {
    if (life?.isUp !== true || life.process.isStill || rowsIn(disk, "held") > 0) return false;
    const ledger = Object.entries(life.node?.ledger() ?? {});
    return ledger.every(([id, { pending }]) => pending === 0 || !isHandled(id));
  });
};

const rowsIn = (disk: VirtualDisk, table: Table): number => disk.count(table);

const meshOf = ({ machine }: TestLife): string => machine.options?.mesh ?? "default";

const reaches = (network: VirtualNetwork, a: TestLife, b: TestLife): boolean => {
  if (a === b) return true;
  const [from, to] = [a.machine.host, b.machine.host];
  if (network.path(from, to).blocked > 0 || network.path(to, from).blocked > 0) return false;
  return meshOf(a) === meshOf(b);
};

const meets = (network: VirtualNetwork, a: TestLife, b: TestLife): boolean =>
  a !== b && b.node !== undefined && reaches(network, a, b);

const isLinked = ({ node }: TestLife, other: TestLife): boolean =>
  node?.peers().some((peer) => peer.nodeId === other.node?.id && peer.state === "alive") === true;
