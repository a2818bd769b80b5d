"""A program that prints READY, counts to N and ends.

usage: short.py N
"""
import ctypes
import sys

# Where Yama is: any process of this user may trace us (PR_SET_PTRACER, PR_SET_PTRACER_ANY).
ctypes.CDLL(None).prctl(0x59616D61, ctypes.c_ulong(2**64 - 1), 0, 0, 0)
print("READY", flush=True)
for i in range(int(sys.argv[1])):
    pass
