"""Rules about the tree: layers, what every folder and every test needs, references that lead nowhere."""

import posixpath
import re
import subprocess

from .cpp import INCLUDE
from .source import Finding

# A folder may include from these and from nothing else; see docs/architecture.md.
MAY_INCLUDE = {
    "policy/base": ("policy/base",),
    "policy": ("policy",),
    "net": ("policy/base", "net"),
    "engine": ("policy", "net", "engine"),
    "tools": ("policy", "net", "engine", "tools"),
    "bench": ("policy", "net", "engine", "bench"),
    "tests": ("policy", "net", "engine", "tools", "bench", "tests"),
}
FOLDER_SOURCES_WARN = 12
# `add_subdirectory(name)`, or the list of a `foreach(folder a b c)` around it.
SUBDIRECTORY = re.compile(r"^[ \t]*(?:add_subdirectory\(\s*|foreach\(folder\s+)([\w./ -]+)", re.MULTILINE)


class Tree:
    """All sources, with what the rules ask more than once."""

    def __init__(self, root, sources):
        self.root = root
        self.sources = sources
        self.by_path = {source.path: source for source in sources}
        self.folders = {}
        for source in sources:
            self.folders.setdefault(source.folder, []).append(source)
        # Every path of the tree and every tail of it, because prose shortens: a/b/c, b/c and c.
        self.tails = set()
        for path in self.by_path:
            parts = path.split("/")
            self.tails.update("/".join(parts[at:]) for at in range(len(parts)))
        engine = self.by_path.get("engine/CMakeLists.txt")
        self.engine_order = " ".join(SUBDIRECTORY.findall(engine.text)).split() if engine else []

    def listed(self, source):
        """Whether a CMakeLists.txt in the file's folder or above names it by its path from there."""
        folder = source.folder
        while True:
            listing = self.by_path.get(posixpath.join(folder, "CMakeLists.txt"))
            name = source.path[len(folder) + 1:] if folder else source.path
            if listing and re.search(r"(?<![\w./-])" + re.escape(name) + r"(?![\w.])", uncommented(listing.text)):
                return True
            if not folder:
                return False
            folder = posixpath.dirname(folder)


def uncommented(cmake):
    return re.sub(r"#[^\n]*", "", cmake).replace("${CMAKE_CURRENT_SOURCE_DIR}/", "")


def layer_of(path):
    if path.startswith("policy/base/"):
        return "policy/base"
    top = path.split("/")[0]
    return top if top in MAY_INCLUDE else None


def includes(tree):
    for source in tree.sources:
        layer = layer_of(source.path) if source.is_cpp else None
        if layer is None:
            continue
        for found in INCLUDE.finditer(source.text):
            name = found.group("name")[1:-1]
            line = source.line_of(found.start("name"))
            if found.group("name")[0] == "<":
                continue
            if name not in tree.by_path:
                yield Finding("include-path", source.path, line, f'"{name}" is not a path from the root of the tree')
            elif not any(name.startswith(allowed + "/") for allowed in MAY_INCLUDE[layer]):
                yield Finding("layer", source.path, line, f'{layer} may not include "{name}"')
            elif layer == "engine" and name.startswith("engine/"):
                yield from engine_arrow(tree, source, name, line)


def engine_arrow(tree, source, name, line):
    """Inside engine the order of engine/CMakeLists.txt is the law: only upwards in the list."""
    here, there = source.parts[1], name.split("/")[1]
    if here == there or here not in tree.engine_order:
        return  # a folder that is not built yet is reported by its sources
    if there not in tree.engine_order or tree.engine_order.index(there) > tree.engine_order.index(here):
        yield Finding("layer", source.path, line,
                      f'engine/{here} comes before engine/{there} in engine/CMakeLists.txt: no "{name}" here')


def readmes(tree):
    for folder, sources in tree.folders.items():
        code = [source for source in sources if source.is_cpp]
        if not code or layer_of(folder + "/") is None:
            continue
        if folder.startswith("tests/"):  # one README may speak for the areas below it
            parents = [folder]
            while posixpath.dirname(parents[-1]):
                parents.append(posixpath.dirname(parents[-1]))
        else:
            parents = [folder]
        if not any(parent + "/README.md" in tree.by_path for parent in parents):
            yield Finding("readme", folder, 0, "no README.md with the paragraph a newcomer needs")
        count = sum(source.path.endswith(".cc") for source in code)
        if count > FOLDER_SOURCES_WARN and not folder.startswith("tests"):
            yield Finding("folder-size", folder, 0, f"{count} source files, aim at {FOLDER_SOURCES_WARN}", fails=False)


def registered(tree):
    """A file that no CMakeLists.txt names is neither compiled nor run, and nobody notices."""
    for source in tree.sources:
        test_script = source.under("tests") and source.name.endswith("_test.py")
        if (source.path.endswith(".cc") and layer_of(source.path)) or test_script:
            if not tree.listed(source):
                yield Finding("unlisted", source.path, 0, "no CMakeLists.txt names this file")


def test_openings(tree):
    for source in tree.sources:
        if source.under("tests") and source.name.endswith(("_test.cc", "_test.py", "_fuzz.cc")):
            opening = "\n".join(source.lines[:25])
            for word in ("Goal:", "How:"):
                if word not in opening:
                    yield Finding("test-opening", source.path, 1, f"a test opens with a comment that has '{word}'")


# Files a sentence may speak of. Prose is held to every name; a comment to documents and to names with a
# folder, because a comment may well speak of the .cc it is going to have.
NAME = r"(?<![\w./<*$@%{-])((?:\.{1,2}/)*\w[\w.-]*(?:/[\w.-]+)*\.(?:md|h|cc|py|cmake))(?![\w/*(<-])"
REFERENCE = re.compile(NAME)
FOREIGN_HEADERS = re.compile(r"^(?:\w+/)?(?:liburing|ares|mimalloc|xxhash|options|ssl|linux|sys|netinet|arpa)\b")
SYSTEM_ROOTS = ("bin", "boot", "dev", "etc", "home", "lib", "media", "mnt", "opt", "path", "proc", "root", "run",
                "sbin", "srv", "sys", "tmp", "usr", "var")
MACHINE_PATH = re.compile(r"(?<![\w./:<>)\]}\"'*\\$-])/([a-z][a-z0-9_-]+)/[\w.-]+/[\w./-]*")


def references(tree):
    """Names of files that do not exist, and paths of one particular machine: the tree stands on its own."""
    for source in tree.sources:
        prose = source.path.endswith(".md")
        if not (prose or source.is_code) or source.under("tests/tools", "tests/fuzz"):
            continue
        for number, line in enumerate(source.lines, 1):
            text = line if prose else comment_of(line, source)
            for found in REFERENCE.finditer(text):
                name = found.group(1)
                if not prose and "/" not in name and not name.endswith(".md"):
                    continue
                if is_dead(tree, source, name):
                    yield Finding("dead-reference", source.path, number, f"'{name}' is not in the tree")
            for found in MACHINE_PATH.finditer(text):
                if found.group(1) not in SYSTEM_ROOTS:
                    yield Finding("machine-path", source.path, number,
                                  f"'{found.group()}' is a path of one machine", fails=True)


def comment_of(line, source):
    found = re.search(r"//.*" if source.is_cpp else r"(?:^|\s)#(?!!).*", line)
    return found.group() if found else ""


def is_dead(tree, source, reference):
    if FOREIGN_HEADERS.match(reference) or reference in tree.tails:
        return False
    near = posixpath.normpath(posixpath.join(source.folder, reference))
    return near not in tree.by_path


def scripts(tree):
    for source in tree.sources:
        if source.text.startswith("#!") and not source.executable:
            yield Finding("script", source.path, 1, "starts with #! but is not executable")
        first = source.lines[0] if source.lines else ""
        if "python" in first or source.path.endswith(".py"):
            try:
                compile(source.text, source.path, "exec")
            except SyntaxError as error:
                yield Finding("script", source.path, error.lineno or 1, f"not Python: {error.msg}")
        elif first.startswith("#!") and first.rstrip().endswith(("bash", "sh")):
            shell = first.rstrip().split("/")[-1].split()[-1]
            run = subprocess.run([shell, "-n"], input=source.text, capture_output=True, text=True, check=False)
            if run.returncode:
                yield Finding("script", source.path, 1, run.stderr.strip().split("\n")[0])


RULES = (includes, readmes, registered, test_openings, references, scripts)
