"""The command ``spikecost``, also as ``python -m spikecost``."""

import sys


def main() -> None:
    """Run the command line; quiet if Ctrl-C arrives while it is being imported."""
    try:
        from bench.cli import main as command
    except KeyboardInterrupt:
        sys.exit(130)
    command(prog_name="spikecost")


if __name__ == "__main__":
    main()
