"""Command line entry point: ``python3 -m newsroom [--seconds N]``."""

import argparse
import signal
import threading

from .service import Newsroom


def main():
    parser = argparse.ArgumentParser(prog="newsroom", description=__doc__)
    parser.add_argument("--seconds", type=float, help="stop this long after start-up")
    options = parser.parse_args()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    newsroom = Newsroom()
    newsroom.start()
    print("ready", flush=True)
    stop.wait(options.seconds)
    newsroom.shutdown()


if __name__ == "__main__":
    main()
