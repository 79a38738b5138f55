"""The command that lets a simulated world live with the pipeline's own shelves."""

from __future__ import annotations

from typing import Any

import click

from pipelines.cli.beam_options import BeamCommand
from pipelines.cli.options import config_option, settings_of

AT_LEAST_ONE = click.IntRange(min=1)


@click.command(cls=BeamCommand)
@click.option("--days", type=AT_LEAST_ONE, default=28, show_default=True, help="Days to live, a night before each.")
@click.option("--out", required=True, help="Folder of the world; its warehouse stands in it.")
@click.option("--listeners", type=AT_LEAST_ONE, default=300, show_default=True)
@click.option("--tracks", type=click.IntRange(min=20), default=2000, show_default=True)
@click.option("--history", type=click.IntRange(min=2), default=42, show_default=True, help="Days of listening before.")
@click.option("--fit-every", type=AT_LEAST_ONE, default=7, show_default=True, help="Days between fits of the models.")
@click.option(
    "--shows",
    type=click.Choice(["pipeline", "random", "oracle"]),
    default="pipeline",
    show_default=True,
    help="Whose shelves: the pipeline's, or the worst and best there can be, to compare with.",
)
@click.option("--seed", default=1, show_default=True)
@config_option
@click.pass_context
def live(ctx: click.Context, **o: Any) -> None:
    """A simulated world that answers the pipeline's own shelves, night after night.

    The same command again goes on where it ended. Worlds of equal size, days and seed have the same listeners and luck, so two
    of them under different settings differ by what these settings do.
    """
    from pipelines.live import Plan
    from pipelines.live import live as run

    plan = Plan(o["listeners"], o["tracks"], o["days"], o["history"], o["fit_every"], o["seed"], o["shows"])
    lived = run(plan, o["out"], settings=settings_of(o["config"]), beam_args=ctx.args)
    names = ("possible", "sessions", "shown", "played", "finished")
    total = {name: int(lived[name].sum()) for name in names}
    click.echo(
        f"{lived.height} days: {total['sessions']:,} of {total['possible']:,} sessions took place "
        f"({total['sessions'] / max(total['possible'], 1):.1%}); {total['shown']:,} items shown, {total['played']:,} played, "
        f"{total['finished']:,} to the end; satisfaction at last {lived['satisfaction'][-1]:.3f}"
    )
    click.echo(
        f"world      {o['out']}\nwarehouse  {o['out']}/warehouse" if o["shows"] == "pipeline" else f"world  {o['out']}"
    )


COMMANDS = (live,)
