"""A heap with every built-in and standard-library type that real programs hold, in all its forms, each under a name.

One module per kind; each has `build(add)`. A part that fails is written down by name in oracle.notes["failures"], and the test fails.
"""
import oracle

named = {}


def add(name, value):
    """Keeps `value` alive under `name`; names are unique so that a test can ask for one."""
    if name in named:
        raise ValueError("two objects are called " + name)
    named[name] = value
    return value


def part(build):
    """Runs one builder at once and writes a failure down by name."""
    try:
        build()
    except Exception as error:
        oracle.notes["failures"].append("%s.%s: %s: %s" % (build.__module__, build.__name__, type(error).__name__, error))
    return build
