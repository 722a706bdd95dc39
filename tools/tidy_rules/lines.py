"""Rules that look at one line, or at the length of things."""

import re

from .source import Finding

FILE_LINES_WARN, FILE_LINES_MAX = 400, 800
LINE_COLUMNS_WARN, LINE_COLUMNS_MAX = 110, 120
TODO_KINDS = ("soon", "perf", "test", "port")

TODO_GOOD = re.compile(r"TODO\((%s)\): \S" % "|".join(TODO_KINDS))
TODO_ANY = re.compile(r"\b(?:TODO\b|FIXME\b|XXX\b|HACK\b)")


def file_size(source):
    if not source.is_code or source.name == "LICENSE":
        return
    count = len(source.lines)
    if count > FILE_LINES_MAX:
        yield Finding("file-size", source.path, 0, f"{count} lines, at most {FILE_LINES_MAX}: split by concept")
    elif count > FILE_LINES_WARN:
        yield Finding("file-size", source.path, 0, f"{count} lines, aim at {FILE_LINES_WARN}", fails=False)


def line_length(source):
    """Rows of a table, one case or one directive to a line, may be as long as they are: between the comments
    `clang-format off` and `clang-format on` nobody counts columns."""
    if not source.is_code:
        return
    table = False
    for number, line in enumerate(source.lines, 1):
        if "clang-format o" in line and source.is_cpp:
            table = "clang-format off" in line
        if table:
            continue
        if len(line) > LINE_COLUMNS_MAX:
            yield Finding("line-length", source.path, number, f"{len(line)} columns, at most {LINE_COLUMNS_MAX}")
        elif len(line) > LINE_COLUMNS_WARN:
            yield Finding("line-length", source.path, number,
                          f"{len(line)} columns, aim at {LINE_COLUMNS_WARN}", fails=False)


def whitespace(source):
    if not (source.is_code or source.path.endswith((".md", ".json", ".yml", ".conf"))):
        return
    for number, line in enumerate(source.lines, 1):
        if line != line.rstrip():
            yield Finding("whitespace", source.path, number, "white space at the end of the line")
        if "\t" in line and source.is_cpp:
            yield Finding("whitespace", source.path, number, "a tab; indent with two spaces, write \\t in literals")
    if source.text and not source.text.endswith("\n"):
        yield Finding("whitespace", source.path, len(source.lines), "no newline at the end of the file")


def todo_form(source):
    if not source.is_code or source.under("tools/tidy_rules", "tests/tools"):
        return  # they speak about the form itself
    for number, line in enumerate(source.lines, 1):
        found = TODO_ANY.search(line)
        if found and not (found.group() == "TODO" and TODO_GOOD.search(line)):
            yield Finding("todo", source.path, number, "write TODO(kind): text, with kind in " + ", ".join(TODO_KINDS))


RULES = (file_size, line_length, whitespace, todo_form)
