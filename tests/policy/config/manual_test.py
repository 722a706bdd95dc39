#!/usr/bin/env python3
"""The manuals that are made from tables.

Goal: docs/directives.md and docs/commands.md say what their tables say.
How:  writes them again from the tables and compares.

usage: manual_test.py --root DIR --sluice PROGRAM
"""

import argparse
import difflib
import subprocess
import sys
from pathlib import Path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--sluice", required=True, type=Path)
    options = parser.parse_args()
    stale = 0
    for name in ("directives", "commands"):
        words = [name if name == "directives" else "help", "--markdown"]
        fresh = subprocess.run([options.sluice, *words], capture_output=True, text=True, check=True).stdout
        path = f"docs/{name}.md"
        kept = (options.root / path).read_text()
        if fresh == kept:
            continue
        stale = 1
        for line in list(difflib.unified_diff(kept.splitlines(), fresh.splitlines(), path, "the table",
                                              lineterm="", n=0))[:40]:
            print(line)
        print(f"{path} is out of date: sluice {' '.join(words)} > {path}")
    return stale


if __name__ == "__main__":
    sys.exit(main())
