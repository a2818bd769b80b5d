"""A program that writes one byte to stdout for every signal that its C handler receives, until SIGTERM.

First it writes a line: the address of a word that is never zero. A Python handler would not do: several signals between
two instructions become one call of it. The byte is written by the C handler (signal.set_wakeup_fd).
"""
import ctypes
import os
import signal
import sys

# Where Yama is: any process of this user may trace us (PR_SET_PTRACER, PR_SET_PTRACER_ANY).
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
RUN = [True]
WORD = b"never zero"
os.set_blocking(1, False)
for number in (signal.SIGRTMIN, signal.SIGTERM):
    signal.signal(number, lambda n, frame: RUN.clear() if n == signal.SIGTERM else None)
signal.set_wakeup_fd(1, warn_on_full_buffer=False)
# From here on it is ready for signals. The content of a bytes object begins at offset 32 in every release.
os.write(1, b" %d\n" % (id(WORD) + 32))
N = 0
while RUN:
    N += 1
sys.exit(0)
