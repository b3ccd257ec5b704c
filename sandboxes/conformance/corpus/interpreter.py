"""Attacks on the interpreter that runs the program: hooks, modules and builtins that are not what they were.

Whatever a program does to its own interpreter, the next program finds another one.
"""

from __future__ import annotations

from sandboxes.conformance.attack import SURVIVED, attack, attacks

_GROUP = "interpreter"

_OK = {
    "a trace": "sys.settrace(lambda *_: None)",
    "a trace that raises": """
        def trace(*_): raise ValueError
        sys.settrace(trace)
    """,
    "no modules": "sys.modules.clear()",
    "no recursion": "sys.setrecursionlimit(60)",
    "exit handlers": "import atexit; atexit.register(os._exit, 9)",
    "an exit function": "sys.exitfunc = lambda: os._exit(9)",
    "time that stands still": "time.process_time = time.monotonic = lambda: 0.0",
    "all garbage disabled": "gc.disable(); gc.set_threshold(0)",
    "all garbage unfrozen": "gc.unfreeze(); gc.collect()",
    "callbacks of the collector": "gc.callbacks.append(lambda *_: 1 / 0); gc.collect()",
    "hooks for errors": """
        sys.excepthook = sys.unraisablehook = sys.displayhook = lambda *_: os._exit(0)
    """,
    "warnings that are errors": """
        import warnings
        warnings.simplefilter('error')
        warnings.showwarning = warnings.warn = lambda *_, **__: os._exit(0)
    """,
    "dumps of faults": "import faulthandler\ntry: faulthandler.enable(3)\nexcept Exception: pass",
    "an import hook": """
        class Finder:
            def find_spec(self, *_): raise ValueError
        sys.meta_path.insert(0, Finder())
        sys.path_hooks.insert(0, Finder)
        sys.path.insert(0, '/')
    """,
    "frozen time zone": "time.tzset = None; os.environ['TZ'] = 'Mars'",
    "an audit hook": "sys.addaudithook(lambda *_: None)",
    "switches of threads": "sys.setswitchinterval(1e-9)",
    "poisoned caches": """
        import linecache, re
        linecache.cache.clear()
        linecache.getline = re.compile = None
    """,
    "another locale": """
        import locale
        try: locale.setlocale(locale.LC_ALL, '')
        except locale.Error: pass
    """,
    "a class of its own for its module": """
        class Module(types.ModuleType):
            def __getattribute__(self, name): os._exit(0)
        sys.modules['hostile'] = Module('hostile')
    """,
}

_BUILTINS = "len isinstance issubclass type repr str dict list tuple int float id sorted getattr map".split()

CASES = [
    *attacks(_GROUP, "ok", _OK, value=None),
    *(
        # The guest itself may look for the builtin next.
        attack(
            _GROUP,
            f"another {name}",
            f"import builtins\nbuiltins.{name} = lambda *_, **__: 1 // 0",
            *SURVIVED,
            spoils=True,
        )
        for name in _BUILTINS
    ),
    attack(
        _GROUP,
        "no builtins",
        "import builtins; vars(builtins).clear()",
        *SURVIVED,
        spoils=True,
    ),
    attack(
        _GROUP,
        "another import",
        "import builtins; builtins.__import__ = lambda *_, **__: 1 // 0",
        *SURVIVED,
        spoils=True,
    ),
    attack(
        _GROUP,
        "another way to write",
        "os.write = lambda descriptor, data: len(data)",
        "killed",  # it has answered nothing
        "ok",
    ),
    attack(_GROUP, "another way to leave", "os._exit = lambda status: None", "ok", value=None),
    attack(
        _GROUP,
        "monitoring",
        """
        monitoring = getattr(sys, 'monitoring', None)
        if monitoring is None: return None
        def event(*_): raise ValueError
        monitoring.use_tool_id(3, 'hostile')
        monitoring.register_callback(3, monitoring.events.PY_RETURN, event)
        monitoring.register_callback(3, monitoring.events.CALL, event)
        monitoring.set_events(3, monitoring.events.PY_RETURN | monitoring.events.CALL)
        """,
        *SURVIVED,  # from Python 3.12; before, there is nothing to do
        spoils=True,
    ),
    attack(
        _GROUP,
        "an audit hook that raises",
        "def hook(*_): raise ValueError\nsys.addaudithook(hook)",
        *SURVIVED,
        spoils=True,
    ),
    attack(
        _GROUP,
        "an audit hook that leaves",
        "sys.addaudithook(lambda *_: os._exit(0))\nopen('x')",
        "killed",
    ),
    attack(
        _GROUP,
        "an import hook that runs the show",
        """
        class Finder:
            def find_spec(self, *_): os._exit(0)
        sys.meta_path.insert(0, Finder())
        import nothing_of_this_name
        """,
        "killed",
    ),
    attack(
        _GROUP,
        "asynchronous errors",
        """
        import threading
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(threading.get_ident()), ctypes.py_object(KeyboardInterrupt)
        )
        """,
        *SURVIVED,
        spoils=True,
    ),
    attack(
        _GROUP,
        "a profile that raises",
        "def profile(*_): raise ValueError\nsys.setprofile(profile)",
        "raised",
    ),
    attack(_GROUP, "another random", "random.seed = random.random = None", "ok", value=None, spoils=True),
    attack(
        _GROUP,
        "a pending call",
        """
        global keep
        keep = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: os._exit(0))
        ctypes.pythonapi.Py_AddPendingCall(keep, None)
        for _ in range(10 ** 4): pass
        """,
        "killed",
        "out_of_memory",  # where ctypes makes its callbacks in executable memory, of which there is none
    ),
    attack(
        _GROUP,
        "what was confined, unconfined",
        """
        for module in list(sys.modules.values()):
            for name in ('apply', 'confine', '_limit_resources', '_install_filter', 'prepare', 'filter_for'):
                try: setattr(module, name, lambda *_, **__: None)
                except Exception: pass
        os.fork()
        """,
        "raised",
        destructive=True,
    ),
]
