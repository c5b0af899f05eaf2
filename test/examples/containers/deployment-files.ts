/** The files of examples/containers, as far as the tests look at them. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse, parseAllDocuments } from "yaml";
import { ROOT_PATH } from "../../project/source-tree.ts";

export const FOLDER = join(ROOT_PATH, "examples", "containers");

type Named = { readonly name: string };
type Labels = Readonly<Record<string, string>>;
type Probe = { readonly httpGet: { readonly path: string; readonly port: string } };

type PodContainer = Named & {
  readonly image: string;
  readonly env: readonly (Named & { readonly value: string })[];
  readonly ports: readonly (Named & { readonly containerPort: number })[];
  readonly readinessProbe: Probe;
  readonly livenessProbe: Probe;
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: string[] } } };
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts: readonly (Named & { readonly mountPath: string })[];
};

type Manifest<K extends string, S> = {
  readonly apiVersion: string;
  readonly kind: K;
  readonly metadata: Named;
  readonly spec: S;
};

export type StatefulSet = Manifest<
  "StatefulSet",
  {
    readonly serviceName: string;
    readonly replicas: number;
    readonly selector: { readonly matchLabels: Labels };
    readonly template: {
      readonly metadata: { readonly labels: Labels };
      readonly spec: {
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: Readonly<Record<string, unknown>>;
        readonly containers: readonly PodContainer[];
      };
    };
    readonly volumeClaimTemplates: readonly { readonly metadata: Named }[];
  }
>;

export type Service = Manifest<
  "Service",
  {
    readonly clusterIP?: string;
    readonly publishNotReadyAddresses?: boolean;
    readonly selector: Labels;
    readonly ports: readonly (Named & { readonly targetPort: string })[];
  }
>;

type NetworkPolicy = Manifest<"NetworkPolicy", { readonly podSelector: { matchLabels: Labels } }>;
type Budget = Manifest<"PodDisruptionBudget", { readonly selector: { matchLabels: Labels } }>;

export type AnyManifest = StatefulSet | Service | NetworkPolicy | Budget;

/** @throws Error when one of them is no valid YAML */
export const manifests = (): AnyManifest[] =>
  readdirSync(join(FOLDER, "kubernetes")).flatMap((file) => {
    const text = readFileSync(join(FOLDER, "kubernetes", file), "utf8");
    return parseAllDocuments(text).map((document) => {
      const [problem] = [...document.errors, ...document.warnings];
      if (problem !== undefined) throw new Error(`${file}: ${problem.message}`);
      return document.toJS() as AnyManifest;
    });
  });

export const statefulSets = (): StatefulSet[] =>
  manifests().filter((one): one is StatefulSet => one.kind === "StatefulSet");

/** The container of a StatefulSet's pods: each has one. */
export const containerOf = ({ spec }: StatefulSet): PodContainer => {
  const [container] = spec.template.spec.containers;
  if (container === undefined) throw new Error("a pod without a container");
  return container;
};

export const environmentOf = (set: StatefulSet): Record<string, string> =>
  Object.fromEntries(containerOf(set).env.map(({ name, value }) => [name, value]));

export type ComposeService = {
  readonly environment: Readonly<Record<string, string>>;
  readonly stop_grace_period: string;
  readonly volumes: readonly string[];
  readonly networks: readonly string[];
  readonly read_only: boolean;
  readonly build: { readonly context: string; readonly dockerfile: string };
};

export type Compose = {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes: Readonly<Record<string, null>>;
  readonly networks: Readonly<Record<string, null>>;
};

export const compose = (): Compose =>
  parse(readFileSync(join(FOLDER, "compose.yaml"), "utf8"), { merge: true }) as Compose;

/** The instructions of the Dockerfile, each with the rest of its line. */
export const dockerfile = (): { readonly instruction: string; readonly rest: string }[] =>
  readFileSync(join(FOLDER, "Dockerfile"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [instruction = "", ...rest] = line.split(" ");
      return { instruction, rest: rest.join(" ") };
    });
