/**
 * The rules that need types, and the purity of the core. Everything else is Biome's.
 *
 * Biome's own promise rule misses promises whose types come from packages or Node's own modules
 * (a socket's send, a store's put), which are the ones that matter here.
 */

import tseslint from "typescript-eslint";

const IMPURE_GLOBALS = [
  "Date",
  "performance",
  "setTimeout",
  "setInterval",
  "setImmediate",
  "clearTimeout",
  "clearInterval",
  "clearImmediate",
  "queueMicrotask",
  "process",
  "crypto",
  "fetch",
  "console",
  "globalThis",
  "global",
  "require",
  "WebSocket",
  "Worker",
  "MessageChannel",
  "BroadcastChannel",
];

const impureProperties = [
  { object: "Math", property: "random", message: "randomness is an argument: see ports/random.ts" },
];

const impureModules = {
  patterns: [{ regex: "^(node:|[^.])", message: "no I/O here: only this layer and errors" }],
};

const asynchrony = [
  { selector: ":function[async=true]", message: "core returns verdicts: nothing here waits" },
  { selector: "AwaitExpression", message: "core returns verdicts: nothing here waits" },
  { selector: "ImportExpression", message: "core imports statically" },
];

export default tseslint.config(
  { ignores: ["dist/", ".build/", "node_modules/", "coverage/"] },
  {
    files: ["**/*.ts"],
    languageOptions: { parser: tseslint.parser, parserOptions: { projectService: true } },
    plugins: { "@typescript-eslint": tseslint.plugin },
    linterOptions: { reportUnusedDisableDirectives: "error" },
    rules: {
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": [
        "error",
        { considerDefaultExhaustiveForUnions: true },
      ],
    },
  },
  {
    files: ["src/core/**/*.ts", "src/wire/**/*.ts"],
    rules: {
      "no-restricted-globals": ["error", ...IMPURE_GLOBALS],
      "no-restricted-properties": ["error", ...impureProperties],
      "no-restricted-imports": ["error", impureModules],
    },
  },
  {
    files: ["src/core/**/*.ts"],
    rules: {
      "no-restricted-globals": ["error", ...IMPURE_GLOBALS, "Promise", "Buffer"],
      "no-restricted-syntax": ["error", ...asynchrony],
    },
  },
);
