"""From feed documents to articles."""

import itertools
import re

_ITEM = re.compile(r"<item><title>(.*?)</title><link>(.*?)</link>"
                   r"<description>(.*?)</description><content>(.*?)</content></item>", re.S)
_TOKEN = re.compile(r"<(/?)(\w+)([^>]*)>|([^<]+)")
_ATTRIBUTE = re.compile(r"(\w+)='([^']*)'")

_ids = itertools.count(1000)


class Node:
    """An element of an item's embedded markup."""

    def __init__(self, tag, parent=None, attributes=()):
        self.tag = tag
        self.parent = parent
        self.attributes = dict(attributes)
        self.children = []
        self.text = ""
        if parent is not None:
            parent.children.append(self)

    def iter_text(self):
        if self.text:
            yield self.text
        for child in self.children:
            yield from child.iter_text()


class Article:
    """What the rest of the service knows about an item."""

    __slots__ = ("id", "url", "topic", "title", "lead", "places")

    def __init__(self, url, topic, title, lead):
        self.id = next(_ids)
        self.url = url
        self.topic = topic
        self.title = title
        self.lead = lead
        self.places = ()


def parse_markup(markup):
    """Parse a fragment into a tree and return its root."""
    root = node = Node("root")
    for closing, tag, attributes, text in _TOKEN.findall(markup):
        if text:
            node.text += text
        elif closing:
            node = node.parent or root
        else:
            node = Node(tag, node, _ATTRIBUTE.findall(attributes))
    return root


def parse_document(body, topic):
    """Yield ``(article, paragraphs)`` for every item of a document."""
    for title, link, description, content in _ITEM.findall(body):
        lead = " ".join(parse_markup(description).iter_text())
        paragraphs = content[6:-7].split("</para><para>")
        yield Article(link, topic, title, lead), paragraphs
