"""`python -m docs.generate [--check]`: write the generated documentation, or tell which files are stale."""

from __future__ import annotations

import argparse
import sys

from docs.generate.pages import render, stale, write
from docs.generate.services import ROOT


def main() -> int:
    """Run the command line; exit code 1 when --check finds something stale."""
    parser = argparse.ArgumentParser(prog="python -m docs.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a file is stale")
    arguments = parser.parse_args()
    pages = render()
    outdated = stale(pages)
    if not arguments.check:
        write(pages)
    for path in outdated:
        sys.stdout.write(f"{'stale' if arguments.check else 'written'}: {path.relative_to(ROOT)}\n")
    return 1 if arguments.check and outdated else 0


if __name__ == "__main__":
    sys.exit(main())
