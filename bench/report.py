"""The figures of a replay as a page that a person enjoys reading."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

BARS = " ▁▂▃▄▅▆▇█"
NOBODY = "–"
BUDGET_BAR = 8
PAGE_WIDTH = 120
WIDE = 105


def wide_console() -> Console:
    """The terminal as it is; a file or a pipe as wide as the page."""
    console = Console()
    return console if console.is_terminal else Console(width=PAGE_WIDTH)


def bar_line(counts: Sequence[int]) -> str:
    """A histogram in one line: two columns an hour, the highest bar full, anything above nothing visible."""
    highest = max(counts, default=0)
    steps = len(BARS) - 1
    return "".join(BARS[-(-count * steps // highest) if highest else 0] * 2 for count in counts)


def show(figures: dict[str, Any], console: Console) -> None:
    """The whole page."""
    journey, decisions = figures["journey"], figures["decisions"]
    total = decisions["marketing"]["total"] + decisions["receipts"]["total"]
    console.print()
    console.print(
        f"[bold]The Complete Journey, replayed:[/] {journey['households']:,} households, "
        f"{journey['campaigns']} campaigns, {journey['baskets']:,} baskets, {journey['redemptions']:,} coupons.\n"
        f"{total:,} decisions of a grocer's year in {figures['seconds']:.0f} seconds."
    )
    console.print()
    side_by_side = Table.grid(padding=(0, 6, 0, 0))
    side_by_side.add_row(_decisions(decisions), _caps(figures["caps"]))
    console.print(side_by_side)
    console.print(_campaigns(figures["campaigns"], figures["receipts"], console.width >= WIDE))
    _hours(figures["hours"], console)
    _delivery(figures["delivery"], console)
    console.print(_speed(figures))
    _checks(figures, console)


def _table(title: str, *columns: str) -> Table:
    """The first column to the left, figures to the right."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right", header_style="dim", no_wrap=True)
    return table


def _decisions(decisions: dict[str, Any]) -> Table:
    table = _table("Decisions", "", "campaigns", "receipts")
    marketing, receipts = decisions["marketing"], decisions["receipts"]
    for field, style in (("by_channel", "green"), ("by_reason", "yellow")):
        for name in dict.fromkeys([*marketing[field], *receipts[field]]):
            counts = [f"{part[field][name]:,}" if name in part[field] else NOBODY for part in (marketing, receipts)]
            table.add_row(Text(name, style=style), *counts)
        what = "scheduled" if field == "by_channel" else "blocked"
        table.add_row(
            Text(what, style="bold"),
            f"{marketing[what]:,}",
            f"{receipts[what]:,}",
            end_section=True,
            style="bold",
        )
    return table


def _caps(caps: dict[str, dict[str, int]]) -> Table:
    """How close the households came to the caps."""
    table = _table("Households by most messages in a span", "messages", "24 h", "168 h")
    for count in sorted({int(count) for use in caps.values() for count in use}):
        cells = [f"{use[str(count)]:,}" if str(count) in use else NOBODY for use in (caps["day"], caps["week"])]
        table.add_row(f"{count}", *cells)
    return table


def _campaigns(campaigns: list[dict[str, Any]], receipts: dict[str, Any], wide: bool) -> Table:
    """A row each; a narrow terminal does without the dates and what remains."""
    table = _table(
        "\nCampaigns (US dollars; red: some messages were refused for money)",
        "",
        *(["first to last day"] if wide else []),
        "homes",
        "messages",
        "blocked",
        "committed",
        "budget",
        *(["remaining"] if wide else []),
        "used",
        "coupons",
        "revenue",
    )
    for row in [*campaigns, receipts]:
        table.add_row(
            row["id"],
            *([_period(row)] if wide else []),
            f"{row['households']:,}",
            f"{row['messages']:,}",
            f"{row['blocked']:,}",
            f"{float(row['committed']):,.2f}",
            row["total"],
            *([f"{float(row['remaining']):,.2f}"] if wide else []),
            _used(row),
            *([f"{row['redemptions']:,}", f"{float(row['revenue']):,.0f}"] if "revenue" in row else ["", ""]),
        )
    return table


def _period(row: dict[str, Any]) -> str:
    return " – ".join(date.fromisoformat(row[name]).strftime("%d %b %y") for name in ("first_day", "last_day"))


def _used(row: dict[str, Any]) -> str:
    """How much of the budget is committed, as a bar and a share."""
    share = float(row["committed"]) / float(row["total"])
    filled = min(BUDGET_BAR, int(share * BUDGET_BAR + 0.5))
    colour = "red" if row["over_budget"] else "cyan"
    percent = math.floor(share * 100)  # what is not quite used up must not look so
    return f"[{colour}]{'█' * filled}[/][dim]{'░' * (BUDGET_BAR - filled)}[/] {percent:>3}%"


def _hours(hours: dict[str, list[int]], console: Console) -> None:
    console.print("\n[bold]Hours of the day[/] (America/New_York): when campaign messages go, when people shop")
    for name, colour in (("messages", "green"), ("purchases", "cyan")):
        counts = hours[name]
        busiest = counts.index(max(counts))
        console.print(f"{name:<10}[{colour}]{bar_line(counts)}[/]  top {busiest}:00")
    console.print(f"[dim]{'':<10}{''.join(f'{hour:<6}' for hour in range(0, 24, 3))}[/]\n")


def _delivery(delivery: dict[str, Any], console: Console) -> None:
    table = _table("Delivery", "", "arrived", "came back", "failed", "cancelled", "fell back to")
    for channel, row in delivery["by_channel"].items():
        counts = [f"{row[name]:,}" if row[name] else NOBODY for name in ("arrived", "came_back", "failed", "cancelled")]
        onward = ", ".join(f"{count:,} {name}" for name, count in row["fell_back_to"].items())
        table.add_row(Text(channel, style="green"), *counts, onward or NOBODY)
    console.print(table)
    console.print(
        f"For what was due the clock stood {delivery['stops']:,} times, {delivery['seconds']:.0f} s in all.\n"
    )


def _speed(figures: dict[str, Any]) -> Table:
    targets, batch, single = figures["targets"], figures["batch"], figures["single"]
    a_minute = batch["decisions_per_second"] * 60
    table = _table("Speed over HTTP, beside the original's targets", "", "here", "target")
    table.add_row(
        f"decisions a minute (batches to {batch['largest']:,})",
        f"[bold]{a_minute:,}[/] ({a_minute / targets['messages_per_minute']:,.0f} ×)",
        f"{targets['messages_per_minute']:,}",
    )
    for name, latency in (("a batch", batch), ("a single decision", single)):
        figure = latency["latency_ms"]
        table.add_row(
            f"{name}, p50 / p99 / longest",
            f"[bold]{figure['p50']:.1f} / {figure['p99']:.1f} / {figure['max']:.1f} ms[/]",
            f"{targets['decision_ms']} ms" if latency is single else "",
        )
    return table


def _checks(figures: dict[str, Any], console: Console) -> None:
    console.print()
    for check in figures["checks"]:
        if check["held"]:
            console.print(f"[green]✓[/] {check['promise']}")
        else:
            console.print(f"[bold red]✗ {check['promise']}[/]: {check['breaches']:,} breaches, such as")
            for fault in check["faults"]:
                console.print(f"    {fault}", style="red", markup=False)
    redemptions, revenue = figures["redemptions"], float(figures["redemptions"]["revenue"])
    console.print(
        f"\n{redemptions['converted']:,} coupons, on baskets of ${revenue:,.0f}, answered a message; "
        f"{redemptions['unreached']:,} came before any of their campaign."
    )
