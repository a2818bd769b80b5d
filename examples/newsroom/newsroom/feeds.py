"""Feed sources (simulated, from seeded generators) and the fetcher in front of them."""

import itertools
import random

TOPICS = ("politics", "business", "science", "sports", "culture", "weather")
_SYLLABLES = ("ba ce di fo gu ka le mi no pu ra se ti vo zu an er in ol um "
              "sta pre con tri mar pel").split()


class FeedSource:
    """One upstream feed."""

    def __init__(self, number, words, sentences):
        self.name = "feed-%02d" % number
        self.topic = TOPICS[number % len(TOPICS)]
        self.url = "https://%s.example.net/rss" % self.name
        self._rng = random.Random(number)
        self._words = words
        self._sentences = sentences

    def document(self, cursor):
        """The items published since `cursor`, as one document."""
        choices = self._rng.choices
        items = []
        for number in range(6):
            title = " ".join(choices(self._words, k=7)).capitalize()
            lead, more = choices(self._sentences, k=2)
            body = "".join("<para>%s</para>" % " ".join(choices(self._sentences, k=6))
                           for _ in range(6))
            items.append(
                "<item><title>%s</title><link>%s/%d/%d</link>"
                "<description><p>%s</p><p><b>%s</b><a href='%s/%d'>more</a></p></description>"
                "<content>%s</content></item>"
                % (title, self.url, cursor, number, lead, more, self.url, cursor, body))
        return "<rss><channel>%s</channel></rss>" % "".join(items)

    def archive(self):
        """The feed's back catalogue: one ``year<TAB>headline`` line per article."""
        rng = self._rng
        return "\n".join("%d\t%s" % (rng.randint(1998, 2023),
                                     " ".join(rng.choices(self._words, k=9)))
                         for _ in range(900))


class Response:
    """A fetched document."""

    __slots__ = ("url", "body")

    def __init__(self, url, body):
        self.url = url
        self.body = body


class FeedFetcher:
    """Fetches feed documents; documents already fetched are not requested again."""

    _responses = {}

    def __init__(self):
        self._archives = {}

    def fetch(self, source, cursor):
        url = "%s?format=rss&since=%d" % (source.url, cursor)
        response = self._responses.get(url)
        if response is None:
            response = self._responses[url] = Response(url, source.document(cursor))
        return response

    def headlines(self, source, limit):
        """Up to `limit` archived headlines; a later call goes on where this one stopped."""
        archive = self._archives.get(source.name)
        if archive is None:
            archive = self._archives[source.name] = self._read_archive(source)
        return list(itertools.islice(archive, limit))

    @staticmethod
    def _read_archive(source):
        lines = source.archive().splitlines()
        for line in lines:
            year, _, headline = line.partition("\t")
            yield int(year), headline


def make_sources(count):
    rng = random.Random(2024)
    words = sorted({"".join(rng.choices(_SYLLABLES, k=rng.randint(2, 4))) for _ in range(3500)})
    sentences = [" ".join(rng.choices(words, k=rng.randint(9, 17))).capitalize() + "."
                 for _ in range(4000)]
    return [FeedSource(number, words, sentences) for number in range(count)]
