"""The tables of the peer that decides with queries."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Index, Integer
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Base", "Campaign", "Engagement", "Message", "Recipient", "Suppression"]


class Base(DeclarativeBase):
    """Money is micro-units, instants are seconds since the epoch, times of day are minutes."""

    type_annotation_map = {int: BigInteger, dict[str, Any]: JSON}  # noqa: RUF012 - as SQLAlchemy asks for it


class Campaign(Base):
    """What it may spend and what it did; its days are UTC's."""

    __tablename__ = "campaigns"
    id: Mapped[str] = mapped_column(primary_key=True)
    active: Mapped[bool] = mapped_column(default=True)
    total: Mapped[int]
    daily: Mapped[int]
    daily_messages: Mapped[int]
    committed: Mapped[int] = mapped_column(default=0)
    costs: Mapped[dict[str, Any]]
    window_start: Mapped[int]
    window_end: Mapped[int]


class Recipient(Base):
    """A profile."""

    __tablename__ = "recipients"
    id: Mapped[str] = mapped_column(primary_key=True)
    customer_type: Mapped[str]
    timezone: Mapped[str]
    device: Mapped[str]
    contacts: Mapped[dict[str, Any]]
    preferences: Mapped[dict[str, Any]]


class Suppression(Base):
    """A channel that a recipient may not get anything on."""

    __tablename__ = "suppressions"
    recipient_id: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(primary_key=True)


class Engagement(Base):
    """What came of a channel's messages, over everyone."""

    __tablename__ = "engagement"
    channel: Mapped[str] = mapped_column(primary_key=True)
    delivered: Mapped[int]
    engaged: Mapped[int]


class Message(Base):
    """What was scheduled."""

    __tablename__ = "messages"
    __table_args__ = (
        Index("messages_of_recipient", "recipient_id", "at"),
        Index("messages_of_day", "campaign_id", "day"),
    )
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    recipient_id: Mapped[str]
    campaign_id: Mapped[str]
    dedup_key: Mapped[str]
    channel: Mapped[str]
    at: Mapped[int]
    day: Mapped[int]
    cost: Mapped[int]
    fallback_chain: Mapped[list[str]] = mapped_column(JSON)
