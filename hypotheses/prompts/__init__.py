"""What a language model is shown, and how its answers are read.

``Prompts`` writes the messages of each step from the text files under ``templates/`` and the worked examples
under ``worked/``; ``answers`` reads values and rules back. The file beside each concern: ``literals`` and
``grids`` write values, ``fences`` keeps data from looking like instructions, ``choosing`` picks the examples
that are shown where not all fit, ``differences`` compares what came out with what was wanted.
"""

from hypotheses.prompts.answers import read_rules, read_value, rules_schema, value_schema
from hypotheses.prompts.composition import VERSION, Prompts
from hypotheses.prompts.options import PromptOptions

__all__ = [
    "VERSION",
    "PromptOptions",
    "Prompts",
    "read_rules",
    "read_value",
    "rules_schema",
    "value_schema",
]
