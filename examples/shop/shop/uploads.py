"""Uploaded files (product reviews with a picture).

Planted waste: `Upload` has a finalizer (`__del__`) and refers to itself through its own callback. It is garbage as soon
as its request is done, but only a pass of the cyclic collector finds out, and the buffer waits until then.
"""


class Upload:
    closed = 0

    def __init__(self, name, size):
        self.name = name
        self.buffer = bytearray(size)
        self.on_close = self.close

    def close(self):
        self.buffer = None

    def __del__(self):
        Upload.closed += 1
