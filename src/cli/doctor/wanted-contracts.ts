/** The contracts that the caller asks about: one by its subject, or all that a module exports. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { ContractKind, VersionRange } from "../../contract/contract.ts";
import { command, event, query } from "../../index.ts";

export type WantedContract = {
  readonly kind: ContractKind;
  readonly subject: string;
  /** Of the messages that are sent; 0: none declared. */
  readonly version: number;
  /** Versions that handlers here read. */
  readonly accepts: VersionRange;
  /** Who should take it; undefined: anybody. */
  readonly group: string | undefined;
};

export type WantedFlags = {
  readonly subject: string | undefined;
  readonly kind: string | undefined;
  readonly "contract-version": string | undefined;
  readonly group: string | undefined;
  readonly contracts: string | undefined;
};

const KINDS: readonly unknown[] = ["event", "command", "query"] satisfies ContractKind[];

/** @throws Error that names the argument which is wrong */
export const wantedContracts = async (flags: WantedFlags): Promise<WantedContract[]> => {
  const { subject, group, contracts } = flags;
  const named = subject === undefined ? [] : [contractOf(flags, subject)];
  if (subject === undefined) {
    for (const name of ["kind", "contract-version"] as const) {
      if (flags[name] !== undefined) throw new Error(`--${name} says more of --subject: name one`);
    }
    if (group !== undefined && contracts === undefined) {
      throw new Error("--group says who should take --subject or --contracts: name one");
    }
  }
  const exported = contracts === undefined ? [] : await contractsIn(contracts);
  return [...named, ...exported].map((contract) => ({ ...contract, group }));
};

const contractOf = (flags: WantedFlags, subject: string): Contract => {
  const { kind = "event", "contract-version": text } = flags;
  const version = text === undefined ? {} : { version: Number(text) };
  if (kind === "event") return event(subject, version);
  if (kind === "command") return command(subject, version);
  if (kind === "query") return query(subject, version);
  throw new Error(`--kind ${kind} is none of event, command, query`);
};

type Contract = Omit<WantedContract, "group">;

const contractsIn = async (path: string): Promise<Contract[]> => {
  let module: Readonly<Record<string, unknown>>;
  try {
    module = (await import(pathToFileURL(resolve(path)).href)) as typeof module;
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new Error(`--contracts ${path} cannot be loaded: ${said}`);
  }
  const found = Object.values(module).filter(isContract);
  if (found.length === 0) throw new Error(`--contracts ${path} exports no contract`);
  return found;
};

/** Also one that another copy of the package made. */
const isContract = (value: unknown): value is Contract => {
  const contract = value as Partial<Contract> | null | undefined;
  return (
    typeof contract === "object" &&
    contract !== null &&
    typeof contract.subject === "string" &&
    KINDS.includes(contract.kind) &&
    typeof contract.version === "number" &&
    Array.isArray(contract.accepts)
  );
};
