/**
 * Makes real clocks, timers and randomness throw while simulated events run, so that a leak is found at
 * once instead of as a seed that behaves differently every time.
 */
const REASON = "is not to be had inside a simulation: time and randomness are arguments";

const trap = (name: string) => (): never => {
  throw new Error(`${name} ${REASON}`);
};

/** Sets the traps; the result takes them away. */
export const trapRealTime = (): (() => void) => {
  const realDate = globalThis.Date;
  const saved = {
    setTimeout: globalThis.setTimeout,
    setInterval: globalThis.setInterval,
    setImmediate: globalThis.setImmediate,
    random: Math.random,
    now: performance.now,
  };
  const trappedDate = new Proxy(realDate, {
    construct: (target, args: unknown[]) => {
      if (args.length === 0) throw new Error(`new Date() ${REASON}`);
      return Reflect.construct(target, args) as object;
    },
    apply: trap("Date()"),
    get: (target, name, receiver) =>
      name === "now" ? trap("Date.now") : (Reflect.get(target, name, receiver) as unknown),
  });
  Object.assign(globalThis, {
    Date: trappedDate,
    setTimeout: trap("setTimeout"),
    setInterval: trap("setInterval"),
    setImmediate: trap("setImmediate"),
  });
  Math.random = trap("Math.random");
  performance.now = trap("performance.now");
  return () => {
    const { setTimeout, setInterval, setImmediate } = saved;
    Object.assign(globalThis, { Date: realDate, setTimeout, setInterval, setImmediate });
    Math.random = saved.random;
    performance.now = saved.now;
  };
};
