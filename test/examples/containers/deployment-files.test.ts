/** What the files of examples/containers say of one another, and of the program that they run, is so. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { SERVICES, settingsFrom } from "../../../examples/containers/settings.ts";
import {
  type AnyManifest,
  compose,
  containerOf,
  dockerfile,
  environmentOf,
  FOLDER,
  manifests,
  type Service,
  type StatefulSet,
  statefulSets,
} from "./deployment-files.ts";

const API_VERSIONS = {
  StatefulSet: "apps/v1",
  Service: "v1",
  NetworkPolicy: "networking.k8s.io/v1",
  PodDisruptionBudget: "policy/v1",
} as const;

const all = manifests();
const sets = statefulSets();
const services = all.filter((one): one is Service => one.kind === "Service");
const headless = services.filter(({ spec }) => spec.clusterIP === "None");

const secondsOf = (text: string): number => Number(/^(\d+)s$/.exec(text)?.[1]);
const isChosen = (selector: Readonly<Record<string, string>>, set: StatefulSet): boolean =>
  Object.entries(selector).every(([label, value]) => {
    return set.spec.template.metadata.labels[label] === value;
  });
/** Labels by which a manifest chooses pods. */
const selectorOf = (one: AnyManifest): Readonly<Record<string, string>> => {
  if (one.kind === "Service") return one.spec.selector;
  if (one.kind === "NetworkPolicy") return one.spec.podSelector.matchLabels;
  return one.spec.selector.matchLabels;
};

describe("the Kubernetes manifests", () => {
  it("run each service in a StatefulSet of its own", () => {
    expect(sets.map(({ metadata }) => metadata.name).sort()).toEqual([...SERVICES].sort());
    for (const one of all) expect(one.apiVersion).toBe(API_VERSIONS[one.kind]);
    for (const set of sets) expect(environmentOf(set).SERVICE).toBe(set.metadata.name);
  });

  it("choose pods that exist", () => {
    for (const one of all) {
      const chosen = sets.filter((set) => isChosen(selectorOf(one), set));
      expect(chosen, `${one.kind} ${one.metadata.name}`).not.toEqual([]);
      if (one.kind === "StatefulSet") expect(chosen).toEqual([one]);
    }
  });

  it("let all nodes find one another by one headless service, before they are ready", () => {
    expect(headless).toHaveLength(1);
    const [mesh] = headless;
    expect(mesh?.spec.publishNotReadyAddresses).toBe(true);
    for (const set of sets) {
      const { discoveryName, nameServers, host } = settingsFrom(environmentOf(set));
      expect(isChosen(mesh?.spec.selector ?? {}, set)).toBe(true);
      expect(set.spec.serviceName).toBe(mesh?.metadata.name);
      expect(discoveryName).toBe(`${mesh?.metadata.name}.shop.svc.cluster.local`);
      expect({ nameServers, host }).toEqual({ nameServers: [], host: "0.0.0.0" });
    }
  });

  it("name ports that the program listens on", () => {
    for (const set of sets) {
      const { httpPort, meshPort } = settingsFrom(environmentOf(set));
      const { ports, readinessProbe, livenessProbe } = containerOf(set);
      expect(ports).toEqual([
        { name: "http", containerPort: httpPort },
        { name: "mesh", containerPort: meshPort },
      ]);
      expect(readinessProbe.httpGet).toEqual({ path: "/ready", port: "http" });
      expect(livenessProbe.httpGet).toEqual({ path: "/live", port: "http" });
    }
    for (const { spec } of services) {
      for (const { targetPort } of spec.ports) expect(["http", "mesh"]).toContain(targetPort);
    }
  });

  it("give a node more time to stop than it takes", () => {
    for (const set of sets) {
      const { preStop } = containerOf(set).lifecycle;
      const [program, seconds] = preStop.exec.command;
      expect(program).toBe("sleep");
      const drainS = settingsFrom(environmentOf(set)).drainMs / 1_000;
      const graceS = set.spec.template.spec.terminationGracePeriodSeconds;
      expect(graceS).toBeGreaterThanOrEqual(Number(seconds) + drainS + 10);
    }
  });

  it("keep each node's folder on a volume of its own, which is all that it can write to", () => {
    for (const set of sets) {
      const { volumeMounts, securityContext } = containerOf(set);
      const claims = set.spec.volumeClaimTemplates.map(({ metadata }) => metadata.name);
      const { dataDir } = settingsFrom(environmentOf(set));
      expect(volumeMounts).toEqual([{ name: claims[0], mountPath: dataDir }]);
      expect(securityContext).toMatchObject({ readOnlyRootFilesystem: true });
      const { runAsNonRoot, runAsUser, fsGroup } = set.spec.template.spec.securityContext;
      expect({ runAsNonRoot, runAsUser, fsGroup }).toEqual({
        ...{ runAsNonRoot: true, runAsUser: 1_000, fsGroup: 1_000 },
      });
    }
  });
});

describe("the compose file", () => {
  const { services: composed, volumes, networks } = compose();

  it("runs each service, on one network, with a volume of its own", () => {
    expect(Object.keys(composed)).toEqual([...SERVICES]);
    const used = Object.entries(composed).map(([name, service]) => {
      const settings = settingsFrom(service.environment);
      expect(settings.service).toBe(name);
      expect(settings.discoveryName).toBe("");
      expect(service.networks).toEqual(Object.keys(networks));
      expect(service.read_only).toBe(true);
      const [volume, folder] = (service.volumes[0] ?? "").split(":");
      expect(folder).toBe(settings.dataDir);
      return volume;
    });
    expect(used).toEqual(Object.keys(volumes));
  });

  it("builds from the Dockerfile, and gives a node more time to stop than it takes", () => {
    for (const { build, environment, stop_grace_period } of Object.values(composed)) {
      expect(existsSync(join(FOLDER, build.context, build.dockerfile))).toBe(true);
      const { drainMs } = settingsFrom(environment);
      expect(secondsOf(stop_grace_period) * 1_000).toBeGreaterThanOrEqual(drainMs + 5_000);
    }
  });
});

describe("the Dockerfile", () => {
  it("builds in one stage and runs in another, not as root, without install scripts or a shell", () => {
    const lines = dockerfile();
    const of = (name: string): string[] =>
      lines.filter(({ instruction }) => instruction === name).map(({ rest }) => rest);
    expect(of("FROM")).toEqual(["node:20-slim AS build", "node:20-slim"]);
    expect(of("USER")).toEqual(["1000:1000"]);
    expect(JSON.parse(of("CMD")[0] ?? "")).toEqual(["node", "main.js"]);
    const installs = of("RUN").filter((rest) => /\bnpm (install|ci)\b/.test(rest));
    expect(installs).toHaveLength(2);
    for (const install of installs) expect(install).toContain("--ignore-scripts");
    const { httpPort, meshPort } = settingsFrom({ SERVICE: "orders" });
    expect(of("EXPOSE")).toEqual([`${httpPort} ${meshPort}`]);
  });
});

describe("what a container is told", () => {
  it("is refused, all at once, when it is wrong", () => {
    const wrong = { SERVICE: "cellar", HTTP_PORT: "70000", DRAIN_MS: "soon" };
    expect(() => settingsFrom(wrong)).toThrow(/SERVICE.*HTTP_PORT 70000.*DRAIN_MS soon/);
  });
});
