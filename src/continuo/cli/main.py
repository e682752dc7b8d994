"""The `continuo` command. Subcommands are imported when they are called, so that `--help` answers at once."""

from __future__ import annotations

import importlib
import sys

import click

COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("continuo.cli.up:up", "Run an engine: the embedded one, ready in a second, or real clusters."),
    "down": ("continuo.cli.up:down", "Stop an engine that runs in the background."),
    "demo": ("continuo.cli.demo:demo", "Run the main job: one blueprint in, two linked clusters running it."),
    "plan": ("continuo.cli.plan:plan", "Show what applying a file, or losing a cluster, would change."),
    "impact": ("continuo.cli.impact:impact", "Show who depends on a cluster, a link or a provider."),
    "apply": ("continuo.cli.apply:apply", "Apply a file, and with --wait follow it until it is ready."),
    "status": ("continuo.cli.status:status", "Show orchestrations as a tree, with reasons."),
    "events": ("continuo.cli.events:events", "Show what happened to clusters, links and applications, and follow it."),
    "top": ("continuo.cli.top:top", "Watch clusters, components, links, sensors or boards as they are used."),
    "monitoring": (
        "continuo.cli.monitoring:monitoring",
        "Configure Prometheus and Grafana for the clusters that there are.",
    ),
    "why": ("continuo.cli.why:why", "Say why a component is where it is."),
    "why-not": ("continuo.cli.why:why_not", "Say why a component is not on a cluster."),
    "decisions": ("continuo.cli.decisions:decisions", "List what loops and schedulers decided."),
    "approve": ("continuo.cli.decisions:approve", "Have a decision that waits for approval carried out."),
    "deny": ("continuo.cli.decisions:deny", "Say no to a decision that waits for approval."),
    "kubeconfig": ("continuo.cli.kubeconfig:kubeconfig", "Print the kubeconfig of a workload cluster."),
    "tosca": ("continuo.cli.tosca:tosca", "Convert or deploy TOSCA blueprints."),
    "fault": ("continuo.cli.fault:fault", "Break something in the embedded engine, or mend it."),
    "operator": ("continuo.cli.operator:operator", "Run the controllers against a management cluster."),
    "backend": ("continuo.cli.backend:backend", "Carry out what an operator decides, told through Kafka."),
    "prober": ("continuo.cli.prober:prober", "Measure a cluster's links; an operator places it where it is needed."),
    "server": ("continuo.cli.server:server", "Serve the HTTP API (AMF)."),
    "catalog": ("continuo.cli.catalog:catalog", "Offers and plans: serve, browse, watch, publish and buy."),
    "broker": (
        "continuo.cli.broker:broker",
        "Place consumers' pods on providers; resource readers, the aggregator, probes.",
    ),
    "reflect": ("continuo.cli.reflect:reflect", "Make another cluster a node of this one: pods run there."),
    "identity": (
        "continuo.cli.identity:identity",
        "SPIFFE identities where there is no SPIRE, for workloads and devices.",
    ),
    "edge": ("continuo.cli.edge:edge", "Find, sell and buy sensors: one site of a market."),
    "relay": ("continuo.cli.relay:relay", "Carry sensors' readings from edge nodes to whoever bought them."),
    "mapper": ("continuo.cli.mapper:mapper", "Simulate leaf devices at an edge node, and publish what they measure."),
    "sensors": ("continuo.cli.sensors:sensors", "Sensors for sale: find, reserve, buy, watch and cancel."),
    "hub": ("continuo.cli.hub:hub", "Serve IoT boards: IoTronic's REST API, sessions, tunnels and networks."),
    "boards": ("continuo.cli.boards:boards", "Boards as Kubernetes resources: see, sign, call; run their provider."),
    "agent": ("continuo.cli.agent:agent", "Run this machine as a board of a hub."),
    "testbed": ("continuo.cli.testbed:testbed", "Get the programs of real clusters, and see which are there."),
    "install": ("continuo.cli.install:install", "Print CRDs, RBAC and Deployment for a real cluster."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on use; their help lines are known beforehand."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        try:
            command: click.Command = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if (error.name or "").startswith("continuo"):
                raise
            raise click.ClickException(
                f"`continuo {cmd_name}` needs the Python package {error.name}; "
                "install Continuo with its extras, from a checkout: pip install '.[embedded,server,broker,edge,hub]'"
            ) from error
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="continuo", message="continuo %(version)s")
def cli() -> None:
    """Declare clusters, links and applications once; Continuo makes them and keeps them that way."""


def main() -> None:
    """Entry point: errors become one sentence on stderr; exit codes 0 done, 1 failed, 2 bad input."""
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"continuo: {error.format_message()}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
