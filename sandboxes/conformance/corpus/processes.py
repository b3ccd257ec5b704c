"""Attacks on processes: having more of them, and harming those of others."""

from __future__ import annotations

from sandboxes.conformance.attack import attack, attacks, fruitless, module

_GROUP = "processes"

_RAISED = {
    "fork": "if os.fork() == 0: os._exit(0)",
    "fork with a terminal": "if os.forkpty()[0] == 0: os._exit(0)",
    "thread": "import threading; threading.Thread(target=time.sleep, args=(0.01,)).start()",
    "thread from below": "import _thread; _thread.start_new_thread(time.sleep, (0.01,))",
    "timer thread": "import threading; threading.Timer(0.01, print).start()",
    "become a shell": "os.execv('/bin/sh', ['sh', '-c', 'exit 0'])",
    "become what the path has": "os.execvpe('true', ['true'], {'PATH': '/bin'})",
    "spawn": "os.posix_spawn('/bin/true', ['true'], {})",
    "module of the system": "import subprocess; subprocess.run(['true'])",
    "pool": "import multiprocessing; multiprocessing.Process(target=print).start()",
    "pool of threads": "from concurrent.futures import thread; thread.ThreadPoolExecutor(1).submit(print)",
    "signal everybody": "os.kill(-1, 0)",
    "signal its group": "os.killpg(0, 0)",
    "signal the first process": "os.kill(1, 0)",
    "signal the server": "os.kill(os.getppid(), 0)",
    "signal itself": "os.kill(os.getpid(), 0)",
    "raise a signal": "signal.raise_signal(signal.SIGCHLD)",
    "signal its thread": "signal.pthread_kill(__import__('threading').get_ident(), 0)",
    "set a timer": "signal.setitimer(signal.ITIMER_REAL, 0.1)",
    "set a timer of CPU time": "signal.setitimer(signal.ITIMER_PROF, 0.1)",
    "be woken by a descriptor": "signal.set_wakeup_fd(3)",
    "wait for children": "os.waitpid(-1, os.WNOHANG)",
    "open the server": "os.pidfd_open(os.getppid())",
    "become root": "os.setuid(0)",
    "become root's group": "os.setgid(0)",
    "join every group": "os.setgroups([0])",
    "become three users": "os.setresuid(0, 0, 0)",
    "be served first": "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "be nice": "os.nice(1)",
    "slow the server": "os.setpriority(os.PRIO_PROCESS, os.getppid(), os.getpriority(0, os.getppid()))",
    "pin itself to a core": "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})",
    "raise its limits": "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "lower the server's limits": """
        import resource
        resource.prlimit(os.getppid(), resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE))
    """,
    "start a session": "os.setsid()",
    "leave its group": "os.setpgid(0, 0)",
}

_DESTRUCTIVE = {
    "fork bomb": "while True: os.fork()",
    "fork bomb that goes on": """
        for _ in range(20):
            try: os.fork()
            except OSError as error: refused = error
        raise refused
    """,
    "daemon": "if os.fork() == 0:\n    os.setsid()\n    while True: time.sleep(1)",
    "kill all": "os.kill(-1, 9)",
    "kill the server": "os.kill(os.getppid(), 9)",
    "kill itself": "os.kill(os.getpid(), 9)",
    "stop itself": "os.kill(os.getpid(), signal.SIGSTOP)",
    "stop the server": "os.kill(os.getppid(), signal.SIGSTOP)",
    "kill its group": "os.killpg(0, 9)",
}

CASES = [
    *attacks(_GROUP, "raised", _RAISED),
    *attacks(_GROUP, "raised", _DESTRUCTIVE, destructive=True),
    attack(_GROUP, "shell", "return os.system('exit 7') == 7 << 8", "ok", value=False),
    fruitless(
        _GROUP,
        "leave children behind",
        """
        children = []
        for _ in range(5):
            for fork in (os.fork, os.forkpty, libc.fork, lambda: libc.syscall(57)):
                try: child = fork()
                except OSError: continue
                if child == 0:
                    time.sleep(0.5)
                    os._exit(0)
                if child != -1: children.append(1)
        return children
        """,
        # Number 57 is fork on x86-64 and close on aarch64, of a descriptor that is not there.
    ),
    fruitless(
        _GROUP,
        "leave threads behind",
        """
        import _thread, threading
        started = []
        for _ in range(5):
            try: _thread.start_new_thread(time.sleep, (0.5,))
            except RuntimeError: pass
            else: started.append('thread')
            thread = threading.Thread(target=time.sleep, args=(0.5,), daemon=True)
            try: thread.start()
            except RuntimeError: pass
            else: started.append('daemon')
        return started
        """,
    ),
    fruitless(
        _GROUP,
        "a thread through C",
        """
        thread = ctypes.c_ulong()
        refused = libc.pthread_create(ctypes.byref(thread), None, libc.getpid, None)
        return [] if refused else ['thread']
        """,
    ),
    fruitless(
        _GROUP,
        "a user namespace",
        """
        NEWUSER, NEWNS, NEWNET, NEWPID = 0x10000000, 0x20000, 0x40000000, 0x20000000
        wanted = [NEWUSER, NEWUSER | NEWNS, NEWUSER | NEWNET, NEWUSER | NEWPID, NEWNS, 0]
        return [flags for flags in wanted if libc.unshare(flags) == 0]
        """,
    ),
    fruitless(
        _GROUP,
        "another process's memory",
        """
        class Piece(ctypes.Structure):
            _fields_ = [('base', ctypes.c_void_p), ('length', ctypes.c_size_t)]
        secret = ctypes.create_string_buffer(b'secret')
        copy = ctypes.create_string_buffer(6)
        here, there = Piece(ctypes.addressof(copy), 6), Piece(ctypes.addressof(secret), 6)
        libc.process_vm_readv(os.getpid(), ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
        return [copy.value] if copy.value else []
        """,
    ),
    fruitless(
        _GROUP,
        "trace the server",
        """
        PTRACE_TRACEME, PTRACE_SEIZE, PTRACE_DETACH = 0, 0x4206, 17
        libc.ptrace.restype = ctypes.c_long
        nothing = ctypes.c_void_p(0)
        seized = libc.ptrace(PTRACE_SEIZE, os.getppid(), nothing, nothing)
        if seized == 0: libc.ptrace(PTRACE_DETACH, os.getppid(), nothing, nothing)
        return [] if seized else ['server']
        """,
        destructive=True,  # a traced process stops when its tracer detaches at a bad moment
    ),
    fruitless(
        _GROUP,
        "outlive the server",
        """
        PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NAME, PR_SET_KEEPCAPS = 1, 4, 15, 8
        changes = [(PR_SET_PDEATHSIG, 0), (PR_SET_DUMPABLE, 1), (PR_SET_KEEPCAPS, 1)]
        return [option for option, value in changes if libc.prctl(option, value, 0, 0, 0) == 0]
        """,
    ),
    module(
        _GROUP,
        "fork as it is loaded",
        "import os\nif os.fork() == 0: os._exit(0)\ndef f(x): return x",
        "raised",
    ),
    module(
        _GROUP,
        "a thread as it is loaded",
        "import threading\nthreading.Thread(target=print).start()\ndef f(x): return x",
        "raised",
    ),
]
