"""A fast path for simple programs: Monty, an interpreter of a subset of Python, before any other sandbox.

::

    fast_sandbox  the sandbox: simple programs to Monty, all others, and whatever went amiss, to the back end
    allow_list    which programs are certain to do in Monty what they do in CPython
    monty_server  the helper process, in which programs are judged and from which Monty is driven
    cage          what confines Monty's own process and its driver
"""

from sandboxes.fast_path.fast_sandbox import FastSandbox

__all__ = ["FastSandbox"]
