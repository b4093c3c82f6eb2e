"""The load generator: everyone is asked, failures are told apart, and waiting is never left out."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench.connection import Connection
from bench.latency import latency_ms
from bench.open_loop import post_request, send_at_rate

PER_SECOND = 500


@contextmanager
def server(patience: int = 1) -> Iterator[tuple[str, int]]:
    """Echoes a body, 503 for an empty one; answers nobody before `patience` requests have come."""
    everyone_came = threading.Barrier(patience)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            everyone_came.wait()
            self.send_response(200 if body else 503)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Listening(ThreadingHTTPServer):
        request_queue_size = 256

    listening = Listening(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield "127.0.0.1", listening.server_port
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


def test_every_request_is_answered_and_failures_are_counted() -> None:
    bodies = [str(index).encode() for index in range(60)]
    with server() as (host, port):
        requests = [post_request("/", host, body) for body in [*bodies, b"", b""]]
        answers = send_at_rate(host, port, requests, PER_SECOND)
    assert sorted(answers.bodies) == sorted(bodies)
    assert len(answers.seconds) == 60
    assert len(answers.failures) == 2
    assert 0 < answers.achieved_per_s < 60 / ((len(requests) - 1) / PER_SECOND)
    assert all(failure.startswith("503") for failure in answers.failures)


def test_a_stalled_server_shows_as_waiting_not_as_fewer_requests() -> None:
    count = 50
    with server(patience=count) as (host, port):
        answers = send_at_rate(host, port, [post_request("/", host, b"x")] * count, PER_SECOND)
    waits = sorted(answers.seconds, reverse=True)
    assert answers.failures == []
    assert answers.connections == count, "more connections were opened as all were busy"
    assert all(wait >= (count - 1 - index) / PER_SECOND for index, wait in enumerate(waits))


def test_a_connection_is_kept_and_timed() -> None:
    with server() as (host, port):
        connection = Connection(host, port)
        assert [connection.request("POST", "/", b"x") for _ in range(3)] == [b"x"] * 3
        assert connection.seconds > 0
        connection.close()


def test_latency_is_in_milliseconds() -> None:
    assert latency_ms([]) == {}
    assert latency_ms([0.001, 0.002, 0.003]) == {"p50": 2.0, "p99": 2.98, "max": 3.0}
