/**
 * Makes real clocks, timers and randomness throw in the code that asked for it, and only there.
 *
 * Problem: what is replaced is global, and several meshes live in one process, with a test runner and its
 * own timers around them. Approach: one replacement for all, kept beside what it replaces, which asks each
 * mesh whether the code that runs is one of its handlers; everybody else gets the real thing. The last mesh
 * to leave takes the replacement away, unless somebody else has replaced it since: then it stays and asks
 * nobody.
 */
export type Applies = () => boolean;

type Registry = { readonly asked: Set<Applies>; readonly restore: () => void };
type Global = { [REGISTRY]?: Registry };

const REGISTRY = Symbol.for("meshbus.testing.forbidden-real-time");

/** From now on it throws where `applies` says so; the result ends that. */
export const forbidRealTime = (applies: Applies): (() => void) => {
  const global = globalThis as Global;
  global[REGISTRY] ??= replaceAll();
  const registry = global[REGISTRY];
  registry.asked.add(applies);
  return () => {
    if (!registry.asked.delete(applies) || registry.asked.size > 0) return;
    registry.restore();
    delete global[REGISTRY];
  };
};

const replaceAll = (): Registry => {
  const asked = new Set<Applies>();
  const check = (name: string, instead: string): void => {
    for (const applies of asked) {
      if (!applies()) continue;
      throw new Error(
        `${name} is real, and this handler runs in simulated time: use ${instead}, or create the mesh with realTime: "allow"`,
      );
    }
  };
  const restores = [
    replace(globalThis, "Date", (real) => guardedDate(real, check)),
    ...(["setTimeout", "setInterval", "setImmediate"] as const).map((name) =>
      replace(globalThis, name, (real) => guarded(real, () => check(name, "mesh.sleep()"))),
    ),
    replace(performance, "now", (real) =>
      guarded(real.bind(performance), () => check("performance.now", "mesh.nowMs")),
    ),
    replace(Math, "random", (real) =>
      guarded(real, () => check("Math.random", "a random number given as an argument")),
    ),
  ];
  return { asked, restore: () => restores.forEach((restore) => void restore()) };
};

const guarded = <F extends object>(real: F, check: () => void): F =>
  new Proxy(real, {
    apply: (target, self, args) => {
      check();
      return Reflect.apply(target as never, self, args) as unknown;
    },
  });

const guardedDate = (
  real: DateConstructor,
  check: (name: string, instead: string) => void,
): DateConstructor =>
  new Proxy(real, {
    construct: (target, args: unknown[], self) => {
      if (args.length === 0) check("new Date()", "ctx.message.time or mesh.wallMs");
      return Reflect.construct(target, args, self) as object;
    },
    apply: (target) => {
      check("Date()", "ctx.message.time or mesh.wallMs");
      return target();
    },
    get: (target, name, self) => {
      if (name === "now") check("Date.now", "ctx.message.time or mesh.wallMs");
      return Reflect.get(target, name, self) as unknown;
    },
  });

const replace = <T extends object, N extends keyof T>(
  owner: T,
  name: N,
  by: (real: T[N]) => T[N],
): (() => void) => {
  const real = owner[name];
  const ours = by(real);
  owner[name] = ours;
  return () => {
    if (owner[name] === ours) owner[name] = real;
  };
};
