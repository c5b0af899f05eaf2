/** cote: requester and responder, publisher and subscriber, found by its own broadcasts on the loopback network. */
import { createRequire } from "node:module";
import type { Adapter, Place } from "./adapter.ts";

type Discovered = { once(event: "cote:added", heard: () => void): void };
type Component = Discovered & { close(): void; on(type: string, heard: unknown): void };
type Requester = Component & { send(request: object): Promise<unknown> };
type Publisher = Component & { publish(topic: string, data: unknown): void };
type Made<C> = new (advertisement: object, discovery: object) => C;
type Cote = (options: object) => {
  readonly Requester: Made<Requester>;
  readonly Responder: Made<Component>;
  readonly Publisher: Made<Publisher>;
  readonly Subscriber: Made<Component>;
};

const cote = createRequire(import.meta.url)("cote") as Cote;
/** A discovery port of its own for each run: others' hellos are not heard. */
const portOf = (mesh: string): number =>
  20_000 + (Number.parseInt(mesh.replace(/[^0-9a-f]/g, "").slice(-8), 16) % 10_000);
const TYPE = "said";
const BETWEEN_TURNS = 64;

const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

export const coteAdapter = (): Adapter => {
  const components: { close(): void }[] = [];
  const optionsOf = ({ mesh }: Place) => ({
    log: false,
    broadcast: "127.255.255.255",
    port: portOf(mesh),
  });
  const opened = <C extends Component>(component: C): C => {
    components.push(component);
    return component;
  };
  const added = (component: Discovered): Promise<void> =>
    new Promise((resolve) => component.once("cote:added", resolve));
  return {
    codec: "json",
    answer: async (place) => {
      const { Responder } = cote({ environment: place.mesh });
      const responder = opened(new Responder({ name: "answer" }, optionsOf(place)));
      responder.on(TYPE, async ({ value }: { value: unknown }) => value);
      return "";
    },
    ask: async (place) => {
      const { Requester } = cote({ environment: place.mesh });
      const requester = opened(new Requester({ name: "ask" }, optionsOf(place)));
      await added(requester);
      return (payload) => requester.send({ type: TYPE, value: payload });
    },
    consume: async (place, { index }, handle) => {
      const { Subscriber } = cote({ environment: place.mesh });
      const options = { name: `sink-${index}`, subscribesTo: [TYPE] };
      const subscriber = opened(new Subscriber(options, optionsOf(place)));
      subscriber.on(TYPE, (payload: unknown) => void handle(payload));
      return {};
    },
    produce: async (place) => {
      const { Publisher } = cote({ environment: place.mesh });
      const publisher = opened(
        new Publisher({ name: "source", broadcasts: [TYPE] }, optionsOf(place)),
      );
      let count = 0;
      const raw = publisher as unknown as { sock: { sock: Emitter & { socks: Writable[] } } };
      return {
        met: async (members) => {
          while (raw.sock.sock?.socks?.length < members) await nextTurn();
        },
        emit: (payload) => {
          publisher.publish(TYPE, payload);
          if (++count % BETWEEN_TURNS !== 0) return true;
          // It has no back-pressure of its own: what waits in its sockets bounds us.
          return drained(raw.sock.sock.socks);
        },
      };
    },
    close: async () => {
      for (const component of components) component.close();
    },
  };
};

type Emitter = { on(event: string, heard: () => void): void };
type Writable = { readonly writableLength: number };

const QUEUED_MAX = 1 << 20;

const drained = async (sockets: readonly Writable[]): Promise<void> => {
  while (sockets.some(({ writableLength }) => writableLength > QUEUED_MAX)) await nextTurn();
};
