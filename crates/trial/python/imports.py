"""Imports one file or module in a fresh interpreter and writes down what each import cost.

usage: imports.py RESULT.json run|file|module FILE|MODULE SECONDS [ARGUMENT ...]

Holds: the wrapping of importlib's `_find_and_load`, through which every import of a module goes that is not there yet (Python/import.c,
`import_find_and_load`, looks the function up each time); Rss of /proc/self/smaps_rollup, which counts every page; and afterwards, with
`ast`, which names an import bound and where they are used. Never: imports anything of its own while it measures, or counts its own time.
"""

import sys

# Of the times that it is told that its time is over so many may be swallowed; they are so many seconds apart.
SWALLOWED, AGAIN = 4, 0.25


def main():
    import posix
    import _frozen_importlib as bootstrap
    import _signal
    import _thread
    from time import perf_counter_ns as clock

    result, way, target, seconds = sys.argv[1:5]
    sys.argv[:] = [target] + sys.argv[5:]
    rollup = "/proc/self/smaps_rollup"

    def resident():
        file = posix.open(rollup, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            text = posix.read(file, 4096)
        finally:
            posix.close(file)
        rss = anonymous = 0
        for line in text.split(b"\n"):
            if line.startswith(b"Rss:"):
                rss = int(line.split()[1])
            elif line.startswith(b"Anonymous:"):
                anonymous = int(line.split()[1])
        return rss * 1024, anonymous * 1024

    real = bootstrap._find_and_load
    first = _thread.get_ident()
    # A node: its name, its children, what was resident before and after, its time without ours, what went wrong.
    root = {"name": None, "children": []}
    stack = [root]
    ours = 0
    elsewhere = 0

    def find_and_load(name, import_):
        nonlocal ours, elsewhere
        if _thread.get_ident() != first:
            # Another thread's import: its bytes are those of whatever goes on here.
            elsewhere += 1
            return real(name, import_)
        parent = name.rpartition(".")[0]
        if parent and parent not in sys.modules:
            # A package comes before what is in it, as a cost of its own.
            import_(parent)
            if name in sys.modules:
                return sys.modules[name]
        begun = clock()
        before = resident()
        node = {"name": name, "children": [], "before": before}
        node["ours"] = ours
        stack[-1]["children"].append(node)
        stack.append(node)
        start = clock()
        ours += start - begun
        node["ours"] = ours
        node["start"] = start
        try:
            return real(name, import_)
        except BaseException as error:
            node["error"] = type(error).__name__
            raise
        finally:
            end = clock()
            node["ns"] = end - start - (ours - node["ours"])
            del stack[stack.index(node):]
            node["after"] = resident()
            ours += clock() - end

    class Over(BaseException):
        pass

    def tell(ended, ended_with):
        """Writes all of it down, and ends."""
        bootstrap._find_and_load = real
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        end = clock()
        end_bytes = resident()
        total = end - start - ours

        # Nothing is measured from here on.
        import json

        modules = sys.modules

        # Depth first, each with its depth: what imports what may be nested deeper than readers of JSON go.
        nodes = []
        ahead = [(node, 0) for node in reversed(root["children"])]
        while ahead:
            node, depth = ahead.pop()
            found = modules.get(node["name"])
            file = node.get("file") or getattr(getattr(found, "__spec__", None), "origin", None) or getattr(found, "__file__", None)
            before, after = node["before"], node.get("after", end_bytes)
            nodes.append({
                "depth": depth,
                "module": node["name"],
                "file": file if isinstance(file, str) else None,
                "bytes": after[0] - before[0],
                "anonymous": after[1] - before[1],
                "ms": node.get("ns", 0) / 1e6,
                "error": node.get("error"),
            })
            ahead.extend((child, depth + 1) for child in reversed(node["children"]))
        from os import path

        def is_text(node):
            return node["file"] and (node["file"].endswith(".py") or node["file"] == target) and path.isfile(node["file"])

        sources = {}
        for node in nodes:
            if is_text(node) and node["module"] not in sources:
                found = modules.get(node["module"])
                package = getattr(found, "__package__", None)
                if not package:
                    package = node["module"] if getattr(found, "__path__", None) is not None else node["module"].rpartition(".")[0]
                statements = imports_of(node["file"], package, modules)
                if statements is not None:
                    sources[node["module"]] = statements
        taken = {name for made in sources.values() for statement in made for name in statement.pop("takes")}
        for name, made in sources.items():
            for statement in made:
                # What another file imports from there, it has to have.
                if any("%s.%s" % (name, bound) in taken for bound in statement.pop("binds")) or name + ".*" in taken:
                    statement["later"] = False
        answer = {
            "release": "%d.%d.%d" % sys.version_info[:3],
            "executable": sys.executable,
            "prefixes": sorted({path.dirname(json.__path__[0])} | {place for place in sys.path if place.endswith("-packages")}),
            "start_bytes": start_bytes[0],
            "end_bytes": end_bytes[0],
            "ms": total / 1e6,
            "elsewhere": elsewhere,
            "ended": ended,
            "ended_with": ended_with,
            "nodes": nodes,
            "statements": sources,
        }
        # What is no character (of a name that is no UTF-8) is told as a question mark.
        with open(result, "w", encoding="utf-8", errors="replace") as file:
            json.dump(answer, file, ensure_ascii=False)
        posix._exit(0)

    overs = 0

    def over(signum, frame):
        nonlocal overs
        overs += 1
        if overs > SWALLOWED:
            for node in stack[1:]:
                node["ns"] = clock() - node.get("start", clock()) - (ours - node["ours"])
                node["after"] = resident()
            tell("its time was over", None)
        raise Over("its time was over")

    # With -P or PYTHONSAFEPATH nothing of ours stands first (3.11).
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    sys.path.insert(0, "" if way == "module" else target.rpartition("/")[0] or ".")
    _signal.signal(_signal.SIGALRM, over)
    ended = ended_with = None
    start_bytes = resident()
    # Again and again: what is imported may swallow the first.
    _signal.setitimer(_signal.ITIMER_REAL, max(float(seconds), 0.001), AGAIN)
    start = clock()
    bootstrap._find_and_load = find_and_load
    try:
        if way != "module":
            name = "__main__" if way == "run" else target.rpartition("/")[2].partition(".")[0]
            node = {"name": name, "file": target, "children": [], "before": resident(), "ours": 0}
            root["children"].append(node)
            stack.append(node)
            begun = node["start"] = clock()
            try:
                module = type(sys)(name)
                module.__file__ = target
                module.__builtins__ = __builtins__
                sys.modules[name] = module
                with open(target, "rb") as file:
                    code = compile(file.read(), target, "exec", dont_inherit=True)
                exec(code, module.__dict__)
            except BaseException as error:
                node["error"] = type(error).__name__
                raise
            finally:
                end = clock()
                node["ns"] = end - begun - ours
                node["after"] = resident()
                ours += clock() - end
        else:
            __import__(target)
    except SystemExit:
        ended = "it called sys.exit()"
    except Over:
        ended = "its time was over"
    except KeyboardInterrupt:
        ended = "it was interrupted"
    except BaseException as error:
        ended = "it failed"
        ended_with = "%s: %s" % (type(error).__name__, error)
    tell(ended, ended_with)


def imports_of(file, package, modules):
    """The imports that a file makes when it is itself imported: line, what they bring in, and whether functions alone use their names;
    the names that they bind, and those that they take from a module."""
    import ast
    from os import path

    is_package = path.basename(file) == "__init__.py"
    try:
        with open(file, "rb") as opened:
            tree = ast.parse(opened.read(), file)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None
    found = []
    used_now, used_later = set(), set()
    exported = set()
    postponed = any(
        isinstance(node, ast.ImportFrom) and node.module == "__future__" and any(name.name == "annotations" for name in node.names)
        for node in tree.body
    ) or sys.version_info >= (3, 14)

    ahead = [(tree, False)]
    while ahead:
        node, later = ahead.pop()
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            # From 3.15 on an import may be lazy by itself.
            if not later and not getattr(node, "is_lazy", False):
                found.append(node)
            continue
        if isinstance(node, ast.Name):
            (used_later if later else used_now).add(node.id)
        if isinstance(node, ast.If) and isinstance(node.test, (ast.Name, ast.Attribute)):
            if "TYPE_CHECKING" in (getattr(node.test, "id", ""), getattr(node.test, "attr", "")):
                ahead.extend((child, later) for child in node.orelse)
                continue
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            exported.update(c.value for c in ast.walk(node.value) if isinstance(c, ast.Constant) and isinstance(c.value, str))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            # Decorators and defaults run at once; annotations too, where nothing postpones them.
            body = node.body if isinstance(node.body, list) else [node.body]
            inside = {id(child) for child in body}
            for child in ast.iter_child_nodes(node):
                if id(child) in inside:
                    ahead.append((child, True))
                elif isinstance(child, ast.arguments):
                    defaults = child.defaults + [d for d in child.kw_defaults if d is not None]
                    ahead.extend((d, later) for d in defaults)
                    if not postponed:
                        ahead.extend((a, later) for a in annotations(child))
                elif child is getattr(node, "returns", None):
                    if not postponed:
                        ahead.append((child, later))
                else:
                    ahead.append((child, later))
            continue
        if isinstance(node, ast.AnnAssign) and postponed:
            ahead.extend((child, later) for child in (node.target, node.value) if child is not None)
            continue
        ahead.extend((child, later) for child in ast.iter_child_nodes(node))

    statements = []
    for node in found:
        if isinstance(node, ast.Import):
            for name in node.names:
                brought = name.name
                bound = name.asname or brought.partition(".")[0]
                statements.append((node.lineno, [brought], [bound], []))
        else:
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                parts = parts[: len(parts) - (node.level - 1)]
                base = ".".join(parts + ([base] if base else []))
            if base == "__future__" or not base:
                continue
            bring = [base]
            bound = []
            takes = []
            for name in node.names:
                whole = "%s.%s" % (base, name.name)
                (bring if whole in modules else takes).append(whole)
                bound.append(name.asname or name.name)
            statements.append((node.lineno, bring, bound, takes))
    answer = []
    for line, bring, bound, takes in statements:
        later = "*" not in bound and not any(name in used_now or name in exported for name in bound)
        used = any(name in used_later for name in bound)
        # A package binds names for others, who may have them as its attributes.
        later = later and (used or not is_package)
        answer.append({"line": line, "brings": bring, "later": later, "used": used, "binds": bound, "takes": takes})
    return answer


def annotations(arguments):
    for argument in arguments.args + arguments.kwonlyargs + getattr(arguments, "posonlyargs", []) + [arguments.vararg, arguments.kwarg]:
        if argument is not None and argument.annotation is not None:
            yield argument.annotation


main()
