"""Start the fork server: ``python -S -P -s guest [--site FOLDER …] [--package NAME …]``."""

import importlib
import os
import sys

# Modules register what to do after a fork about threads, held locks and seeds. A server has no threads and
# holds no locks, a child seeds itself, and the hooks would take a tenth of a program's time.
os.register_at_fork = lambda **_hooks: None

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.dirname(HERE)
importlib.import_module(os.path.basename(HERE) + ".server").main(sys.argv[1:])
