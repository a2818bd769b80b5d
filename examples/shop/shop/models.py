"""What the shop is about: customers, orders and their lines.

Planted wastes:
- `OrderLine` has three attributes that never change and no `__slots__`: each line carries a dictionary (or inline
  values, from CPython 3.13) of its own. Thousands of lines.
- `Customer` <-> `Order`: an order knows its customer, the customer its orders, a line its order: reference cycles, which
  only the cyclic collector can free.
"""


class Customer:
    def __init__(self, number, name, city):
        self.number = number
        self.name = name
        self.city = city
        self.orders = []


class OrderLine:
    def __init__(self, order, product, quantity):
        self.order = order
        self.product = product
        self.quantity = quantity


class Order:
    def __init__(self, number, customer):
        self.number = number
        self.customer = customer
        self.lines = []
        customer.orders.append(self)

    def add(self, product, quantity):
        self.lines.append(OrderLine(self, product, quantity))

    def total(self):
        return sum(line.product["price_cents"] * line.quantity for line in self.lines)


class Money:
    """An amount of money, as it should be done: two slots and no dictionary."""

    __slots__ = ("cents", "currency")

    def __init__(self, cents, currency="EUR"):
        self.cents = cents
        self.currency = currency

    def __str__(self):
        return "%d.%02d %s" % (self.cents // 100, self.cents % 100, self.currency)
