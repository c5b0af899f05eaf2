import type { Logger } from "../ports/logger.ts";

/** What cannot be stopped in order must not keep the rest from stopping. */
export const stopAll = async (logger: Logger, stops: readonly Promise<void>[]): Promise<void> => {
  for (const stop of await Promise.allSettled(stops)) {
    if (stop.status === "rejected") {
      logger.error("a part did not stop in order", { error: stop.reason });
    }
  }
};
