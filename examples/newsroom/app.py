"""The newsroom, started by its path: `python3 examples/newsroom/app.py [--seconds N]`."""

from newsroom.__main__ import main

main()
