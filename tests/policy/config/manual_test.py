#!/usr/bin/env python3
"""The manual of directives.

Goal: docs/directives.md says what the table of directives says.
How:  writes it again from the table and compares.

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
    done = subprocess.run([options.sluice, "directives", "--markdown"], capture_output=True, text=True, check=True)
    fresh, kept = done.stdout, (options.root / "docs/directives.md").read_text()
    if fresh == kept:
        return 0
    for line in list(difflib.unified_diff(kept.splitlines(), fresh.splitlines(), "docs/directives.md", "the table",
                                          lineterm="", n=0))[:40]:
        print(line)
    print("docs/directives.md is out of date: sluice directives --markdown > docs/directives.md")
    return 1


if __name__ == "__main__":
    sys.exit(main())
