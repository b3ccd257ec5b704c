"""Models that a Ray cluster serves: one file says which; what runs follows from it.

::

    cluster_file.py   what the file may say
    yaml_files.py     YAML, read and written
    accelerators.py   the GPUs that Ray knows, and their memory
    serve_config.py   the file as a config of Ray Serve
    plan.py           how many GPUs that takes, and whether the weights fit
    serve_api.py      the REST API of a cluster
    deploying.py      up, down and status of what a file describes
    endpoints.py      servers that somebody else runs
"""
