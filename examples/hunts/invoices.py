"""An application for gunicorn that renders invoices with Flask and notes each one when its answer is out.

Needs `pip install flask gunicorn`; container.sh starts it in a container. FIXED=1 has it note each invoice once, by Flask's own means.
"""
import logging
import os

import flask

app = flask.Flask(__name__)
noted = logging.getLogger("noted")


def lines_of(number):
    return [{"item": "part %d-%d" % (number, n), "price": number % 97 + n / 4} for n in range(40)]


@app.get("/invoices/<int:number>")
def invoice(number):
    lines = lines_of(number)

    def note(sender, response, **extra):
        noted.debug("invoice %d: %d lines, %s", number, len(lines), response.status)

    if "FIXED" in os.environ:

        @flask.after_this_request
        def once(response):
            note(app, response)
            return response
    else:
        # By default a signal knows its receivers weakly, and a function made here would be gone before the answer is.
        flask.request_finished.connect(note, app, weak=False)
    return {"number": number, "total": sum(line["price"] for line in lines), "lines": len(lines)}
