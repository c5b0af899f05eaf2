/**
 * A node that believes it may do everything: its certificate is real, its own checks are off. What it is kept from,
 * others keep it from.
 */
import type { PeerIdentity, Security } from "../../src/ports/security.ts";

export const hostile = (inner: Security): Security => {
  const boastful = (): PeerIdentity => ({
    ...inner.self,
    may: () => true,
    mayOverlap: () => "all",
  });
  const own: Partial<Security> = {
    get self() {
      return boastful();
    },
  };
  return new Proxy(inner, {
    get: (target, name) => {
      if (name === "self") return own.self;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
};
