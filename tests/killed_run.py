"""The command line, killed with SIGKILL right after it kept its n-th completions; n is the last argument."""

KILLED = """
import os, signal, sys
from induce.cli import main
from hypotheses.run_log import RunLog
keep, left = RunLog.keep, int(sys.argv.pop())
def keep_and_die(self, request, completions):
    global left
    keep(self, request, completions)
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
RunLog.keep = keep_and_die
main()
"""
