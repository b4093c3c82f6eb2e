"""Content: what a message says, by the templates of its campaign.

The rule: what a campaign's templates cannot say with a request's `content` is found when the request is made, for all
of them and before anything is decided. Templates see the fields of the content, the campaign's id and name, in e-mail
where one click unsubscribes, and nothing else of the person.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, NamedTuple, Self

import msgspec
from msgspec import UNSET, Struct, UnsetType

from engine._core import CHANNELS
from engine.errors import FieldError, MadanSaraError, RequestError
from engine.reading import pointer
from engine.segments import segments
from engine.template import Template
from engine.template_values import Budget, MissingValue, TemplateFault

__all__ = ["CampaignTemplates", "Content", "ContentError", "EmailTemplate", "Templates", "TextTemplate"]

TEMPLATE_BYTES_MAX = 65_536

RESERVED = ("campaign", "unsubscribe_url")
"""What templates see beside the content."""

NAME_LENGTH_MAX = 64
"""Of a field in an error's path."""

SUBJECT_CHARACTERS_MAX = 998
"""A line of a mail (RFC 5322, 2.1.1)."""

SEGMENTS_MAX = 10
"""Of a short message: about what providers take (Twilio: 1,600 characters)."""

CHARACTERS_MAX = {"whatsapp": 4_096, "facebook": 2_000, "linkedin": 8_000, "twitter": 10_000}
"""As the platforms document them: text messages of WhatsApp's Cloud API, Messenger's Send API, LinkedIn's message box,
direct messages of X. A provider between may take less: Twilio takes 1,600 for WhatsApp."""

BYTES_MAX = {"instagram": 1_000}
"""Of UTF-8: Instagram's messaging API counts bytes."""


class TemplateText(str):
    """A template as it is written: up to 65,536 bytes of UTF-8."""

    schema: ClassVar[dict[str, Any]] = {"type": "string", "maxLength": TEMPLATE_BYTES_MAX}

    @classmethod
    def read(cls, value: object) -> Self:
        if not isinstance(value, str) or len(value.encode()) > TEMPLATE_BYTES_MAX:
            raise ValueError(f"takes a template of up to {TEMPLATE_BYTES_MAX:,} bytes")
        return cls(value)

    def write(self) -> str:
        return str(self)


class _Strict(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are errors."""


class EmailTemplate(_Strict, frozen=True):
    """What an e-mail says: Jinja templates, of which `text` or `html` is needed. Values in `html` are escaped."""

    subject: TemplateText
    text: TemplateText | UnsetType = UNSET
    html: TemplateText | UnsetType = UNSET


class TextTemplate(_Strict, frozen=True):
    """What a message on any other channel says: a Jinja template."""

    text: TemplateText


class CampaignTemplates(_Strict, frozen=True):
    """Templates by channel; on a channel without one a message says `subject`, `text` and `html` of the content."""

    email: EmailTemplate | UnsetType = UNSET
    sms: TextTemplate | UnsetType = UNSET
    whatsapp: TextTemplate | UnsetType = UNSET
    instagram: TextTemplate | UnsetType = UNSET
    facebook: TextTemplate | UnsetType = UNSET
    linkedin: TextTemplate | UnsetType = UNSET
    twitter: TextTemplate | UnsetType = UNSET

    def __bool__(self) -> bool:
        """Whether there are any."""
        return any(True for _ in self.by_channel())

    def by_channel(self) -> Iterator[tuple[str, EmailTemplate | TextTemplate]]:
        """Those that there are."""
        for channel in CHANNELS:
            template = getattr(self, channel)
            if template is not UNSET:
                yield channel, template


class Content(NamedTuple):
    """What a message says, as its channel takes it."""

    subject: str | None = None
    text: str | None = None
    html: str | None = None


class ContentError(MadanSaraError):
    """A message cannot say what its template wants: names channel and field, and no value."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)


class Templates:
    """A campaign's templates, compiled."""

    def __init__(self, templates: CampaignTemplates) -> None:
        """Never raises, so that no campaign that was put once stops whoever reads it again; see `require_sound`."""
        self._compiled: dict[str, dict[str, Template]] = {}
        self._faults: dict[str, list[FieldError]] = {}
        for channel, template in templates.by_channel():
            self._compiled[channel], faults = _compiled(channel, template)
            if faults:
                self._faults[channel] = faults

    def require_sound(self) -> None:
        """Raises `RequestError` (400) for every template that cannot be used, with its path in the campaign."""
        if self._faults:
            raise _refusal([fault for faults in self._faults.values() for fault in faults])

    def check(self, content: bytes | None, campaign_id: str, campaign_name: str, unsubscribe_url: str | None) -> int:
        """Has every template say what it says with a request's content, a JSON object.

        The segments of an SMS, 1 without a template for it. `unsubscribe_url` stands for those to come. Raises
        `RequestError` (400) with the path of each fault.
        """
        self.require_sound()
        values = _values(content)
        faults = [
            (pointer(["content", name]), "is a name of the templates' own") for name in RESERVED if name in values
        ]
        seen = values | {"campaign": {"id": campaign_id, "name": campaign_name}}
        budget, short_message = Budget(), ""
        for channel, fields in self._compiled.items():
            for field, template in fields.items():
                try:
                    text = _said(channel, field, template, seen, unsubscribe_url, budget)
                except TemplateFault as fault:
                    faults.append(_told(fault, f"{channel}/{field}", values))
                else:
                    short_message = text if channel == "sms" else short_message
        if faults:
            raise _refusal(faults)
        return segments(short_message)

    def render(
        self,
        channel: str,
        content: bytes | None,
        campaign_id: str,
        campaign_name: str,
        unsubscribe_url: str | None,
    ) -> Content:
        """What a message says on a channel, with its request's content. Raises `ContentError`."""
        values = _values(content)
        if channel not in self._compiled:
            given = (values.get(field) for field in Content._fields)
            return Content(*(value if isinstance(value, str) else None for value in given))
        if faults := self._faults.get(channel):
            path, message = faults[0]
            raise ContentError(f"{path.removeprefix('/templates/')} {message}")
        seen = values | {"campaign": {"id": campaign_id, "name": campaign_name}}
        budget = Budget()
        said = {}
        for field, template in self._compiled[channel].items():
            try:
                said[field] = _said(channel, field, template, seen, unsubscribe_url, budget)
            except TemplateFault as fault:
                raise ContentError(f"{channel}/{field} {fault}") from None
        return Content(**said)


# ---- inside -------------------------------------------------------------------------------------------------


def _compiled(channel: str, template: EmailTemplate | TextTemplate) -> tuple[dict[str, Template], list[FieldError]]:
    """The templates by field, and a fault for each that is none."""
    banned = {} if channel == "email" else {"unsubscribe_url": "takes no unsubscribe_url, which only e-mail has"}
    compiled: dict[str, Template] = {}
    faults = []
    if isinstance(template, EmailTemplate) and template.text is UNSET and template.html is UNSET:
        faults.append((pointer(["templates", channel]), "takes text, html or both"))
    for field in template.__struct_fields__:
        source = getattr(template, field)
        if source is not UNSET:
            try:
                compiled[field] = Template(source, escapes=field == "html", banned=banned)
            except TemplateFault as fault:
                faults.append((pointer(["templates", channel, field]), f"cannot be used: it {fault}"))
    return compiled, faults


def _values(content: bytes | None) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.json.decode(content) if content else {}
    return values


def _said(
    channel: str,
    field: str,
    template: Template,
    values: dict[str, Any],
    unsubscribe_url: str | None,
    budget: Budget,
) -> str:
    """What a template says, where its channel takes it. Raises `TemplateFault`."""
    if channel == "email":
        values = values | {"unsubscribe_url": unsubscribe_url}
    try:
        text = template.render(values, budget)
    except MissingValue:
        raise
    except TemplateFault as fault:
        if unsubscribe_url is None and "unsubscribe_url" in template.names and "null" in fault.message:
            message = f"{fault.message}; unsubscribe_url is null without delivery.public_url"
            raise TemplateFault(message, fault.line) from None
        raise
    if too_much := _fault_of(channel, field, text):
        raise TemplateFault(too_much)
    return text


def _fault_of(channel: str, field: str, text: str) -> str | None:
    """What a channel does not take."""
    if not text.strip():
        return "is empty"
    if field == "subject":
        if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
            return "has a line break or another control character"
        return _over(len(text), SUBJECT_CHARACTERS_MAX, "characters")
    if channel == "sms":
        return _over(segments(text), SEGMENTS_MAX, "segments")
    if channel in BYTES_MAX:
        return _over(len(text.encode()), BYTES_MAX[channel], "bytes")
    return _over(len(text), CHARACTERS_MAX.get(channel), "characters")


def _over(length: int, longest: int | None, unit: str) -> str | None:
    return None if longest is None or length <= longest else f"is {length:,} {unit} long and takes up to {longest:,}"


def _told(fault: TemplateFault, where: str, values: dict[str, Any]) -> FieldError:
    if isinstance(fault, MissingValue) and isinstance(fault.name, str | int):
        above = [] if fault.parent is None else _steps_to(fault.parent, values)
        if above is not None:
            name = fault.name[:NAME_LENGTH_MAX] if isinstance(fault.name, str) else fault.name
            return pointer(["content", *above, name]), f"is needed by {where}"
    return "/content", f"does not suit {where}: it {fault}"


def _steps_to(sought: Any, values: dict[str, Any]) -> list[str | int] | None:
    """Where an object or a list is; None if it is nowhere."""
    left: list[tuple[list[str | int], Any]] = [([], values)]
    while left:
        steps, value = left.pop()
        if not isinstance(value, dict | list):
            continue
        if value is sought:
            return steps
        inside: Iterable[tuple[str | int, Any]] = value.items() if isinstance(value, dict) else enumerate(value)
        left += [([*steps, step], one) for step, one in inside]
    return None


def _refusal(faults: list[FieldError]) -> RequestError:
    """All faults, of which the sentence tells the first (as in engine/src/fault.rs)."""
    path, message = faults[0]
    more = f" (and {len(faults) - 1} more in errors)" if len(faults) > 1 else ""
    return RequestError(400, f"The request is not valid: {path[1:]} {message}{more}.", faults)
