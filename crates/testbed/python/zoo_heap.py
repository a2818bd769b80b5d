"""The heap of every type in every form. Arguments: none. Commands on stdin: see oracle.serve."""
import gc
import importlib
import os

import oracle
import zoo

PARTS = ("scalars", "containers", "instances", "functions", "generators", "iterators", "library", "threads")

for part in PARTS:
    importlib.import_module("zoo." + part)
# One more collection than objects need to settle, then some in each generation.
gc.collect()
# Small ones lie in the interpreter's own arenas, large ones in malloc's memory.
zoo.add("generation/1", [[[i] for i in range(50)], tuple([i] for i in range(100))])
gc.collect(0)
zoo.add("generation/0", [[[i] for i in range(50)], tuple([i] for i in range(100))])
oracle.serve(zoo.named)
os._exit(0)  # nothing here is meant to be torn down: threads are parked for ever
