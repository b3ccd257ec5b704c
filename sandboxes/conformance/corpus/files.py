"""Attacks on files: other people's, the host's, the kernel's."""

from __future__ import annotations

from sandboxes.conformance.attack import attack, attacks, fruitless

_GROUP = "files"

_RAISED = {
    "read a file": "open('/etc/passwd').read()",
    "read its environment": "open('/proc/self/environ', 'rb').read()",
    "read the host's environment": "open(f'/proc/{os.getppid()}/environ', 'rb').read()",
    "read memory through a file": "open('/proc/self/mem', 'rb')",
    "read the host's memory map": "open(f'/proc/{os.getppid()}/maps').read()",
    "write where it is": "open('hostile', 'w').write('x')",
    "append to nothing": "open('/dev/null', 'a').write('x')",
    "talk to the terminal": "open('/dev/tty', 'w').write('x')",
    "list a folder": "os.listdir('/')",
    "list its descriptors": "os.listdir('/proc/self/fd')",
    "open what a descriptor stands for": "os.open('/proc/self/fd/0', os.O_RDWR)",
    "read the interpreter": "open('/proc/self/exe', 'rb').read(4)",
    "follow the link to the interpreter": "os.readlink('/proc/self/exe')",
    "leave through another root": "os.listdir('/proc/1/root/')",
    "leave through its server's root": "os.listdir(f'/proc/{os.getppid()}/root/')",
    "leave through its server's folder": "os.listdir(f'/proc/{os.getppid()}/cwd')",
    "leave through dots": "open('../' * 40 + 'etc/passwd')",
    "learn where it is": "os.getcwd()",
    "go elsewhere": "os.chdir('/')",
    "make a folder": "os.mkdir('hostile')",
    "change an owner": "os.chown('.', -1, -1)",
    "change a time": "os.utime('.')",
    "make a link": "os.symlink('/etc/passwd', 'hostile')",
    "make a hard link": "open('one', 'w').close(); os.link('one', 'other')",
    "make a pipe with a name": "os.mkfifo('hostile')",
    "make a device": "os.mknod('hostile', 0o600)",
    "look at a file": "os.stat('/etc/passwd')",
    "look at a file system": "os.statvfs('/')",
    "change its root": "os.chroot('/')",
    "memory file": "os.memfd_create('x')",
    "duplicate a descriptor": "os.dup(0)",
    "pipe": "os.pipe()",
    "a terminal of its own": "os.openpty()",
    "import a file": "import importlib.util; importlib.import_module('sqlite3')",
    "run a file": "import runpy; runpy.run_path('/usr/lib/python3/hostile.py')",
    "load an extension by its path": """
        import importlib.machinery
        importlib.machinery.ExtensionFileLoader('hostile', '/hostile.so').create_module(None)
        return 0
    """,
    "library": "ctypes.CDLL('libssl.so.3')",
    "library of C itself, by name": "ctypes.CDLL('libc.so.6').getpid(); ctypes.CDLL('libutil.so.1')",
}

_DESTRUCTIVE = {
    "write a file": "open('/tmp/hostile', 'w').write('x')",
    "write shared memory": "open('/dev/shm/hostile', 'w').write('x')",
    "change a mode": "os.chmod('/tmp', 0)",
    "make a folder for everybody": "os.mkdir('/tmp/hostile')",
    "remove a file": "os.unlink('/etc/hostname')",
    "cut a file": "os.truncate('/etc/hostname', 0)",
    "move a file": "os.rename('/etc/hostname', '/etc/hostile')",
    "replace a file": "os.replace('/etc/hostname', '/etc/hosts')",
}

CASES = [
    *attacks(_GROUP, "raised", _RAISED),
    *attacks(_GROUP, "raised", _DESTRUCTIVE, destructive=True),
    # Uncontained, these say that there is no such file.
    attack(_GROUP, "remove what is not there", "os.unlink('/nowhere/x')", "raised", error="PermissionError"),
    attack(_GROUP, "open what is not there", "open('/nowhere/x')", "raised", error="PermissionError"),
    fruitless(
        _GROUP,
        "see whether files are there",
        """
        paths = ['/', '/etc/passwd', '/proc/self', '/dev/null', '/tmp', '.']
        return [p for p in paths if os.path.exists(p) or os.access(p, os.F_OK) or os.path.isdir(p)]
        """,
    ),
    fruitless(_GROUP, "walk the tree", "return [found for _, found in zip(range(3), os.walk('/'))]"),
    fruitless(
        _GROUP,
        "read a file through the cache of lines",
        "import linecache; return [l for l in linecache.getlines('/etc/passwd')][:3]",
    ),
    fruitless(
        _GROUP,
        "open thousands of descriptors",
        """
        opened = []
        for attempt in range(3000):
            for opening in (
                lambda: os.open('/dev/null', os.O_RDONLY), lambda: os.dup(0), lambda: os.pipe(),
                lambda: os.memfd_create('x'), lambda: os.eventfd(0),
            ):
                try: opened.append(opening())
                except OSError: pass
            if len(opened) > 50: break
        return opened
        """,
    ),
    fruitless(
        _GROUP,
        "read every descriptor",
        """
        found = []
        for d in range(3, 4096):
            try: found.append(os.read(d, 1))
            except OSError: pass
        return found
        """,
    ),
    fruitless(
        _GROUP,
        "open files through C",
        """
        flags, name = 0, b'/etc/passwd'
        opened = [libc.open(name, flags), libc.openat(-100, name, flags), libc.creat(b'hostile', 0o600)]
        libc.fopen.restype = libc.opendir.restype = ctypes.c_void_p
        return [one for one in opened if one != -1] + [
            one for one in (libc.fopen(name, b'r'), libc.opendir(b'/')) if one is not None
        ]
        """,
    ),
    fruitless(
        _GROUP,
        "make its standard streams another file",
        """
        return done(
            lambda: os.dup2(0, 1), lambda: os.dup2(2, 9), lambda: os.fchmod(0, 0o777),
            lambda: os.ftruncate(1, 0), lambda: os.fchdir(0), lambda: os.set_blocking(0, False),
            lambda: os.fstat(0), lambda: os.sendfile(1, 0, 0, 1), lambda: os.set_inheritable(0, True),
        )
        """,
    ),
]
