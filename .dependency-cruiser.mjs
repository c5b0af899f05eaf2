/**
 * Which part of src may import which.
 *
 * Imports point downward: cli, admin, patterns, gateway -> mesh -> runtime, contract -> core, ports, wire;
 * testing, which puts simulated parts under the real runtime, knows all from mesh down. Transports,
 * discoveries, journals, heartbeat, security and observe implement ports, know nothing of one another, and only the
 * composition root knows them. Each rule names what its layer MAY import, so a new folder is refused
 * until a rule lets it in. test/project/imports.test.ts breaks every rule once.
 */

const COMPOSITION_ROOT = "^src/mesh/create-node\\.ts$";
const SHELLS = "^src/(transport|discovery|journal|heartbeat|security|observe)/";

/** Modules of `from` may import `allowed` parts of src, and any package or Node built-in. */
function layer(name, comment, from, allowed, except) {
  return {
    name,
    comment,
    severity: "error",
    from: { path: from, ...(except === undefined ? {} : { pathNot: except }) },
    to: { path: "^src/", pathNot: allowed },
  };
}

/** Modules of `from` may import `allowed` parts of src, and nothing else at all. */
function pureLayer(name, comment, from, allowed) {
  return { name, comment, severity: "error", from: { path: from }, to: { pathNot: allowed } };
}

/** A package whose API stays behind one folder. */
function engine(packageName, ...folders) {
  return {
    name: `${packageName}-behind-its-port`,
    comment: `${packageName} is known in src/${folders.join("/, src/")}/ only`,
    severity: "error",
    from: { path: "^src/", pathNot: `^src/(${folders.join("|")})/` },
    to: { path: `node_modules/${packageName}/` },
  };
}

export default {
  forbidden: [
    {
      name: "no-cycles",
      comment: "a cycle has no bottom: move what both need into a module below them",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "no-unresolvable",
      comment: "an import that resolves to nothing fails at run time",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: "no-dev-dependencies",
      comment: "what src imports must be installed with the package",
      severity: "error",
      from: { path: "^src/" },
      to: {
        dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown"],
        dependencyTypesNot: ["npm", "npm-optional", "npm-peer", "type-only"],
      },
    },
    {
      name: "nothing-outside-src",
      comment: "src does not import tests, examples, benches or scripts",
      severity: "error",
      from: { path: "^src/" },
      to: { path: "^(test|examples|bench|scripts)/" },
    },
    {
      name: "known-parts-only",
      comment: "a new folder or root module in src needs a rule here first",
      severity: "error",
      from: {
        path: "^src/",
        pathNot: [
          "^src/(index|errors|options)\\.ts$",
          "^src/(core|options|ports|wire|contract|transport|discovery|journal|heartbeat)/",
          "^src/(security|observe)/",
          "^src/(runtime|mesh|patterns|admin|cli|testing|gateway|directory-service)/",
        ],
      },
      to: {},
    },
    pureLayer("errors-import-nothing", "the error table stands alone", "^src/errors\\.ts$", "^$"),
    pureLayer(
      "ports-import-ports",
      "ports are interfaces: they know the errors and one another",
      "^src/ports/",
      "^src/(ports/|errors\\.ts$)",
    ),
    pureLayer(
      "core-imports-core",
      "the core does no I/O: no node:*, no package, no other layer",
      "^src/core/",
      "^src/(core/|errors\\.ts$)",
    ),
    pureLayer(
      "wire-imports-wire",
      "bytes and values only: no node:*, no package, no other layer",
      "^src/wire/",
      "^src/(wire/|errors\\.ts$)",
    ),
    layer(
      "options-import-downward",
      "options are resolved above the core and below the runtime",
      "^src/options(\\.ts$|/)",
      "^src/(options/|core/|ports/|wire/|errors\\.ts$)",
    ),
    layer(
      "contract-imports-downward",
      "a contract is a plain value: it knows no runtime",
      "^src/contract/",
      "^src/(contract/|core/|ports/|wire/|errors\\.ts$)",
    ),
    layer(
      "shells-implement-ports",
      "a shell knows ports, wire, core and errors, never the runtime or the mesh",
      SHELLS,
      [SHELLS, "^src/(core/|ports/|wire/|errors\\.ts$)"],
    ),
    {
      name: "shells-apart",
      comment:
        "transport, discovery, journal, heartbeat, security and observe never import one another",
      severity: "error",
      from: { path: "^src/(transport|discovery|journal|heartbeat|security|observe)/" },
      to: { path: SHELLS, pathNot: "^src/$1/" },
    },
    {
      name: "implementations-apart",
      comment: "one transport never imports another; what they share stands beside their folders",
      severity: "error",
      from: { path: "^src/(transport|discovery|journal)/([^/]+)/" },
      to: { path: "^src/$1/[^/]+/", pathNot: "^src/$1/$2/" },
    },
    {
      name: "implementations-below",
      comment: "what implementations share does not know them",
      severity: "error",
      from: { path: "^src/(transport|discovery|journal)/[^/]+\\.ts$" },
      to: { path: "^src/$1/[^/]+/" },
    },
    layer(
      "runtime-imports-downward",
      "the runtime drives the core with ports; contracts are its user's business",
      "^src/runtime/",
      "^src/(runtime/|core/|ports/|wire/|errors\\.ts$|options(\\.ts$|/))",
    ),
    layer(
      "mesh-imports-downward",
      "only the composition root knows implementations",
      "^src/mesh/",
      "^src/(mesh/|runtime/|contract/|core/|ports/|wire/|errors\\.ts$|options(\\.ts$|/))",
      COMPOSITION_ROOT,
    ),
    layer(
      "composition-root-imports-downward",
      "the composition root knows every part but those above it",
      COMPOSITION_ROOT,
      [SHELLS, "^src/(mesh/|runtime/|contract/|core/|ports/|wire/|errors\\.ts$|options(\\.ts$|/))"],
    ),
    layer(
      "patterns-import-the-public-api",
      "patterns, admin and cli stand on what users hold",
      "^src/(patterns|admin|cli)/",
      "^src/(patterns/|admin/|cli/|mesh/|contract/|ports/|errors\\.ts$|index\\.ts$|security/index\\.ts$)",
    ),
    layer(
      "testing-imports-downward",
      "the test mesh puts simulated parts under the real runtime and reads what reaches its disks",
      "^src/testing/",
      "^src/(testing/|mesh/|runtime/|contract/|core/|ports/|wire/|errors\\.ts$|options(\\.ts$|/))",
      undefined,
    ),
    layer(
      "gateway-stands-on-the-mesh",
      "a gateway does what a user's program could: of the runtime it knows how a handler's failure is meant",
      "^src/gateway/",
      "^src/(gateway/|mesh/|contract/|core/|ports/|errors\\.ts$|options(\\.ts$|/)|transport/[^/]+\\.ts$|runtime/consumer/outcome\\.ts$)",
    ),
    layer(
      "directory-service-stands-on-the-mesh",
      "a directory does what a user's program could, over calls of the gRPC transport",
      "^src/directory-service/",
      "^src/(directory-service/|mesh/|core/|wire/|ports/|errors\\.ts$|options(\\.ts$|/)|transport/[^/]+\\.ts$|transport/grpc/call-transport\\.ts$)",
    ),
    {
      name: "tops-apart",
      comment:
        "patterns, admin, cli, testing, gateway and directory-service do not import one another, but cli may import admin",
      severity: "error",
      from: { path: "^src/(patterns|admin|cli|testing|gateway|directory-service)/" },
      to: {
        path: "^src/(patterns|admin|cli|testing|gateway|directory-service)/",
        pathNot: ["^src/$1/", "^src/admin/"],
      },
    },
    {
      name: "index-is-the-top",
      comment: "src/index.ts re-exports; inner code imports the module itself",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(patterns|admin|cli|testing)/" },
      to: { path: "^src/index\\.ts$" },
    },
    engine("zeromq", "transport/zeromq"),
    engine("@grpc/grpc-js", "transport/grpc", "gateway"),
    engine("@grpc/proto-loader", "gateway"),
    engine("lmdb", "journal/lmdb"),
    engine("multicast-dns", "discovery/mdns"),
    engine("@peculiar", "security"),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default", "types"],
      extensions: [".ts", ".js", ".json"],
    },
  },
};
