"""One-click unsubscribing (RFC 8058): a page for people, and the POST that mail programs make as well.

The rule: to look at a link changes nothing, since those who scan mail follow links; to post to it always does. Pages
say nothing of anybody, load nothing, and nobody learns their address.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

from litestar import Response, get, post
from litestar.params import FromPath

from api.context import AnyRequest, outreach_of, settings_of
from api.openapi import describe
from api.problems import problem_response
from engine.event import Event
from engine.model import Channel
from engine.scalars import Identifier
from engine.unsubscribe import Unsubscribes

__all__ = ["HANDLERS"]

_PATH = "/unsubscribe/{token:str}"
_HTML = "text/html"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Unsubscribe</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto; padding: 0 1rem; }}
button {{ font: inherit; padding: .5rem 1.5rem; }}
</style>
</head>
<body>
{said}
</body>
</html>
"""
_QUESTION = _PAGE.format(
    said="""<h1>Unsubscribe</h1>
<p>Do you want no more messages this way?</p>
<form method="post">
<input type="hidden" name="List-Unsubscribe" value="One-Click">
<button>Unsubscribe</button>
</form>"""
)
_DONE = _PAGE.format(said="<h1>Unsubscribed</h1>\n<p>You will get no more messages this way.</p>")


@get(_PATH, **describe("ask_unsubscribe", media_type=_HTML, problems=(404,), keyless=True))
async def ask_unsubscribe(request: AnyRequest, token: FromPath[str]) -> Response[bytes]:
    """A page with a button that unsubscribes.

    The link is in the message. Nothing changes until somebody presses the button.
    """
    if await _message_of(request, token) is None:
        return _nothing()
    return _page(_QUESTION)


@post(_PATH, status_code=200, **describe("unsubscribe", media_type=_HTML, problems=(404,), keyless=True))
async def unsubscribe(request: AnyRequest, token: FromPath[str]) -> Response[bytes]:
    """Unsubscribes whom a message went to from the channel that it went by.

    What mail programs post (List-Unsubscribe=One-Click) and what the page's button posts is the same, and the post
    itself is the wish, so the body is not looked at. To post again does the same again.
    """
    named = await _message_of(request, token)
    if named is None or not await _unsubscribe(request, *named):
        return _nothing()
    return _page(_DONE)


async def _unsubscribe(request: AnyRequest, message_id: str, channel: Channel) -> bool:
    """False where the message is not there any more.

    An event stops the link's channel, and ends what else the message would try unless its attempt there is known to
    have failed. Where it came before, that stop may have been lifted since.
    """
    outreach = outreach_of(request)
    message = await outreach.message(message_id)
    if message is None:
        return False
    event = Event(
        id=Identifier.read(f"unsubscribe:{message_id}:{channel}"),
        type="unsubscribed",
        message_id=Identifier.read(message_id),
        channel=channel,
    )
    (result,) = await outreach.events([event])
    status: str = result["status"]
    if status == "seen":
        await outreach.suppress(message["recipient_id"], channel, None, "unsubscribed")
    return status != "unknown"


async def _message_of(request: AnyRequest, token: str) -> tuple[str, Channel] | None:
    state = request.app.state
    if state.unsubscribes is None:
        secret = await outreach_of(request).secret()
        state.unsubscribes = Unsubscribes(secret, settings_of(request).delivery.public_url)
    unsubscribes: Unsubscribes = state.unsubscribes
    return unsubscribes.message_of(unquote_to_bytes(token).decode(errors="replace"))


def _page(page: str) -> Response[bytes]:
    return Response(page.encode(), media_type=_HTML, headers=_HEADERS)


def _nothing() -> Response[bytes]:
    detail = "This link unsubscribes from nothing here: it is incomplete, or of long ago."
    return problem_response(404, detail, headers=_HEADERS)


HANDLERS = (ask_unsubscribe, unsubscribe)
