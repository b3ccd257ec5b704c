"""Attacks on the guest's protocol: frames that are forged, broken, out of order or too many."""

from __future__ import annotations

from sandboxes.conformance.attack import PATIENT, PRELUDE, attack, attacks
from sandboxes.conformance.case import QUICK, Case, Outcome

_GROUP = "protocol"

_KILLED = {
    "noise": "tell(b'\\xff', b'noise')",
    "noise on every descriptor": """
        for d in range(4096):
            try: os.write(d, b'noise' * 100)
            except OSError: pass
    """,
    "a result without end": """
        for d in range(3, 16):
            try: os.write(d, b'R' + b'\\xff' * 4)
            except OSError: pass
    """,
    "a result that is no JSON": "tell(b'R', b'{')",
    "a result without fields": "tell(b'R', b'{}')",
    "a result without parts": "tell(b'R', b'')",
    "a result that is a list": "forge(b'1', head=b'[]')",
    "a result without a value": "forge(b'')",
    "a result that is no data": """forge(b'{"$set":[[]]}')""",
    "a result with an unknown tag": """forge(b'{"$code":"1"}')""",
    "a result that is a pickle": """forge(b'{"$pickle":"gASVAAAA"}')""",
    "a result too deep to read": "forge(b'[' * 5000 + b']' * 5000)",
    "a result a little too deep": "forge(b'[' * 101 + b']' * 101)",
    "a result too long to read": "forge(b'[' + b'[],' * 5000 + b'0]')",
    "a result with a head too long to read": "forge(b'1', head=b'[' + b'[],' * 23000 + b'0]')",
    "a result with a head too deep": "forge(b'1', head=b'[' * 9999)",
    "a result slow to hash": """
        forge(b'{"$set":[' + b','.join(b'%d' % (i * (2 ** 61 - 1)) for i in range(300)) + b']}')
    """,
    "a result of many empty rows": """
        forge(b'{"$ndarray":{"dtype":"int8","shape":[10000000,0],"data":[]}}')
    """,
    "a result of objects": """forge(b'{"$ndarray":{"dtype":"object","shape":[1],"data":[1]}}')""",
    "a result of a wrong shape": """forge(b'{"$ndarray":{"dtype":"int8","shape":[2],"data":[1]}}')""",
    "a result of a negative shape": """forge(b'{"$ndarray":{"dtype":"int8","shape":[-1],"data":[1]}}')""",
    "a number with very many digits": "forge(b'9' * 5000)",
    "a number in no base": """forge(b'{"$int":"zz"}')""",
    "a status that is not its own": """
        forge(b'1', head=b'{"status":"timed_out","error":"","seconds":0}')
    """,
    "a status that is none": """forge(b'1', head=b'{"status":"fine","error":null,"seconds":0}')""",
    "a status of another type": """forge(b'1', head=b'{"status":["ok"],"error":null,"seconds":0}')""",
    "an error that is a list": """forge(b'1', head=b'{"status":"raised","error":[],"seconds":0}')""",
    "an error beside a value": """forge(b'1', head=b'{"status":"ok","error":"x","seconds":0}')""",
    "time that runs backwards": """
        forge(b'1', head=b'{"status":"ok","error":null,"seconds":-1}')
    """,
    "time without end": """forge(b'1', head=b'{"status":"ok","error":null,"seconds":1e999}')""",
    "time that is no number": """forge(b'1', head=b'{"status":"ok","error":null,"seconds":"nan"}')""",
    "the server's last word": "tell(b'E', b'{}')",
    "a broken sandbox": "tell(b'B', b'I am broken')",
    "a pong": "tell(b'O', b'')",
    "a request": "tell(b'Q', b'{}')",
    "a program": "tell(b'P', b'{}')",
    "it is ready again": "tell(b'Y', b'')",
    "it is loaded again": "tell(b'L', b'')",
    "it was never loaded": """
        forge(b'null', head=b'{"status":"raised","error":"x","seconds":0}', kind=b'F')
    """,
    "output beyond the limit": "forge(b'1', output=b'x' * 20000)",
    "output that is no text": "forge(b'1', output=b'\\xff')",
    "another greeting": "tell(b'H', b'{\"protocol\":99}')",
}

_FORGED = Outcome(("ok",), 99)

CASES = [
    *attacks(_GROUP, "killed", _KILLED),
    attack(
        _GROUP,
        "a result for each byte",
        "for _ in range(10 ** 4): forge(b'99')",
        "ok",
        "killed",  # of a full pipe whose reader has gone, before or after the result is read
        spoils=True,
    ),
    attack(_GROUP, "a result, then a death", "forge(b'99'); os._exit(0)", "ok", value=99, spoils=True),
    attack(
        _GROUP,
        "a result, then no end",
        "forge(b'99')\nwhile True: pass",
        "ok",
        value=99,
        spoils=True,
        limits=QUICK,
    ),
    attack(_GROUP, "the last result of all", "forge(b'99', kind=b'T')", "ok", "killed", spoils=True),
    Case(
        "a program that forges results deceives itself alone",
        _GROUP,
        f"{PRELUDE}\ndef f(x):\n    forge(b'99')\n    return x",
        (1, 2, 3),
        # Each result that it forges stands where the next of its own would have.
        (_FORGED, Outcome(("ok",), 1), _FORGED),
        limits=PATIENT,
        hostile=True,
    ),
]
"""These speak to the guest of this package; of a back end with another they show little."""
