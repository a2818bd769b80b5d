"""A heap after importing most of the standard library. Arguments: none. Commands on stdin: see oracle.serve."""
import gc
import importlib
import os
import pkgutil
import sys
import sysconfig
import warnings

import oracle

# What is left out, and why.
SKIPPED = {
    "antigravity": "opens a browser",
    "this": "prints",
    "__hello__": "prints",
    "__phello__": "prints",
    "idlelib": "an editor: opens windows",
    "turtle": "opens a window",
    "turtledemo": "opens a window",
    "tkinter": "needs a display",
    "test": "CPython's own tests: tens of thousands of objects that no program has",
    "lib2to3": "its tests write beside it",
    "pydoc_data": "one long text",
    "site-packages": "not the standard library",
    "sitecustomize": "not the standard library",
    "usercustomize": "not the standard library",
}
SKIPPED_PARTS = ("__main__", "test", "tests")
SKIPPED_PREFIXES = ("_test", "_xx", "xx", "_ctypes_test")  # test helpers of CPython itself


def names():
    top = set(sys.builtin_module_names)
    folders = [sysconfig.get_path("stdlib"), os.path.join(sysconfig.get_path("stdlib"), "lib-dynload")]
    top.update(module.name for module in pkgutil.iter_modules(folders))
    for name in sorted(top):
        if name not in SKIPPED and not name.startswith(SKIPPED_PREFIXES):
            yield name


def import_all(name, depth=0):
    if any(part in SKIPPED_PARTS for part in name.split(".")):
        return
    try:
        module = importlib.import_module(name)
    except (ImportError, AttributeError, OSError, ValueError) as error:  # another system's module, or a library that is not there
        missing[name] = "%s: %s" % (type(error).__name__, error)
        return
    imported.append(name)
    if depth < 3 and hasattr(module, "__path__"):
        for child in sorted(pkgutil.iter_modules(module.__path__, name + "."), key=lambda m: m.name):
            import_all(child.name, depth + 1)


imported, missing = [], {}
warnings.simplefilter("ignore")
for name in names():
    import_all(name)
oracle.notes["imported"] = len(imported)
oracle.notes["missing"] = missing
gc.collect()
oracle.serve({"imported": imported})
os._exit(0)  # some of what was imported has work to do at exit that needs a terminal
