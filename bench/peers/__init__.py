"""The networks of `cases/networks.py` in libraries with other names, one file each.

A file offers what `worker.py` asks of a library: `set_num_threads`, and `makers()`, which gives for
each case what prepares it. Layers, optimizers and batch shapes are those of `networks.py`; initial
parameters are the library's own or uniform, for a step's time does not depend on them.
"""
