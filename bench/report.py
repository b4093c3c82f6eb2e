"""The figures of a replay as a page that a person enjoys reading."""

from __future__ import annotations

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
        f"[bold]The Complete Journey, replayed.[/] {journey['households']:,} households, "
        f"{journey['campaigns']} campaigns, {journey['baskets']:,} baskets and {journey['redemptions']:,} "
        f"coupons of a grocer's year: [bold]{total:,} decisions in {figures['seconds']:.0f} s[/]."
    )
    console.print()
    side_by_side = Table.grid(padding=(0, 6, 0, 0))
    side_by_side.add_row(_decisions(decisions), _caps(figures["caps"]))
    console.print(side_by_side)
    console.print(_campaigns(figures["campaigns"], figures["receipts"]))
    _hours(figures["hours"], console)
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


def _campaigns(campaigns: list[dict[str, Any]], receipts: dict[str, Any]) -> Table:
    table = _table(
        "\nCampaigns (US dollars)",
        "",
        "first to last day",
        "homes",
        "messages",
        "blocked",
        "committed",
        "budget",
        "remaining",
        "used",
        "coupons",
        "revenue",
    )
    for row in campaigns:
        table.add_row(
            row["id"],
            f"{_day(row['first_day'])} – {_day(row['last_day'])}",
            f"{row['households']:,}",
            f"{row['messages']:,}",
            f"{row['blocked']:,}",
            *_budget(row),
            f"{row['redemptions']:,}",
            f"{float(row['revenue']):,.0f}",
        )
    table.add_row("receipts", "every basket", "", f"{receipts['messages']:,}", "", *_budget(receipts), "", "")
    return table


def _day(text: str) -> str:
    return date.fromisoformat(text).strftime("%d %b %y")


def _budget(row: dict[str, Any]) -> tuple[str, str, str, str]:
    """Committed, budget, remaining and how much of it is used, red where messages were refused for money."""
    share = float(row["committed"]) / float(row["total"])
    filled = min(BUDGET_BAR, int(share * BUDGET_BAR + 0.5))
    colour = "red" if row.get("over_budget") else "cyan"
    bar = f"[{colour}]{'█' * filled}[/][dim]{'░' * (BUDGET_BAR - filled)}[/] {share:>4.0%}"
    return f"{float(row['committed']):,.2f}", row["total"], f"{float(row['remaining']):,.2f}", bar


def _hours(hours: dict[str, list[int]], console: Console) -> None:
    console.print("\n[bold]Hours of the day[/] (America/New_York): when campaign messages go, when people shop")
    for name, colour in (("messages", "green"), ("purchases", "cyan")):
        counts = hours[name]
        busiest = counts.index(max(counts))
        console.print(f"{name:<10}[{colour}]{bar_line(counts)}[/]  most at {busiest}:00, {counts[busiest]:,}")
    console.print(f"[dim]{'':<10}{''.join(f'{hour:<6}' for hour in range(0, 24, 3))}[/]\n")


def _speed(figures: dict[str, Any]) -> Table:
    targets, batch, single = figures["targets"], figures["batch"], figures["single"]
    a_minute = batch["decisions_per_second"] * 60
    table = _table("Speed", "", "here", "the original's target")
    table.add_row(
        f"decisions a minute over HTTP, {batch['requests']:,} batches of up to {batch['largest']:,}",
        f"[bold]{a_minute:,}[/] ({a_minute / targets['messages_per_minute']:,.0f} ×)",
        f"{targets['messages_per_minute']:,}",
    )
    for name, latency in (("batch of receipts or reminders", batch), ("single decision", single)):
        figure = latency["latency_ms"]
        table.add_row(
            f"{name}, {latency['requests']:,} of them: p50 / p99 / longest",
            f"[bold]{figure['p50']:.1f} / {figure['p99']:.1f} / {figure['max']:.1f} ms[/]",
            f"{targets['decision_ms']} ms a decision" if latency is single else "",
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
        f"{redemptions['unreached']:,} came before any message of their campaign."
    )
