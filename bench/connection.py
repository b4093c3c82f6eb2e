"""One kept-alive HTTP connection, and how long each answer took.

The standard library's client: at a fifth of a millisecond a request, it costs the least of those at hand.
"""

from __future__ import annotations

import http.client
import json
from time import perf_counter
from typing import Any

PREFIX = "/api/v1/outreach"
JSON = "application/json"
TIMEOUT_S = 60


class Refused(Exception):  # noqa: N818
    """An answer that is not a success, with what the server said."""


class Connection:
    """Blocking; one request at a time. `seconds` is how long the last one took, from send to last byte."""

    def __init__(self, host: str, port: int) -> None:
        self._http = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        self.seconds = 0.0

    def request(self, method: str, path: str, body: bytes | None = None, media_type: str = JSON) -> bytes:
        """The body of a 2xx answer, of the same media type; raises Refused for any other. `path` starts at the root."""
        headers = {} if body is None else {"Content-Type": media_type, "Accept": media_type}
        began = perf_counter()
        self._http.request(method, path, body=body, headers=headers)
        response = self._http.getresponse()
        answer = response.read()
        self.seconds = perf_counter() - began
        if not 200 <= response.status < 300:
            raise Refused(f"{method} {path}: {response.status} {answer[:500].decode(errors='replace')}")
        return answer

    def get(self, path: str) -> dict[str, Any]:
        """A GET under the prefix, decoded."""
        found: dict[str, Any] = json.loads(self.request("GET", PREFIX + path))
        return found

    def put(self, path: str, body: dict[str, Any]) -> None:
        """A PUT under the prefix."""
        self.request("PUT", PREFIX + path, json.dumps(body).encode())

    def post(self, path: str, body: bytes, media_type: str = JSON) -> bytes:
        """A POST under the prefix; the raw answer."""
        return self.request("POST", PREFIX + path, body, media_type)

    def set_clock(self, now: str) -> None:
        """Moves the manual clock."""
        self.request("PUT", "/api/v1/clock", json.dumps({"now": now}).encode())

    def open(self) -> None:
        """Connects now instead of with the next request."""
        if self._http.sock is None:
            self._http.connect()

    def close(self) -> None:
        """Closes the socket; the next request opens another."""
        self._http.close()
