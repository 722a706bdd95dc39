"""Files and findings: what every rule reads and what it answers with."""

import os
import re
from dataclasses import dataclass, field
from functools import cached_property

SKIPPED_FOLDERS = {".git", "build", "Testing", "__pycache__", "node_modules", ".cache", "corpus", "golden"}
CPP_ENDINGS = (".h", ".cc")
SCRIPT_ENDINGS = (".py", ".sh")

# `// tidy: allow RULE: reason` (or `# tidy: ...`) on the line itself or the line above silences one rule
# there. Without a reason it silences nothing.
ALLOW = re.compile(r"tidy: allow ([a-z-]+):\s*\S{3,}")


@dataclass(frozen=True)
class Finding:
    rule: str
    path: str
    line: int  # 1 is the first; 0 means the file as a whole
    text: str
    fails: bool = True  # False: a warning, shown but not counted against the tree

    def __str__(self):
        level = "error" if self.fails else "warning"
        where = f"{self.path}:{self.line}" if self.line else self.path
        return f"{where}: {level}: {self.text} [{self.rule}]"


@dataclass
class Source:
    """One text file of the tree. `path` is relative to the root, with slashes."""

    path: str
    text: str
    executable: bool = False
    _allowed: dict = field(default_factory=dict)

    @cached_property
    def lines(self):
        return self.text.split("\n")[:-1] if self.text.endswith("\n") else self.text.split("\n")

    @cached_property
    def parts(self):
        return self.path.split("/")

    @property
    def name(self):
        return self.parts[-1]

    @property
    def folder(self):
        return "/".join(self.parts[:-1])

    @property
    def is_cpp(self):
        return self.path.endswith(CPP_ENDINGS)

    @property
    def is_header(self):
        return self.path.endswith(".h")

    @property
    def is_cmake(self):
        return self.name == "CMakeLists.txt" or self.path.endswith(".cmake")

    @cached_property
    def is_script(self):
        return self.path.endswith(SCRIPT_ENDINGS) or self.text.startswith("#!")

    @property
    def is_code(self):
        return self.is_cpp or self.is_cmake or self.is_script

    def under(self, *folders):
        return any(self.path.startswith(folder + "/") for folder in folders)

    def line_of(self, offset):
        return self.text.count("\n", 0, offset) + 1

    def allows(self, rule, line):
        """Whether a comment with a reason silences `rule` at `line`."""
        for at in (line, line - 1):
            if 1 <= at <= len(self.lines) and rule in ALLOW.findall(self.lines[at - 1]):
                return True
        return False

    @cached_property
    def cpp(self):
        """The text with comments and the inside of literals blanked; every offset and line stays where it was."""
        return blank_cpp(self.text)


CPP_TOKEN = re.compile(
    r'(?P<raw>R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)")'
    r"|(?P<comment>//(?:\\\n|[^\n])*|/\*.*?\*/)"
    r'|(?P<string>"(?:\\.|[^"\\\n])*")'
    r"|(?P<number>\b\d[\w.']*)"
    r"|(?P<char>'(?:\\.|[^'\\\n])+')",
    re.DOTALL,
)


def blank_cpp(text):
    def blank(match):
        if match.lastgroup == "number":  # 1'000: the quote is a digit separator
            return match.group()
        kept = re.sub(r"[^\n]", " ", match.group())
        return kept if match.group("comment") else '"' + kept[1:-1] + '"'

    return CPP_TOKEN.sub(blank, text)


def read_tree(root):
    """All text files below `root` except what the build makes and byte-exact test data."""
    sources = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if name not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.islink(path) or not os.path.isfile(path):
                continue
            with open(path, "rb") as file:
                raw = file.read()
            if b"\0" in raw:
                continue
            relative = os.path.relpath(path, root).replace(os.sep, "/")
            sources.append(Source(relative, raw.decode("utf-8", "replace"), os.access(path, os.X_OK)))
    return sources
