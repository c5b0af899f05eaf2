/** Waits until a source knows all subscriptions that it is to serve. */
import type { ChaosProcess } from "./chaos-process.ts";
import { SUBSCRIPTIONS } from "./process-spec.ts";

const LOOK_MS = 20;
const PATIENCE_MS = 60_000;
const EXPECTED = Object.keys(SUBSCRIPTIONS).length;

/** Events said before a subscription is known are owed as well, but their ledger begins late. */
export const knowsSubscriptions = async (
  source: ChaosProcess,
  canGoOn: () => boolean,
): Promise<void> => {
  const deadlineMs = performance.now() + PATIENCE_MS;
  while (Object.keys((await source.status())?.ledger ?? {}).length < EXPECTED) {
    if (!canGoOn()) return;
    if (performance.now() > deadlineMs) throw new Error(`${source.name} meets no worker`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
};
