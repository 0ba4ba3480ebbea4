"""A small stand-in for the WAN22 UI: it reads config.json and shows it on a page."""

import argparse

from ui import serve
from utils import load_config


def main() -> None
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--config", default="config.json")
    arguments = parser.parse_args()
    serve(load_config(arguments.config), arguments.host, arguments.port)


if __name__ == "__main__":
    main()
