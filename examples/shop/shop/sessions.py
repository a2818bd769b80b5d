"""Sessions, and a cache of them that should let go and does not.

Planted waste: `SessionStore.live` is a `weakref.WeakValueDictionary`, so that a session goes when its user goes; but
`SessionStore.recent`, meant for the statistics page, keeps a strong reference to each, and nobody empties it.
"""

import weakref


class Session:
    def __init__(self, token, customer):
        self.token = token
        self.customer = customer
        self.basket = []
        self.history = []


class SessionStore:
    def __init__(self):
        self.live = weakref.WeakValueDictionary()
        self.recent = []

    def open(self, token, customer):
        session = self.live.get(token)
        if session is None:
            session = Session(token, customer)
            self.live[token] = session
            self.recent.append(session)
        return session
