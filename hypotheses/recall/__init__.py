"""Recall: which of the programs that are remembered to try on a task, without trying them on it.

::

    relations  how an output relates to its input, as tokens; ``grids`` for grids
    query      a task as a memory is asked about it
    probes     inputs that belong to no task
    profile    what a program does on the probes
    literals   the colours that a program names
    ranking    the programs whose ways are the task's, the best first
    proposer   ``RecalledProposer`` makes it a proposer, with ``composition`` of two
"""

from hypotheses.recall.profile import Profile, profile_of
from hypotheses.recall.proposer import RecalledProposer
from hypotheses.recall.query import query_of
from hypotheses.recall.ranking import Ranking, Weights

__all__ = ["Profile", "Ranking", "RecalledProposer", "Weights", "profile_of", "query_of"]
