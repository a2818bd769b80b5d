"""Word index, article store and the place name table."""

import random
from collections import OrderedDict, defaultdict


class Posting:
    """An occurrence of a word in an article."""

    def __init__(self, article_id, field, position, weight):
        self.article_id = article_id
        self.field = field
        self.position = position
        self.weight = weight


class InvertedIndex:
    """Maps words to the places where they occur."""

    def __init__(self):
        self._postings = defaultdict(list)

    @staticmethod
    def _words(article):
        opening = article.lead.partition(".")[0]
        for field, text, boost in (("title", article.title, 2.0), ("lead", opening, 1.0)):
            for position, word in enumerate(text.lower().split()):
                yield word, field, position, boost

    def add(self, article):
        seen = set()
        for word, field, position, boost in self._words(article):
            if word not in seen:
                seen.add(word)
                weight = boost / (1.0 + 0.1 * position)
                self._postings[word].append(Posting(article.id, field, position, weight))

    def discard(self, article):
        for word in {entry[0] for entry in self._words(article)}:
            self._postings[word] = [posting for posting in self._postings[word]
                                    if posting.article_id != article.id]

    def search(self, words, limit=10):
        scores = defaultdict(float)
        for word in words:
            for posting in self._postings.get(word, ()):
                scores[posting.article_id] += posting.weight
        return sorted(scores, key=scores.get, reverse=True)[:limit]


class ArticleStore:
    """The most recent articles; the oldest leave the store and the index together."""

    def __init__(self, index, capacity):
        self._index = index
        self._capacity = capacity
        self._articles = OrderedDict()

    def add(self, article):
        self._articles[article.id] = article
        self._index.add(article)
        while len(self._articles) > self._capacity:
            _, oldest = self._articles.popitem(last=False)
            self._index.discard(oldest)


def load_places(words, count):
    """The gazetteer: place name -> (latitude, longitude, country)."""
    rng = random.Random(7)
    places = {}
    while len(places) < count:
        name = rng.choice(words) + " " + rng.choice(words)
        places[name] = (rng.uniform(-90, 90), rng.uniform(-180, 180), rng.randrange(200))
    return places
