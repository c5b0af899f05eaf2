/**
 * One node: its journal, both sides of delivery, requests, links and discovery. Everything below reacts to frames and
 * timers, synchronously; this file alone knows all parts, and connects them. Users hold mesh/mesh-node.ts.
 */
import type { Life } from "../core/session.ts";
import { SHARD_COUNT } from "../core/shard-map.ts";
import type { SwimPreset } from "../core/swim/swim-times.ts";
import type { MeshError } from "../errors.ts";
import type { Discovery, PeerHint } from "../ports/discovery.ts";
import type { Heartbeat } from "../ports/heartbeat.ts";
import type { Transport } from "../ports/transport.ts";
import { BUNDLE_FEATURE } from "../wire/bundle.ts";
import type { PingFrame } from "../wire/credit.ts";
import type { Identity } from "../wire/handshake.ts";
import { advertisedAddress } from "./advertised-address.ts";
import { Answers } from "./answers.ts";
import { CommitRetry } from "./commit-retry.ts";
import { Consumer } from "./consumer/consumer.ts";
import { Declarations, type RefusalHandler } from "./consumer/declarations.ts";
import { type Credentials, credentialsOf } from "./credentials.ts";
import { declaredBy } from "./declared-by.ts";
import { Directory } from "./directory.ts";
import { startDiscoveries } from "./discoveries.ts";
import { type Environment, hybridNow } from "./environment.ts";
import type { Journal } from "./journal/journal.ts";
import { Link } from "./link/link.ts";
import { ITSELF } from "./link/link-origin.ts";
import type { FrameOwner, SessionFrame } from "./link/link-owner.ts";
import { PIECES_FEATURE } from "./link/link-pieces.ts";
import { LinkTable, PROTOCOL_MAX, PROTOCOL_MIN } from "./link/link-table.ts";
import type { LinkTableEvents } from "./link/link-table-events.ts";
import { Liveness } from "./link/liveness.ts";
import { LoopbackConnection } from "./link/loopback.ts";
import type { Peer } from "./link/peer.ts";
import { listenAll } from "./listen-all.ts";
import { mayHold } from "./may-hold.ts";
import { GOSSIP_FEATURE, Membership } from "./membership.ts";
import { Ownerships } from "./ownership/ownerships.ts";
import { Producer, type ProducerLimits } from "./producer/producer.ts";
import { Requests } from "./requests.ts";
import { stopAll } from "./stop-all.ts";

export type NodeRuntimeOptions = {
  readonly env: Environment;
  readonly journal: Journal;
  readonly transports: readonly Transport[];
  readonly discovery: readonly Discovery[];
  readonly heartbeat: Heartbeat | undefined;
  readonly mesh: string;
  readonly service: string;
  readonly listen: { readonly host: string; readonly port: number };
  readonly advertiseHost: string | undefined;
  readonly loopbackOnly: boolean;
  readonly producerLimits: ProducerLimits;
  readonly retain: { readonly ageMs: number; readonly bytes: number };
  readonly heldMax: number;
  readonly membership: SwimPreset;
  readonly onRefused: RefusalHandler;
};

export class NodeRuntime implements LinkTableEvents, FrameOwner<Link> {
  readonly env: Environment;
  readonly journal: Journal;
  readonly producer: Producer;
  readonly consumer: Consumer;
  readonly ownerships: Ownerships;
  readonly requests: Requests;
  readonly answers: Answers;
  readonly declarations: Declarations;
  readonly links: LinkTable;
  readonly membership: Membership;
  readonly #options: NodeRuntimeOptions;
  readonly #directory: Directory;
  readonly #liveness: Liveness;
  readonly #commitRetry: CommitRetry;
  readonly #credentials: Credentials | undefined;
  #heartbeatAddress = "";
  #epoch: number;
  #addresses: string[] = [];
  #met = false; // another node, in this life

  constructor(options: NodeRuntimeOptions) {
    const { env, journal } = options;
    this.#options = options;
    this.env = env;
    this.journal = journal;
    this.#epoch = journal.epoch;
    this.ownerships = new Ownerships(env, journal, () => this.links.answeredSentMs());
    this.producer = new Producer(env, journal, options, this.ownerships);
    this.consumer = new Consumer({
      env,
      committer: journal.committer,
      store: journal,
      output: this.producer,
      heldMax: options.heldMax,
    });
    this.requests = new Requests(env);
    this.answers = new Answers(env);
    this.#liveness = new Liveness(env, options.heartbeat);
    this.links = new LinkTable(env, options.transports, this.#liveness, this, this);
    this.declarations = new Declarations(env, () => this.links.live(), options.onRefused);
    this.#commitRetry = new CommitRetry(env, journal.committer);
    this.membership = new Membership(env, journal, options, this.links, this.#liveness, {
      call: (id) => this.links.call(id),
      outlived: (above) => void (this.jumpEpoch(above) && this.links.greetAgain()),
    });
    this.#directory = new Directory(env, journal, this.links, this.producer, this.membership);
    this.#credentials = credentialsOf(env, this.links, this);
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  get met(): boolean {
    return this.#met;
  }

  /** Listens, links the node to itself, and looks for peers. @throws MeshError ADDRESS_IN_USE */
  async start(): Promise<void> {
    const { env, listen } = this.#options;
    // Before the first peer can come: what it declares must meet the cursors of earlier lives.
    this.producer.start();
    this.consumer.releaseOwn();
    const { nodeId, nonce } = this.journal;
    const heartbeat = await this.#liveness.start({ nodeId, nonce, listen });
    if (heartbeat !== "")
      this.#heartbeatAddress = advertisedAddress(heartbeat, this.#options.advertiseHost);
    await listenAll(
      this.#options,
      (connection, scheme) => this.links.accept(connection, scheme),
      (address) => this.#addresses.push(address),
    );
    this.#linkItself();
    env.report({ type: "listening", addresses: this.#addresses });
    this.#directory.start();
    await this.#discover();
  }

  /** Says goodbye and closes links, transports and journal. Handlers have been drained before. */
  async stop(): Promise<void> {
    this.#commitRetry.stop();
    this.membership.stop();
    this.consumer.stop();
    this.producer.stop();
    this.ownerships.stop();
    this.#directory.stop();
    if (this.#credentials !== undefined) await this.#credentials.stop();
    this.links.stop("STOPPED", "the node stopped");
    const { transports } = this.#options;
    await stopAll(this.env.logger, [this.#liveness.stop(), ...transports.map((one) => one.stop())]);
    await this.journal.close();
  }

  async stopDiscovery(): Promise<void> {
    const stops = this.#options.discovery.map((source) => source.stop());
    await stopAll(this.env.logger, stops);
  }

  /** The journal began or ceased to fail. */
  journalHealth(failing: boolean, error: MeshError | undefined): void {
    const message = error?.message ?? "commits succeed again";
    this.env.report({ type: "journal", state: failing ? "failing" : "working", message });
    if (failing) this.#commitRetry.start();
    else this.consumer.releaseOwn();
  }

  // --- LinkTableEvents -----------------------------------------------------------------------

  identity(): Omit<Identity, "time"> {
    const { mesh, service, env } = this.#options;
    return {
      mesh,
      nodeId: this.journal.nodeId,
      service,
      epoch: this.#epoch,
      nonce: this.journal.nonce,
      protocolMin: PROTOCOL_MIN,
      protocolMax: PROTOCOL_MAX,
      features: GOSSIP_FEATURE | PIECES_FEATURE | BUNDLE_FEATURE,
      shardCount: SHARD_COUNT,
      hashId: env.hash.id,
      frameBytesMax: env.limits.frameBytesMax,
      addresses: this.#addresses,
      heartbeat: this.#heartbeatAddress,
      jumped: this.journal.jumped,
    };
  }

  earlierLives(): readonly Life[] {
    return this.journal.earlier;
  }

  up(link: Link, peer: Peer): void {
    if (peer.nodeId !== this.journal.nodeId) this.#met = true;
    this.producer.linkUp(link);
    this.consumer.linkUp(link);
    this.declarations.linkUp(link);
    this.ownerships.linkUp(link);
    this.#directory.up(link, peer);
    this.membership.up(link, peer, this.#directory.incarnationOf(peer));
    this.#credentials?.linkUp(link);
    this.consumer.ask(link, true);
  }

  down(link: Link, peer: Peer, _reason: MeshError): void {
    this.#directory.down(link);
    this.membership.down(link, peer);
    this.#credentials?.linkDown(link);
    this.producer.linkDown(link);
    this.consumer.linkDown(link);
    this.ownerships.linkDown(link);
    this.requests.linkDown(link);
    this.answers.linkDown(link);
    this.declarations.linkDown(peer.nodeId);
    // Nobody dials a node for itself; not at once, or a fault that repeats would leave no time for anything else.
    if (peer.nodeId !== this.journal.nodeId) return;
    this.env.clock.setTimer(this.env.times.heartbeatMs, () => this.#linkItself());
  }

  dead(nodeId: string, state: "dead" | "left" | "restarted"): void {
    this.producer.deaths.dead(nodeId, state);
  }

  gone(nodeId: string): void {
    this.producer.deaths.gone(nodeId);
  }

  jumpEpoch(above: number): boolean {
    if (!this.journal.raiseEpoch(above)) return false;
    this.#epoch = this.journal.epoch;
    this.membership.rise(this.#epoch);
    this.env.logger.warn("a peer knows another life of this node", { epoch: this.#epoch });
    this.env.counters.count("epoch.jumped");
    return true;
  }

  forget(nodeId: string): void {
    this.env.logger.warn("a peer was restored or copied: messages may repeat", { nodeId });
    this.consumer.forget(nodeId);
  }

  remember(link: Link): void {
    this.#directory.remember(link);
  }

  // --- FrameOwner ----------------------------------------------------------------------------

  frame(link: Link, frame: SessionFrame): void {
    if (frame.type === "gossip") this.membership.told(link, frame);
    else this.membership.heard(link);
    switch (frame.type) {
      case "batch":
        this.consumer.batch(link, frame.sections);
        break;
      case "settle":
        this.producer.settling.settle(link, frame.sections);
        break;
      case "credit":
        this.producer.credit(link, frame.entries);
        break;
      case "accepted":
        this.consumer.accepted(link, frame);
        break;
      case "request":
        this.answers.asked(link, frame);
        break;
      case "reply":
        this.requests.reply(link, frame);
        break;
      case "cancel":
        this.answers.cancelled(link, frame.id);
        break;
      case "ping":
        this.#ping(link, frame);
        break;
      case "declare":
        declaredBy(this, link, frame);
        break;
      case "declared":
        this.declarations.declared(link.peer.nodeId, frame);
        break;
      case "resync":
        this.producer.resync(link, frame.subscription, frame.from);
        break;
      case "ask":
        this.producer.settling.ask(link, frame);
        break;
      case "hold":
        if (mayHold(this.env, link, frame)) this.ownerships.hold(link, frame);
        break;
      case "directory":
        this.#directory.told(link, frame);
        break;
      case "credentials":
        this.#credentials?.told(link, frame);
        break;
      case "gossip":
      case "limited": // read above
    }
  }

  heartbeat(link: Link): Pick<PingFrame, "tails" | "credits"> {
    this.ownerships.beat(link);
    const said = { tails: this.producer.tails(link), credits: this.consumer.credits(link) };
    this.membership.beat(link); // which may close it
    return said;
  }

  turn(link: Link): void {
    this.ownerships.turn(link);
    this.consumer.turn(link);
  }

  drained(link: Link): void {
    this.producer.drained(link);
  }

  // --- inside --------------------------------------------------------------------------------

  #ping(link: Link, frame: PingFrame): void {
    this.ownerships.answered(link, frame.echo);
    this.consumer.ping(link, frame);
    this.producer.credit(link, frame.credits);
  }

  #linkItself(): void {
    const connection = new LoopbackConnection(this.env.clock);
    const link = new Link(this.env, this.links, connection, ITSELF);
    this.links.addLocal(link, { ...this.identity(), time: hybridNow(this.env) });
  }

  #discover(): Promise<void> {
    const { env, mesh, service, loopbackOnly, discovery } = this.#options;
    const host = {
      env,
      found: (peer: PeerHint) => this.links.found(peer),
      forgotten: (nodeId: string) => this.links.forgotten(nodeId),
    };
    const { nodeId } = this.journal;
    const at = { nodeId, epoch: this.#epoch, addresses: this.#addresses, loopbackOnly };
    return startDiscoveries(host, discovery, { mesh, service, ...at });
  }
}
