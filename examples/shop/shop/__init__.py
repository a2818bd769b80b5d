"""The shop: catalogue, customers, sessions, orders, a page cache and a mailer."""
