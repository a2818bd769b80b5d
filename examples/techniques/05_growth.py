"""How memory grows with the size of the input: all orders at once, and one after the other."""


class Order:
    def __init__(self, number):
        self.number = number
        self.rows = [number]


def orders(n):
    return [Order(number) for number in range(n)]


def total(n):
    return sum(len(order.rows) for order in map(Order, range(n)))
