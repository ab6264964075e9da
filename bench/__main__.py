"""``python -m bench`` and ``spikecost``."""

import sys


def main() -> None:
    """The command line, quiet also where Ctrl-C comes while it is being imported."""
    try:
        from bench.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
