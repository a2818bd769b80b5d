"""The request loop.

Planted waste: `Server.errors` keeps the last exceptions for an error page. An exception holds its traceback, the
traceback its frames, and the frames their local variables: here a whole search result each.
"""

import random

from shop.cache import PageCache
from shop.catalogue import CATEGORIES, Catalogue
from shop.events import BasketWatcher, EventBus
from shop.mailer import Mailer
from shop.models import Customer, Money, Order
from shop.sessions import SessionStore
from shop.statistics import Statistics
from shop.uploads import Upload

CITIES = ("Bergen", "Porto", "Gdansk", "Tartu", "Ghent")


class OutOfStock(Exception):
    pass


class Server:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.catalogue = Catalogue(3000)
        self.customers = {}
        self.sessions = SessionStore()
        self.cache = PageCache()
        self.events = EventBus()
        self.statistics = Statistics()
        self.mailer = Mailer()
        self.orders = []
        self.errors = []
        self.requests = 0

    def serve(self, count):
        for _ in range(count):
            self.handle(self.random.random())
        self.statistics.settle()
        self.mailer.flush()

    def handle(self, dice):
        """One request: most look at a page, some order, a few upload a picture, a few fail."""
        self.requests += 1
        visitor = self.random.randrange(1, 2000)
        session = self.sessions.open("s%06d-%04x" % (visitor, visitor * 40503 % 65536), self.customer(visitor))
        path = "/%s?page=%d&session=%s" % (self.random.choice(CATEGORIES), self.random.randrange(40), session.token)
        self.statistics.begin(self.requests, path)
        self.statistics.sample(dice)
        session.history.append(path)
        try:
            if dice < 0.90:
                self.cache.get(path, lambda: self.render(path, session), self.requests)
            elif dice < 0.97:
                self.order(session)
            elif dice < 0.99:
                Upload("review-%d.png" % self.requests, 2000)
            else:
                self.check_stock(path)
        except OutOfStock as error:
            self.errors.append(error)

    def customer(self, number):
        known = self.customers.get(number)
        if known is None:
            known = self.customers[number] = Customer(number, "Customer %d" % number, CITIES[number % len(CITIES)])
            if number % 10 == 0:
                BasketWatcher(self.events, known)
        return known

    def render(self, path, session):
        found = self.catalogue.search(path[1 : path.index("?")])
        titles = [product["title"] for product in found[:3]]
        session.basket = found[:1]
        return "<h1>%s</h1><p>%s</p>" % (session.customer.name, "</p><p>".join(titles))

    def order(self, session):
        order = Order(len(self.orders) + 1, session.customer)
        for _ in range(self.random.randrange(1, 5)):
            order.add(self.random.choice(self.catalogue.products), self.random.randrange(1, 4))
        self.orders.append(order)
        self.events.publish("order", order)
        self.mailer.send("customer-%d@shop.example" % session.customer.number, "Thank you: %s" % Money(order.total()))

    def check_stock(self, path):
        candidates = [product["title"] for product in self.catalogue.search(path[1 : path.index("?")])]
        raise OutOfStock("none of %d products left" % len(candidates))

    def summary(self):
        return "shop: %d requests, %d orders, %d pages in the cache, %d errors kept" % (
            self.requests,
            len(self.orders),
            len(self.cache.pages),
            len(self.errors),
        )
