"""Attacks on time: never coming back, and hiding from the clock."""

from __future__ import annotations

from sandboxes.conformance.attack import BRIEF, attack, attacks, fruitless, module

_GROUP = "time"

_TIMED_OUT = {
    "endless loop": "while True: pass",
    "endless loop in C": "sum(iter(int, 1))",
    "huge power": "return len(str(3 ** (10 ** 8)))",
    "huge number as text": "sys.set_int_max_str_digits(0); return len(str(1 << 3 * 10 ** 7))",
    "huge text as number": "sys.set_int_max_str_digits(0); return int('9' * 5 * 10 ** 6) % 7",
    "huge factorial": "import math; return math.factorial(10 ** 6) % 7",
    "huge decimal": "import decimal as d; d.getcontext().prec = 10 ** 6; return str(d.Decimal(2).sqrt())",
    "catastrophic regular expression": "import re; re.match('(a|a)*$', 'a' * 60 + 'b')",
    "another catastrophic expression": "import re; re.search('(x+x+)+y', 'x' * 60)",
    "sleep": "time.sleep(1e6)",
    "wait for a lock": "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()",
    "colliding numbers": "return len({i * (2 ** 61 - 1) for i in range(10 ** 5)})",
    "colliding objects": """
        class Same:
            def __hash__(self): return 0
        return len({Same(): i for i in range(10 ** 5)})
    """,
    "a generator that never ends": """
        def forever():
            while True: yield 1
        return sum(forever())
    """,
    "an answer that is never done": "return sorted([0] * 10, key=lambda _: sum(iter(int, 1)))",
    "permutations": "import itertools; return max(itertools.permutations(range(20)))",
    "a difference": """
        import difflib
        return difflib.SequenceMatcher(None, 'ab' * 9999, 'ba' * 9999, autojunk=False).ratio()
    """,
    "endless swallowing": """
        while True:
            try:
                while True: pass
            except BaseException: pass
    """,
    "endless finally": """
        try: return 1
        finally:
            while True: pass
    """,
    "all signals ignored": """
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass
    """,
    "all signals handled": """
        def again(*_):
            while True: pass
        for number in range(1, 65):
            try: signal.signal(number, again)
            except (OSError, ValueError): pass
        while True: pass
    """,
    "all signals blocked": """
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        while True: pass
    """,
    "timers handled and loops resumed": """
        def again(*_): pass
        for number in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGXCPU):
            signal.signal(number, again)
        for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            try: signal.setitimer(timer, 0.01, 0.01)
            except OSError: pass
        while True: pass
    """,
    "the limit's own signal handled": """
        def again(*_): raise ValueError
        signal.signal(signal.SIGXCPU, again)
        while True:
            try:
                while True: pass
            except ValueError: pass
    """,
    "endless message": """
        class Endless(Exception):
            def __str__(self):
                while True: pass
        raise Endless
    """,
    "endless name of an error": """
        class Meta(type):
            @property
            def __name__(cls):
                while True: pass
        class Endless(Exception, metaclass=Meta): pass
        raise Endless
    """,
    "endless collection": """
        def again(*_):
            while True: pass
        gc.callbacks.append(again)
        gc.collect()
    """,
    "endless finalizer": """
        class Endless:
            def __del__(self):
                while True: pass
        Endless()
    """,
    "endless trace": """
        def trace(*_):
            while True: pass
        sys.settrace(trace)
        sorted([2, 1], key=lambda x: x)
    """,
    "endless profile": """
        def profile(*_):
            while True: pass
        sys.setprofile(profile)
        len([])
    """,
    "endless audit": """
        def hook(*_):
            while True: pass
        sys.addaudithook(hook)
        compile('1', '', 'eval')
    """,
    "endless import": """
        class Endless:
            def find_spec(self, *_):
                while True: pass
        sys.meta_path.insert(0, Endless())
        import hostile
    """,
    "half a result, then silence": """
        for d in range(3, 16):
            try: os.write(d, b'R' + struct.pack('!I', 100) + b'half')
            except OSError: pass
        while True: pass
    """,
    "clocks that stand still": """
        time.process_time = time.monotonic = time.perf_counter = time.thread_time = lambda: 0.0
        time.clock_gettime = lambda _: 0.0
        while True: pass
    """,
    "output without end": "while True: print('x' * 1000)",
    "errors without end": "while True:\n    try: print('x', file=sys.stderr)\n    except OSError: pass",
}

CASES = [
    *attacks(_GROUP, "timed_out", _TIMED_OUT),
    attack(
        _GROUP,
        "endless arrays",
        "import numpy as np\nx = np.ones((300, 300))\nwhile True: x = x @ x / 300",
        "timed_out",
        needs=("numpy",),
    ),
    # These wait for a signal, which the filter refuses, so they loop; where it does not, they sleep.
    attack(_GROUP, "wait for signals", "while True: signal.pause()", "timed_out", "raised", limits=BRIEF),
    attack(_GROUP, "wait for the alarm", "signal.alarm(1)\nwhile True: pass", "timed_out"),
    fruitless(
        _GROUP,
        "set the clock",
        """
        CLOCK_REALTIME = 0
        return done(lambda: time.clock_settime(CLOCK_REALTIME, time.time()))
        """,
        destructive=True,
    ),
    attack(_GROUP, "a number with too many digits", "return str(10 ** 5000)", "raised", error="ValueError"),
    attack(_GROUP, "a text with too many digits", "return int('9' * 5000)", "raised", error="ValueError"),
    module(_GROUP, "as it is loaded", "while True: pass", "timed_out"),
    module(
        _GROUP,
        "before its function is found",
        "import gc\nclass E:\n    def __del__(self):\n        while True: pass\nE()\n",
        "timed_out",
    ),
]
