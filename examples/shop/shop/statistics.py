"""The statistics page.

Planted wastes:
- `Statistics.pending` once held every request of the morning. The entries are deleted one by one, but a dictionary
  does not shrink when entries go: an almost empty one keeps its table.
- `Statistics.samples` is a list that grew by `append`: up to an eighth of its table is room for items that never come.
  Its items are floats, 24 bytes each and a pointer; `array.array("d")` would need 8.
- `Statistics.feed` is a generator that was started once and never finished: its frame, and the list of lines in it,
  stay as long as it does.
"""


class Statistics:
    def __init__(self):
        self.pending = {}
        self.samples = []
        self.feed = self.export()
        next(self.feed)

    def begin(self, number, path):
        self.pending[number] = path

    def settle(self):
        """Forgets all but the last ten requests."""
        for number in list(self.pending)[:-10]:
            del self.pending[number]

    def sample(self, milliseconds):
        self.samples.append(milliseconds * 1.0)

    def export(self):
        lines = ["minute;requests;milliseconds"] + ["%d;0;0" % minute for minute in range(1440)]
        for line in lines:
            yield line
