"""Attacks on results: values that lie, results that are not the program's to give, results of others.

A program may lie about its own value, which it could as well return, but never about a death or a timeout,
how many results there are, or another program's.
"""

from __future__ import annotations

from sandboxes.conformance.attack import PATIENT, PRELUDE, SURVIVED, attack, attacks, fruitless
from sandboxes.conformance.case import Case, Outcome

_GROUP = "results"

_PLAIN = {
    "a lying list": (
        """
        class Lying(list):
            def __iter__(self):
                while True: yield 0
            def __len__(self): return 10 ** 9
            def __getitem__(self, i): raise ValueError
        return Lying([1])
        """,
        [1],
    ),
    "a lying tuple": (
        """
        class Lying(tuple):
            def __iter__(self): return iter([os._exit, 3])
            def __len__(self): return -1
        return Lying((1, 2))
        """,
        (1, 2),
    ),
    "a lying dict": (
        """
        class Lying(dict):
            def items(self):
                while True: yield 'a', 1
            keys = values = __iter__ = items
            def __getitem__(self, key): raise ValueError
        return Lying(a=1)
        """,
        {"a": 1},
    ),
    "a lying set": (
        """
        class Lying(set):
            def __iter__(self): return iter([[]])
            def __contains__(self, item): return True
        return Lying({1})
        """,
        {1},
    ),
    "a lying text": (
        """
        class Lying(str):
            def __str__(self): return 'lie'
            __repr__ = encode = isascii = __str__
            def __len__(self): return 10 ** 9
        return Lying('truth')
        """,
        "truth",
    ),
    "a lying integer": (
        """
        class Lying(int):
            def __index__(self): return 99
            __int__ = __pos__ = __neg__ = __abs__ = __index__
            def __lt__(self, other): return True
            __gt__ = __eq__ = __lt__
            __hash__ = None
        return Lying(1)
        """,
        1,
    ),
    "a lying float": (
        """
        class Lying(float):
            def __float__(self): return 99.0
            __pos__ = __neg__ = __float__
            def __repr__(self): return 'nan'
        return Lying(0.5)
        """,
        0.5,
    ),
    "lying bytes": (
        """
        class Lying(bytes):
            def hex(self, *_): return 'zz'
            def __len__(self): return 10 ** 9
            def __bytes__(self): return b'lie'
        return Lying(b'truth')
        """,
        b"truth",
    ),
    "a lying complex number": (
        """
        class Lying(complex):
            real = imag = property(lambda self: [])
            def __complex__(self): return 9j
        return Lying(1, 2)
        """,
        1 + 2j,
    ),
    "values that claim to be equal": (
        """
        class Equal(int):
            def __eq__(self, other): return True
            def __hash__(self): return 0
        return [Equal(1), Equal(2), {'k': Equal(3)}]
        """,
        [1, 2, {"k": 3}],
    ),
    "a value that changes as its parts die": (
        """
        import weakref
        class Part(list): pass
        part = Part([1])
        out = [part, 1]
        weakref.finalize(part, out.append, 'dead')
        keep = weakref.ref(part, lambda _: out.clear())
        return out
        """,
        [[1], 1],
    ),
    "a value with pickling tricks": (
        """
        class Tricky(list):
            def __reduce__(self): return os._exit, (0,)
            __reduce_ex__ = __getstate__ = __copy__ = __deepcopy__ = lambda self, *_: os._exit(0)
        return Tricky([1])
        """,
        [1],
    ),
    "a value that is deleted with a bang": (
        """
        class Bang(list):
            def __del__(self): os._exit(0)
        global keep
        keep = Bang([1])
        return keep
        """,
        [1],
    ),
}

_BAD_OUTPUT = {
    "a class that claims another": """
        class Claims:
            __class__ = list
            def __iter__(self): return iter([1])
        return Claims()
    """,
    "a class that all are instances of": """
        class Meta(type):
            def __instancecheck__(cls, one): return True
            def __subclasscheck__(cls, one): return True
        class Claims(metaclass=Meta): pass
        return Claims()
    """,
    "a class that can be everything": """
        class Claims:
            def __getattr__(self, name): return lambda *_: 1
            def __index__(self): return 1
            __int__ = __float__ = __len__ = __index__
            def __str__(self): return '1'
        return Claims()
    """,
    "a proxy": "import weakref\nclass A(list): pass\nglobal keep\nkeep = A([1])\nreturn weakref.proxy(keep)",
    "a buffer": "return memoryview(b'1')",
    "a value that contains itself, deep down": "x = []; y = {'a': (x,)}; x.append([y]); return x",
    "a list that grows as it is read": """
        class Grows(list): pass
        out = [0] * 10 ** 5
        return out
    """,
    "values that multiply": "x = []\nfor _ in range(60): x = [x, x]\nreturn x",
}

_OK = {
    "a poisoned encoder": "import json; json.dumps = json.JSONEncoder.encode = lambda *_: '[]'",
    "huge output": "print('x' * 10 ** 6)",
    "output in very small pieces": "for i in range(10 ** 5): print(end='x')",
    "noise on standard streams": "os.write(1, b'noise' * 1000); os.write(2, b'noise')",
    "another standard output": "sys.stdout = None; sys.stderr = 3",
    "a standard output of its own": """
        class Own:
            def write(self, text): return os._exit(0)
            flush = close = write
        sys.stdout = sys.stderr = sys.__stdout__ = Own()
    """,
    "a closed standard output": "sys.stdout.close(); sys.stderr.close()",
    "a detached standard output": "sys.stdout.detach()",
    "a standard output that is read": """
        for stream in (sys.stdout, sys.stdin):
            try: stream.read()
            except Exception: pass
    """,
}


def _deceived(name: str, body: str, *statuses: str) -> Case:
    """Give a program that overwrites what sends its results: any value is its own affair."""
    return attack(_GROUP, name, body, *(statuses or ("ok",)), spoils=True)  # type: ignore[arg-type]


_REPLACE = """
    for frame in frames():
        for thing in [*frame.f_locals.values(), *frame.f_globals.values()]:
            for owner in (thing, type(thing)):
                try: {replace}
                except Exception: pass
"""

CASES = [
    *(attack(_GROUP, name, body, "ok", value=value) for name, (body, value) in _PLAIN.items()),
    *attacks(_GROUP, "bad_output", _BAD_OUTPUT),
    *attacks(_GROUP, "ok", _OK, value=None),
    attack(
        _GROUP,
        "a lying array",
        """
        import numpy as np
        class Lying(np.ndarray):
            def tolist(self): return ['lie']
            ravel = tolist
            shape = dtype = size = None
            def __array__(self, *_, **__): return np.zeros(1)
        return np.arange(2).view(Lying)
        """,
        *SURVIVED,  # it may hide its own shape; it cannot be more than its value
        needs=("numpy",),
    ),
    attack(
        _GROUP,
        "a class without a name",
        """
        class Meta(type):
            @property
            def __name__(cls): raise ValueError('nameless')
        class Nameless(metaclass=Meta): pass
        return Nameless()
        """,
        "raised",
        "bad_output",
    ),
    # The guest encodes its own answers with it, and ends where it cannot.
    attack(
        _GROUP,
        "a poisoned JSON",
        """
        import json
        for owner in (json, json.encoder, json.decoder, json.JSONEncoder):
            for name in list(vars(owner)):
                try: setattr(owner, name, None)
                except (AttributeError, TypeError): pass
    """,
        *SURVIVED,
        spoils=True,
    ),
    Case(
        "output is cut, however much there is",
        _GROUP,
        f"{PRELUDE}\ndef f(x):\n    for _ in range(100): print('x' * 10 ** 6, end='')",
        (1,),
        (Outcome(("ok",), None, stdout="x" * PATIENT.output_bytes),),
        limits=PATIENT,
        hostile=True,
    ),
    Case(
        "what is printed may look like a result",
        _GROUP,
        """def f(x): print('1\\n{"status":"ok"}\\n\\n2\\n', end='')""",
        (0,),
        (Outcome(("ok",), None, stdout='1\n{"status":"ok"}\n\n2\n'),),
        hostile=True,
    ),
    # Answering in one's own name on a standard stream, and leaving, is no result.
    attack(
        _GROUP,
        "a result on a stream",
        """os.write(1, b'\\n{"status": "ok", "value": 99}\\n'); os._exit(0)""",
        "killed",
    ),
    attack(
        _GROUP,
        "a result of another shape on a stream",
        "os.write(1, b'\\n99\\n'); os.write(2, b'99\\n'); os._exit(0)",
        "killed",
    ),
    attack(
        _GROUP,
        "a death that says it was a timeout",
        "sys.stderr.write('TimeoutError: timed out'); sys.stderr.flush(); os._exit(124)",
        "killed",
    ),
    attack(_GROUP, "an error that says it was a timeout", "raise TimeoutError('timed out')", "raised"),
    attack(_GROUP, "an exit that says it was a kill", "os._exit(137)", "killed"),
    _deceived(
        "replace what sends", _REPLACE.format(replace="owner._send = lambda *_, **__: None"), "killed", "ok"
    ),
    _deceived(
        "replace what writes", _REPLACE.format(replace="owner.write = lambda *_, **__: None"), "killed", "ok"
    ),
    _deceived(
        "replace what encodes", _REPLACE.format(replace="owner.encode = lambda *_, **__: 99"), "ok", "raised"
    ),
    _deceived(
        "replace what makes text", _REPLACE.format(replace="owner.write_json = lambda *_: '99'"), *SURVIVED
    ),
    _deceived("replace what decodes", _REPLACE.format(replace="owner.decode = lambda *_: 99")),
    _deceived("replace what applies", _REPLACE.format(replace="owner._apply = lambda *_: 99")),
    _deceived(
        "replace what describes",
        _REPLACE.format(replace="owner.describe = lambda *_: 99") + "\n    raise ValueError",
        *SURVIVED,
    ),
    _deceived("more inputs", _REPLACE.format(replace="owner._inputs.extend([5] * 100)")),
    _deceived("fewer inputs", _REPLACE.format(replace="owner._inputs.clear()"), "ok", "killed"),
    _deceived(
        "many results of its own",
        _REPLACE.format(replace="[thing._send(b'R', 'ok', value='99') for _ in range(9)]"),
    ),
    _deceived(
        "statuses that are not its own",
        _REPLACE.format(replace="[thing._send(b'R', s) for s in ('timed_out', 'killed', 'nonsense')]"),
        "ok",
        "killed",
    ),
    _deceived(
        "more output than allowed, through its keeper",
        """
        for kind in descendants():
            if kind.__name__ == '_Captured':
                near = [thing for frame in frames() for thing in frame.f_locals.values()]
                for one in gc.get_objects() + near:
                    for thing in (one, getattr(one, '_stdout', None)):
                        if type(thing) is kind:
                            thing._size = 10 ** 9
                            thing._kept += b'x' * 10 ** 6
        return 1
        """,
        "killed",
        "ok",
    ),
    _deceived(
        "a larger value than allowed",
        _REPLACE.format(replace="owner._output_bytes = 10 ** 9") + "\n    return 'x' * 10 ** 6",
        "killed",
        "bad_output",
    ),
    _deceived(
        "a time that is not its own",
        _REPLACE.format(replace="owner._started = 10 ** 9"),
        "killed",
        "ok",
    ),
    fruitless(
        _GROUP,
        "use classes that open things",
        """
        used = []
        for kind in descendants():
            name = f'{kind.__module__}.{kind.__name__}'
            for arguments in (('/etc/passwd',), ('true',), (['/bin/true'],), (None, '/etc/passwd')):
                if name in ('_io.FileIO', 'subprocess.Popen', 'os._wrap_close', 'os.DirEntry',
                            '_frozen_importlib_external.FileLoader', 'socket.socket'):
                    try: used.append(str(kind(*arguments).read()))
                    except Exception: pass
        loaders = [kind for kind in descendants() if hasattr(kind, 'get_data')]
        for kind in loaders:
            try: used.append(kind('x', '/etc/passwd').get_data('/etc/passwd')[:5])
            except Exception: pass
        return used
        """,
    ),
    fruitless(
        _GROUP,
        "find what others wait for",
        """
        words = ('expected', 'answer', 'EXPECTED', 'ANSWERS', 'outputs')
        found = []
        for frame in frames():
            if frame.f_code.co_filename != frames.__code__.co_filename:
                found += [name for name in words if name in frame.f_locals]
        return found
        """,
    ),
]
