/**
 * How a child process answers the bench: one message in, one message out.
 *
 * A child never outlives the bench: when the channel closes it exits. It exits in order, so that a CPU
 * profile asked for with --profile is written.
 */
export type Call = { readonly id: number; readonly name: string; readonly args: unknown };
export type Answer = { readonly id: number; readonly result?: unknown; readonly error?: string };

/** The id of the message that says a child is ready for calls. */
export const READY_ID = 0;

/** The id of messages that answer no call: news of the child. */
export const NEWS_ID = -1;

/** Tells the bench something that it did not ask for. What was told before a kill arrives. */
export const tell = (result: unknown): void => {
  const news: Answer = { id: NEWS_ID, result };
  process.send?.(news);
};

/** What a child can be asked for. `stop` closes what it holds; the process ends after it. */
export type Calls = {
  readonly stop: () => Promise<void> | void;
  readonly [name: string]: (args: never) => unknown;
};

export const serve = (calls: Calls): void => {
  const answer = (message: Answer): void => void process.send?.(message);
  const run = async ({ id, name, args }: Call): Promise<void> => {
    try {
      const call = calls[name];
      if (call === undefined) throw new Error(`no call "${name}"`);
      answer({ id, result: await call(args as never) });
    } catch (error) {
      answer({ id, error: error instanceof Error ? (error.stack ?? error.message) : `${error}` });
    }
    if (name === "stop") process.disconnect();
  };
  process.on("message", (call: Call) => void run(call));
  process.on("disconnect", () => process.exit(0));
  answer({ id: READY_ID });
};
