"""The command line, `madan-sara`."""

from __future__ import annotations

import asyncio
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import rich_click as click

from engine._core import CHANNELS
from engine.config import load_settings
from engine.errors import ConfigurationError, MadanSaraError

__all__ = ["main"]

_ELSEWHERE = {"bench": "bench.run", "bench-page": "bench.page", "demo": "bench.demo"}
"""Commands and the modules that have them under the same name (as Python writes it), imported only when asked for."""


class _Commands(click.RichGroup):
    """The commands here and those in `bench`."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted({*super().list_commands(context), *_ELSEWHERE})

    def get_command(self, context: click.Context, name: str) -> Any:
        if name in _ELSEWHERE:
            return getattr(importlib.import_module(_ELSEWHERE[name]), name.replace("-", "_"))
        return super().get_command(context, name)


@click.group(cls=_Commands)
@click.version_option(package_name="madan-sara")
def main() -> None:
    """Outreach decisions: may we contact this person now, on which channel, at what time, and can we pay for it."""


@main.command()
@click.option("--host", help="Address to bind; other than loopback only with api_keys.")
@click.option("--port", type=int, help="Port to bind; 0 takes a free one.")
@click.option("--shards", type=int, help="Processes that decide; 0 is one a core.")
@click.option("--state-dir", help="Directory that keeps the state; without one it goes with the server.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="TOML file over the defaults; MADAN_SARA_* and these options go over it.",
)
@click.option("--clock", help="system, or manual: time moves by PUT /api/v1/clock only.")
@click.option(
    "--address", default="local", show_default=True, help="Ray: local starts one, auto or HOST:PORT joins one."
)
def serve(config: Path | None, address: str, **options: Any) -> None:
    """Start the server, and print `ready http://HOST:PORT` once it can answer."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # until it serves, there is nothing to drain
    try:
        settings = load_settings(config, options=options)
        os.environ.pop("MADAN_SARA_API_KEYS", None)  # from here on there are digests only
        from api.server import serve as run  # noqa: PLC0415 - Ray and the rest, once the configuration holds

        run(settings, address, lambda url: click.echo(f"ready {url}"))
    except MadanSaraError as error:
        click.echo(f"madan-sara: {error}", err=True)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)
    except (KeyboardInterrupt, SystemExit):  # Ray, too, has its handlers, which exit with the signal's number
        sys.exit(0)


@main.command()
@click.option("--state-dir", help="Directory of the server's state.")
@click.option("--config", type=click.Path(path_type=Path), help="TOML file over the defaults, as the server's.")
@click.option("--channel", type=click.Choice(CHANNELS), help="Only messages of one channel.")
@click.option("--recipient", "recipient_id", help="Only messages to one recipient, by id.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, the newest first.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line, everything in it.")
def outbox(state_dir: str | None, config: Path | None, as_json: bool, **choice: Any) -> None:
    """List what the adapter `outbox` would have sent, the newest first. The server may run meanwhile."""
    try:
        settings = load_settings(config, options={"state_dir": state_dir})
        if not settings.state_dir:
            raise ConfigurationError("state_dir", "takes the directory of a server's state: --state-dir DIR")
        from api.outbox import print_outbox  # noqa: PLC0415 - only where it is needed

        print_outbox(Path(settings.state_dir), as_json, **choice)
    except MadanSaraError as error:
        click.echo(f"madan-sara: {error}", err=True)
        sys.exit(2 if isinstance(error, ConfigurationError) else 1)


@main.group(cls=click.RichGroup)
def state() -> None:
    """Look at state directories."""


@state.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
def check(directory: Path) -> None:
    """Read everything in a state directory, and change nothing; exit 1 with the first fault. No server may use it."""
    from actors.state_check import check_directory  # noqa: PLC0415 - Ray and the rest, only where they are needed

    async def print_all() -> None:
        async for checked in check_directory(directory):
            click.echo(f"{checked.file}: {checked.commits:,} commits, {checked.holds}")

    try:
        asyncio.run(print_all())
    except MadanSaraError as error:
        click.echo(f"madan-sara: {error}", err=True)
        sys.exit(1)
    click.echo("ok")


if __name__ == "__main__":
    main()
