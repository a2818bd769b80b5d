"""Puts a program into a root folder of its own, as a container's engine does. Started in the mount namespace of the box (unshare --mount)
as its root; with --chroot it needs none of its own, and makes no mount.

    box.py [--chroot] [--read-only] [--no-proc] [--number N] [--bind FROM:TO]... ROOT PROGRAM [ARGUMENT]...
    box.py copy ROOT PYTHON

--number N: the program is N in the PID namespace, a child of its process 1, which waits for it and for nothing else.
copy: makes a root folder out of copies of an interpreter, the libraries that it needs (ldd) and its standard library.
Sources: pivot_root(2), "pivot_root(".", ".")"; mount(2); pid_namespaces(7), ns_last_pid.
"""

import ctypes
import os
import shutil
import subprocess
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MNT_DETACH = 1, 32, 4096, 16384, 1 << 18, 2
SYS_PIVOT_ROOT = 155


def done(result, what):
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), what)


def mount(source, where, kind, flags):
    words = [word and os.fsencode(word) for word in (source, where, kind)]
    done(LIBC.mount(*words, ctypes.c_ulong(flags), None), where)


def bind(source, where):
    if os.path.isdir(source):
        os.makedirs(where, exist_ok=True)
    elif not os.path.exists(where):
        os.makedirs(os.path.dirname(where), exist_ok=True)
        open(where, "w").close()
    mount(source, where, None, MS_BIND | MS_REC)


def copy(root, python):
    ask = "import sys, sysconfig; print(sys.executable); print(sysconfig.get_path('stdlib'))"
    executable, library = subprocess.run([python, "-I", "-c", ask], check=True, capture_output=True, text=True).stdout.split()
    modules = os.path.join(library, "lib-dynload")
    elf = [os.path.realpath(executable)] + [os.path.join(modules, name) for name in os.listdir(modules)]
    needed = subprocess.run(["ldd", *elf], capture_output=True, text=True).stdout.split()
    for file in {word for word in needed if word.startswith("/") and not word.endswith(":")}:
        os.makedirs(root + os.path.dirname(file), exist_ok=True)
        shutil.copy(file, root + file)
    os.makedirs(root + os.path.dirname(executable), exist_ok=True)
    shutil.copy(executable, root + executable)
    leave = shutil.ignore_patterns("test", "tests", "site-packages", "dist-packages", "__pycache__", "config-3*", "idlelib", "ensurepip")
    shutil.copytree(library, root + library, ignore=leave)
    os.makedirs(root + "/proc")
    print(executable)


def main():
    words = sys.argv[1:]
    if words[0] == "copy":
        return copy(*words[1:])
    options, binds, number = set(), [], None
    while words[0].startswith("--"):
        option = words.pop(0)
        if option == "--bind":
            binds.append(words.pop(0).split(":"))
        elif option == "--number":
            number = int(words.pop(0))
        else:
            options.add(option)
    root, program = words[0], words[1:]
    if "--chroot" in options:
        os.chroot(root)
    else:
        mount(None, "/", None, MS_REC | MS_PRIVATE)
        mount(root, root, None, MS_BIND | MS_REC)
        for source, where in binds:
            bind(source, root + where)
        if "--no-proc" not in options:
            mount("proc", root + "/proc", "proc", 0)
        if "--read-only" in options:
            mount(None, root, None, MS_REMOUNT | MS_BIND | MS_RDONLY)
        os.chdir(root)
        done(LIBC.syscall(SYS_PIVOT_ROOT, b".", b"."), "pivot_root")
        done(LIBC.umount2(b".", MNT_DETACH), "the old root")
    os.chdir("/")
    if number is not None:
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(number - 1))
        child = os.fork()
        if child:
            os._exit(os.waitpid(child, 0)[1] and 1)
    os.execv(program[0], program)


main()
