"""A service in Python, in a mesh through the gateway of the node beside it.

    python3 gateway_program.py 127.0.0.1:7500

It bills orders (an event, whose invoice leaves with the ack), sends mail (a command, for which it asks an
address and says that it is sent), and quotes prices (a question). It ends when its stdin does.
"""

import json
import queue
import sys
import threading

import grpc
from generated import generate

generate("meshbus/gateway/v1/gateway.proto")
from meshbus.gateway.v1 import gateway_pb2 as pb  # noqa: E402
from meshbus.gateway.v1 import gateway_pb2_grpc as rpc  # noqa: E402


class Stream:
    """A call: what is said goes in by `say`, what is heard comes out by iterating."""

    def __init__(self, method):
        self._said = queue.SimpleQueue()
        self._heard = method(iter(self._said.get, None))

    def say(self, request):
        self._said.put(request)

    def close(self):
        """Half-closes the call, which then ends."""
        self._said.put(None)

    def __iter__(self):
        return self._heard

    def __next__(self):
        return next(self._heard)


class Sayer:
    """Publishes or sends, one message at a time from any number of threads, each answered."""

    def __init__(self, method):
        self._stream = Stream(method)
        self._waiting = {}
        self._lock = threading.Lock()
        self._number = 0
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self):
        """Returns when all that was said is answered."""
        self._stream.close()
        self._thread.join()

    def say(self, subject, value, **more):
        """Returns when the message is synced to the disk of the gateway's node."""
        answer = queue.SimpleQueue()
        with self._lock:
            self._number += 1
            self._waiting[self._number] = answer
            message = outgoing(subject, value, number=self._number, **more)
            self._stream.say(pb.SayRequest(messages=[message]))
        result = answer.get()
        if result.HasField("error"):
            raise RuntimeError(f"{result.error.code}: {result.error.message}")
        return result.accepted

    def _read(self):
        for response in self._stream:
            for result in response.results:
                self._waiting.pop(result.number).put(result)


def outgoing(subject, value, **more):
    return pb.Outgoing(subject=subject, payload=json.dumps(value).encode(), **more)


class Taker:
    """A thread that runs `each` for what comes by a call, and says what came of it."""

    def __init__(self, method, request, opened, each):
        self._stream = Stream(method)
        self._request = request
        self._stream.say(request(open=opened))
        assert next(self._stream).HasField("opened")
        self._thread = threading.Thread(target=self._run, args=[each], daemon=True)
        self._thread.start()

    def _run(self, each):
        for response in self._stream:
            for request in each(response):
                self._stream.say(request)

    def stop(self):
        """Returns when all that was out is settled."""
        self._stream.say(self._request(stop=True))
        self._thread.join()
        self._stream.close()


def take(method, pattern, handle, **options):
    """Runs `handle` for each delivery of a subscription of this pattern."""

    def each(response):
        for delivery in response.deliveries:
            try:
                settle = pb.Settle(number=delivery.number, ack=handle(delivery))
            except Exception as error:  # tried again, and a dead letter in the end
                settle = pb.Settle(number=delivery.number, nack=pb.Nack(error=repr(error)))
            yield pb.ListenRequest(settles=[settle])

    return Taker(method, pb.ListenRequest, pb.Open(pattern=pattern, **options), each)


def reply(stub, subject, answer):
    """Answers questions of this subject."""

    def each(response):
        for asked in response.questions:
            try:
                payload = json.dumps(answer(json.loads(asked.payload))).encode()
                said = pb.Answer(number=asked.number, value=pb.Value(payload=payload))
            except Exception as error:
                failure = pb.Failure(name=type(error).__name__, message=str(error))
                said = pb.Answer(number=asked.number, failure=failure)
            yield pb.AnswerRequest(answers=[said])

    return Taker(stub.Reply, pb.AnswerRequest, pb.Open(pattern=subject), each)


def ask(stub, subject, value, timeout_ms=5_000):
    stream = Stream(stub.Request)
    question = pb.Question(
        number=1, subject=subject, payload=json.dumps(value).encode(), timeout_ms=timeout_ms
    )
    stream.say(pb.AskRequest(questions=[question]))
    (result,) = next(stream).results
    stream.close()
    if result.HasField("error"):
        raise RuntimeError(f"{result.error.code}: {result.error.message}")
    return json.loads(result.answer.payload)


def main(address):
    with grpc.insecure_channel(address) as channel:
        run(rpc.GatewayStub(channel))


def run(stub):
    publisher = Sayer(stub.Publish)

    def bill(delivery):
        order = json.loads(delivery.payload)
        invoice = outgoing("invoice.sent", {"order": order["id"], "due": order["total"]})
        return pb.Ack(publish=[invoice])  # leaves once, with this settle

    def send_mail(delivery):
        order = json.loads(delivery.payload)["order"]
        to = ask(stub, "address.of", {"order": order})
        publisher.say("mail.sent", {"order": order, "to": to}, key=order)
        return pb.Ack()

    def quote(question):
        return question["count"] * {"apple": 4}[question["sku"]]

    takers = [
        take(stub.Subscribe, "order.placed", bill, group="billing", durable=True),
        take(stub.Handle, "mail.send", send_mail, group="mail"),
        reply(stub, "price.quote", quote),
    ]
    print("ready", flush=True)
    sys.stdin.read()
    for taker in takers:
        taker.stop()  # finishes what it has
    publisher.close()


if __name__ == "__main__":
    main(sys.argv[1])
