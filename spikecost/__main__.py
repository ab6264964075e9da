"""``python -m spikecost``: the command ``spikecost``."""

from bench.cli import main

if __name__ == "__main__":
    main(prog_name="spikecost")
