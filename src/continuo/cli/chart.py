"""`python -m continuo.cli.chart FOLDER`: the chart's CustomResourceDefinitions, a file for each."""

from __future__ import annotations

import sys
from pathlib import Path

from continuo.resources.crds import own_crds
from continuo.tosca.deployment import to_yaml


def main(folder: Path) -> None:
    """Write them."""
    for crd in own_crds():
        (folder / f"{crd['metadata']['name']}.yaml").write_text(to_yaml([crd]), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
