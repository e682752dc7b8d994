"""Limits of the kernel that are too low for several clusters on one machine."""

from __future__ import annotations

import logging
from pathlib import Path

from continuo.testbed.errors import TestbedError

log = logging.getLogger(__name__)

INOTIFY = Path("/proc/sys/fs/inotify")
_ENOUGH = {"max_user_instances": 1024, "max_user_watches": 524_288}
"""A real cluster watches files with some 20 instances; the usual 128 are for all processes of root together."""


def raise_limits(folder: Path = INOTIFY) -> list[str]:
    """Raise those that are too low, and say which; raises TestbedError where that is not allowed.

    They stay raised: other programs may use them by then, and a higher limit takes nothing from anybody.
    """
    raised = []
    for name, enough in _ENOUGH.items():
        file = folder / name
        now = int(file.read_text(encoding="ascii"))
        if now >= enough:
            continue
        try:
            file.write_text(str(enough), encoding="ascii")
        except OSError as error:
            raise TestbedError(
                f"fs.inotify.{name} is {now} and cannot be raised ({error.strerror}); several clusters need {enough}"
            ) from error
        raised.append(f"fs.inotify.{name} from {now} to {enough}")
    return raised
