"""Everything that goes out: summaries, subscribers' sessions, digests."""

import functools
import tempfile

INBOX_LIMIT = 36


class EventBus:
    """In-process publish/subscribe."""

    def __init__(self):
        self._listeners = {}

    def subscribe(self, event, listener):
        self._listeners.setdefault(event, []).append(listener)

    def unsubscribe(self, event, listener):
        self._listeners[event].remove(listener)

    def publish(self, event, *arguments):
        for listener in list(self._listeners.get(event, ())):
            listener(*arguments)


bus = EventBus()


@functools.lru_cache(maxsize=2048)
def render_summary(article):
    """An article as a short block of text."""
    return "%s\n%s\n%s\n" % (article.title.upper(), article.lead[:240], article.url)


class Session:
    """A subscriber who is logged in."""

    def __init__(self, key, subscriber, topic):
        self.key = key
        self.subscriber = subscriber
        self.preferences = {"language": "en", "page_size": 20}
        self.inbox = []
        bus.subscribe(topic, self.on_edition)

    def on_edition(self, articles):
        """Put the top stories of the subscriber's topic into the inbox."""
        for article in articles[:3]:
            self.inbox.append("For %s: %s (%s) - %s" % (
                self.subscriber, article.title, article.topic, article.lead[:80]))
        del self.inbox[:-INBOX_LIMIT]


class SessionStore:
    """The sessions in use, oldest first; beyond `capacity` the oldest is logged out."""

    def __init__(self, capacity):
        self._capacity = capacity
        self._sessions = {}
        self._logins = 0

    def login(self, subscriber, topic):
        self._logins += 1
        session = Session("s%08x" % self._logins, subscriber, topic)
        self._sessions[session.key] = session
        while len(self._sessions) > self._capacity:
            self.logout(next(iter(self._sessions)))

    def logout(self, key):
        self._sessions.pop(key, None)


class DigestSpool:
    """A digest on its way to the mail gateway."""

    def __init__(self, region):
        self.region = region
        self.delivered = False
        self._file = tempfile.TemporaryFile(buffering=64 * 1024)

    def write(self, text):
        self._file.write(text.encode("utf-8"))

    def deliver(self):
        """Hand the spooled text over; returns the number of bytes sent."""
        self._file.flush()
        self._file.seek(0)
        self.delivered = True
        return len(self._file.read())

    def __del__(self):
        self._file.close()


class Mailer:
    """Sends every edition to the regions; what fails stays in the outbox for a retry."""

    def __init__(self):
        self.outbox = []
        self.bytes_sent = 0

    def send(self, articles):
        for region in ("north", "south"):
            spool = DigestSpool(region)
            for article in articles:
                spool.write(render_summary(article))
            self.outbox.append(spool)
        for spool in self.outbox:
            if not spool.delivered:
                self.bytes_sent += spool.deliver()
