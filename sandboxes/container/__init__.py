"""Programs in containers: a pool of warm ones, each with a fork server, on a Docker or Podman engine.

::

    sandbox    the back end: ``DockerSandbox``
    fleet      starts its containers, and leaves none behind
    transport  bytes to and from one of them, over the attached standard streams
    bootstrap  the first code in a container: takes the fork server's source from the host
    engine     talking to the engine, and what its errors mean
    labels     how a container tells whose it is
    sweep      removes containers whose owner is dead
    image      finds and builds images
    from_host  an image out of the running interpreter, without any registry
    inventory  which files that takes

Nothing here is imported unless it is used: the engine's client is an optional dependency (extra ``docker``).
"""

from sandboxes.container.sandbox import DockerSandbox

__all__ = ["DockerSandbox"]
