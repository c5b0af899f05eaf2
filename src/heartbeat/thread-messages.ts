/** What the event loop and its heartbeat thread say to each other that does not fit the board. */

export type ThreadStart = {
  readonly board: SharedArrayBuffer;
  readonly nodeId: string;
  readonly nonce: Uint8Array;
  readonly listen: { readonly host: string; readonly port: number };
  readonly intervalMs: number;
};

export type ToThread =
  | {
      readonly type: "watch";
      readonly slot: number;
      readonly nodeId: string;
      readonly nonce: Uint8Array;
      readonly address: string;
    }
  | { readonly type: "attend"; readonly slot: number; readonly closely: boolean }
  | { readonly type: "unwatch"; readonly slot: number };

export type FromThread =
  | { readonly type: "bound"; readonly address: string }
  /** Nothing is written to the slot any more. */
  | { readonly type: "freed"; readonly slot: number };
