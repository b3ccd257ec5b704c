"""What runs on the inside: a fork server that confines and runs programs, with the standard library alone.

The folder is complete in itself. ``python -S -P -s guest`` starts a server that speaks the protocol of
``wire`` over its standard input and output, on the host as well as in a container image into which the
folder was copied. It is loaded as ``sandboxes.guest`` by the host, for the protocol and the values, and as
``guest`` by the server; hence the relative imports.

::

    server   forks a child for each request, watches its budget, relays its results
    mailbox  keeps what a child wrote until it goes on to the host, and out of other children's memory
    child    becomes the program: reads it, confines itself, runs it on the inputs
    confine  the layers between a program and the machine: limits, privileges, Landlock, seccomp
    seccomp  the filter of system calls
    modules  which modules programs may import
    preload  imports them, and then takes the file system away
    report   what went wrong in a program, in one line
    values   values as JSON, both ways
    wire     frames on a pipe
"""
