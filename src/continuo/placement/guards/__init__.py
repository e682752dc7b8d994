"""Guards: what every decision has to pass, whoever made it, when it comes in and again when it is carried out. Pure."""

from continuo.placement.guards.judging import judge, judge_all, subject_of, touched
from continuo.placement.guards.model import Basis, Code, History, Limits, Rejection, State
from continuo.placement.guards.policies import needs_approval
from continuo.placement.guards.reading import read_action

__all__ = [
    "Basis",
    "Code",
    "History",
    "Limits",
    "Rejection",
    "State",
    "judge",
    "judge_all",
    "needs_approval",
    "read_action",
    "subject_of",
    "touched",
]
