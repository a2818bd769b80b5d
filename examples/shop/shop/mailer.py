"""Mails, sent by a thread of their own.

Planted waste: the thread keeps every mail that it sent in a local variable, "for the log". No global name leads there:
only the stack of a running thread does.
"""

import queue
import threading


class Mailer:
    def __init__(self):
        self.waiting = queue.Queue()
        self.thread = threading.Thread(target=self.run, name="mailer", daemon=True)
        self.thread.start()

    def send(self, address, text):
        self.waiting.put((address, text))

    def flush(self):
        """Waits until every mail is sent."""
        self.waiting.join()

    def run(self):
        sent = []
        while True:
            mail = self.waiting.get()
            sent.append(mail)
            self.waiting.task_done()
