"""Puts the parts together and runs the ingest thread."""

import gc
import hashlib
import threading
import time

from . import delivery, feeds, index, parsing

FEEDS = 40
BACKLOG_EDITIONS = 60
POLL_SECONDS = 2.0
GC_SECONDS = 3600.0


class Newsroom:
    """The service: owns the stores and the ingest thread."""

    def __init__(self):
        self.sources = feeds.make_sources(FEEDS)
        self.fetcher = feeds.FeedFetcher()
        self.index = index.InvertedIndex()
        self.articles = index.ArticleStore(self.index, capacity=20000)
        self.places = index.load_places(self.sources[0]._words, 60000)
        self.sessions = delivery.SessionStore(capacity=200)
        self.mailer = delivery.Mailer()
        self.trending = []
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ingest, name="ingest", daemon=True)

    def start(self):
        """Start ingesting and return once the backlog has been worked off."""
        gc.disable()  # no pauses while serving; the ingest thread collects when it is due
        self._thread.start()
        self._ready.wait()

    def shutdown(self):
        self._stopping.set()
        self._thread.join()

    def _poll(self, source, cursor, fingerprints):
        """Fetch one feed and return the articles that are new."""
        response = self.fetcher.fetch(source, cursor)
        fresh = []
        for article, paragraphs in parsing.parse_document(response.body, source.topic):
            prints = [hashlib.sha1(text.encode("utf-8")).hexdigest() for text in paragraphs]
            if fingerprints.issuperset(prints):
                continue
            fingerprints.update(prints)
            words = article.title.lower().split()
            pairs = (" ".join(pair) for pair in zip(words, words[1:]))
            article.places = tuple(self.places[pair] for pair in pairs if pair in self.places)
            self.articles.add(article)
            fresh.append(article)
        return fresh

    def _publish(self, edition, articles):
        for number in range(edition * 40, edition * 40 + 40):
            self.sessions.login("reader%05d" % number, feeds.TOPICS[number % len(feeds.TOPICS)])
        for topic in feeds.TOPICS:
            delivery.bus.publish(topic, [item for item in articles if item.topic == topic])
        self.mailer.send(articles)
        self.trending = self.index.search(articles[0].title.lower().split())

    def _ingest(self):
        fingerprints = set()
        for source in self.sources:
            self.fetcher.headlines(source, 25)
        edition = 0
        while edition < BACKLOG_EDITIONS and not self._stopping.is_set():
            articles = []
            for source in self.sources:
                articles.extend(self._poll(source, edition, fingerprints))
            self._publish(edition, articles)
            edition += 1
        self._ready.set()

        collected = time.monotonic()
        articles = []
        polls = 0
        while not self._stopping.wait(POLL_SECONDS):
            source = self.sources[polls % len(self.sources)]
            articles.extend(self._poll(source, edition, fingerprints))
            polls += 1
            if polls % len(self.sources) == 0:
                self._publish(edition, articles)
                articles = []
                edition += 1
            if time.monotonic() - collected > GC_SECONDS:
                gc.collect()
                collected = time.monotonic()
