import protobuf from "protobufjs";
import { describe, expectTypeOf, it } from "vitest";
import { z } from "zod";
import { bytes, json } from "../../src/contract/codec.ts";
import type {
  AnyContract,
  EventContract,
  InputOf,
  OutputOf,
  ReplyInputOf,
  ReplyOutputOf,
} from "../../src/contract/contract.ts";
import { command, event, query } from "../../src/contract/define-contract.ts";
import { encodeValue } from "../../src/contract/encode-value.ts";
import { protobuf as protobufSchema } from "../../src/contract/protobuf.ts";
import { untyped } from "../../src/contract/untyped.ts";

const Order = z.object({ orderId: z.string(), at: z.string().transform((text) => new Date(text)) });

describe("the types of a contract", () => {
  it("gives the schema's input to producers and key, its output to handlers", () => {
    const Placed = event("order.placed", {
      schema: Order,
      key: (order) => {
        expectTypeOf(order).toEqualTypeOf<{ orderId: string; at: string }>();
        return order.orderId;
      },
    });
    expectTypeOf<InputOf<typeof Placed>>().toEqualTypeOf<{ orderId: string; at: string }>();
    expectTypeOf<OutputOf<typeof Placed>>().toEqualTypeOf<{ orderId: string; at: Date }>();
    expectTypeOf(Placed).toExtend<EventContract<{ orderId: string; at: string }, { at: Date }>>();
    expectTypeOf(Placed).toExtend<AnyContract>();
    expectTypeOf(Placed).not.toExtend<AnyContract<"command">>();
  });

  it("refuses a value of the wrong type", () => {
    const Placed = event("order.placed", { schema: Order });
    // @ts-expect-error `at` is missing
    const wrong = (): unknown => encodeValue(Placed, { orderId: "o-1" }, 1024);
    expectTypeOf(wrong).toBeFunction();
  });

  it("takes the type of json<T>() and bytes() on both sides", () => {
    const Noted = event("noted", { schema: json<{ text: string }>(), key: (note) => note.text });
    expectTypeOf<InputOf<typeof Noted>>().toEqualTypeOf<{ text: string }>();
    expectTypeOf<OutputOf<typeof Noted>>().toEqualTypeOf<{ text: string }>();
    const Raw = event("raw", { schema: bytes() });
    expectTypeOf<InputOf<typeof Raw>>().toEqualTypeOf<Uint8Array>();
  });

  it("is unknown where no schema is given", () => {
    const Bare = event("bare");
    expectTypeOf<InputOf<typeof Bare>>().toBeUnknown();
    expectTypeOf<OutputOf<typeof Bare>>().toBeUnknown();
    const free = untyped("free", "query");
    expectTypeOf<ReplyOutputOf<typeof free>>().toBeUnknown();
  });

  it("has reply types for queries, and for commands that ask for them", () => {
    const Quote = query("pricing.quote", {
      request: z.object({ sku: z.string() }),
      reply: z.object({ price: z.string().transform(Number) }),
    });
    expectTypeOf<InputOf<typeof Quote>>().toEqualTypeOf<{ sku: string }>();
    expectTypeOf<ReplyInputOf<typeof Quote>>().toEqualTypeOf<{ price: string }>();
    expectTypeOf<ReplyOutputOf<typeof Quote>>().toEqualTypeOf<{ price: number }>();
    const Reserve = command("inventory.reserve", { schema: json<{ sku: string }>() });
    expectTypeOf<ReplyInputOf<typeof Reserve>>().toEqualTypeOf<void>();
    const Ask = command("inventory.ask", { reply: json<{ left: number }>() });
    expectTypeOf<ReplyInputOf<typeof Ask>>().toEqualTypeOf<{ left: number }>();
  });

  it("takes the message types of protobuf code", () => {
    type Stock = { sku: string; count: number };
    const generated = {
      encode: (message: Partial<Stock>) => ({ finish: () => Buffer.from(JSON.stringify(message)) }),
      decode: (_bytes: Uint8Array): Stock => ({ sku: "", count: 0 }),
    };
    const Changed = event("stock.changed", {
      schema: protobufSchema(generated),
      key: (stock) => stock.sku,
    });
    expectTypeOf<InputOf<typeof Changed>>().toEqualTypeOf<Partial<Stock>>();
    expectTypeOf<OutputOf<typeof Changed>>().toEqualTypeOf<Stock>();
    const reflected = event("reflected", { schema: protobufSchema(new protobuf.Type("Stock")) });
    expectTypeOf(reflected).toExtend<AnyContract>();
  });
});
