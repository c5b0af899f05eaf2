"""A client of the wire protocol itself, over ZeroMQ: docs/protocol.md and the .proto files, nothing of meshbus.

    python3 direct_program.py zmq://127.0.0.1:7400 <mesh>

It greets a node, takes its first `order.placed` as a member of the durable group "audit", settles it, asks
`stock.level`, and says what it saw as `audit.seen`, at most once. A client that may be restarted keeps its node
id and the marks of what it handled on its disk; this one lives once.
"""

import os
import random
import sys
import time

import zmq
from generated import generate

generate("meshbus/v1/link.proto", "meshbus/v1/envelope.proto")
from meshbus.v1 import envelope_pb2 as envelopes  # noqa: E402
from meshbus.v1 import link_pb2 as link  # noqa: E402

HEARTBEAT_MS = 250
DEADLINE_S = 30
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def hybrid_time():
    """48 bits of milliseconds, 16 of a counter."""
    return int(time.time() * 1000) << 16


class Link:
    def __init__(self, address, mesh):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.reconnect_ivl = -1  # a connection is never resumed
        self.socket.linger = 1000
        self.socket.connect(address.replace("zmq://", "tcp://"))
        self.node_id = "".join(random.SystemRandom().choices(ALPHABET, k=20))
        self.session = 0
        self.ping_id = 0
        self.heard_ping = 0
        self.next_ping = 0.0
        self.theirs = {}  # what the node listens to, by its index
        self.credit = {}  # how many at-most-once messages it takes, by its index
        hello = link.Hello(
            identity=link.Identity(
                mesh=mesh,
                node_id=self.node_id,
                service="audit",
                epoch=int(time.time()),
                nonce=os.urandom(16),
                protocol_min=1,
                protocol_max=1,
                shard_count=4096,
                hash_id="xxh32-0",
                frame_bytes_max=2**20,
                time=hybrid_time(),
            )
        )
        self.send(hello=hello)
        welcome = self.until("welcome").welcome
        print(f"greeted {welcome.identity.service}, protocol {welcome.protocol}")

    def send(self, **body):
        self.socket.send(link.Frame(session=self.session, **body).SerializeToString())

    def until(self, body):
        """The next frame with this body; what comes before it is dealt with."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            frame = self.receive()
            if frame is not None and frame.WhichOneof("body") == body:
                return frame
        raise TimeoutError(f"no {body} within {DEADLINE_S} s")

    def receive(self):
        """One frame, or None when a heartbeat is due first."""
        now = time.monotonic()
        if self.session != 0 and now >= self.next_ping:
            self.next_ping = now + HEARTBEAT_MS / 1000
            self.ping_id += 1
            self.send(ping=link.Ping(id=self.ping_id, echo=self.heard_ping, time=hybrid_time()))
        wait_ms = HEARTBEAT_MS if self.session == 0 else max(0, (self.next_ping - now) * 1000)
        if self.socket.poll(wait_ms) == 0:
            return None
        frame = link.Frame()
        data = self.socket.recv()
        if len(data) == 0:
            raise ConnectionError("the node closed the connection")
        frame.ParseFromString(data)
        body = frame.WhichOneof("body")
        if body == "welcome":
            self.session = frame.session
        elif body == "reject":
            raise ConnectionError(f"{frame.reject.code}: {frame.reject.message}")
        elif frame.session != self.session:
            return None
        elif body == "ping":
            self.heard_ping = frame.ping.id
            self.note_credit(frame.ping.credits)
        elif body == "credit":
            self.note_credit(frame.credit.entries)
        elif body == "declare":
            for declared in frame.declare.add:
                self.theirs[declared.index] = declared
            confirmed = [link.Confirmation(subscription=one.index) for one in frame.declare.add]
            self.send(declared=link.Declared(confirmations=confirmed))
        return frame

    def note_credit(self, entries):
        for entry in entries:
            if not entry.paused:
                self.credit[entry.subscription] = entry.volatile_number_limit

    def index_of(self, role, subject):
        for index, theirs in self.theirs.items():
            if theirs.role == role and theirs.pattern == subject:
                return index
        return None

    def close(self):
        self.send(bye=link.Bye(code="STOPPED"))
        self.socket.send(b"")  # the close marker
        self.socket.close()


def envelope(subject, kind, payload):
    made = envelopes.Envelope(subject=subject, kind=kind, time=hybrid_time(), payload=payload)
    return made.SerializeToString()


def take_one(node):
    """Declares a subscription, gives credit, and settles the first message."""
    born = hybrid_time()
    subscription = link.Subscription(
        index=1,
        role=link.ROLE_EVENTS,
        group="audit",
        pattern="order.placed",
        durable=True,
        birth_time=born,
        birth_creator=node.node_id,
        distribution=link.DISTRIBUTION_ANY,
        failover_move=True,
        weight=1,
        defined_time=born,
    )
    node.send(declare=link.Declare(add=[subscription], complete=True))
    (confirmation,) = node.until("declared").declared.confirmations
    assert confirmation.code == "", confirmation
    print("subscribed", flush=True)
    entry = link.CreditEntry(subscription=1, number_limit=1, bytes_limit=65_536)
    node.send(credit=link.Credit(entries=[entry]))
    while True:
        for section in node.until("batch").batch.sections:
            for at, delivery in enumerate(section.deliveries):
                message = envelopes.Envelope.FromString(delivery.envelope)
                settled = link.SettleSection(subscription=1, acked=[section.first + at, 1])
                node.send(settle=link.Settle(sections=[settled]))
                return message


def ask(node, subject, payload):
    """Asks the node, which replies to the subject itself."""
    while (index := node.index_of(link.ROLE_QUERIES, subject)) is None:
        node.receive()
    question = envelope(subject, envelopes.KIND_QUERY, payload)
    node.send(
        request=link.Request(id=1, subscription=index, remaining_ms=5_000, envelope=question)
    )
    return node.until("reply").reply.payload


def emit(node, subject, payload):
    """At most once: to who listens, within its credit, and kept nowhere."""
    while node.credit.get(index := node.index_of(link.ROLE_EVENTS, subject), 0) < 1:
        node.receive()
    delivery = link.Delivery(envelope=envelope(subject, envelopes.KIND_EVENT, payload))
    section = link.Section(subscription=index, first=1, volatile=True, deliveries=[delivery])
    node.send(batch=link.Batch(sections=[section]))


def main(address, mesh):
    node = Link(address, mesh)
    order = take_one(node)
    level = ask(node, "stock.level", order.payload)
    emit(node, "audit.seen", b'{"order":%s,"level":%s}' % (order.payload, level))
    node.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])
