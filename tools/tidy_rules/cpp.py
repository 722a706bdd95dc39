"""Rules about C++ text: what may be said where."""

import re

from .source import Finding

# What only engine/runtime may do: everything above it also runs in a simulated world, which owns time and
# chance. Each row: rule, pattern, what to do instead, and the folders it binds. Tests may start threads
# (ThreadSanitizer needs them) but never wait for real time; tools and bench may read a clock where a person
# looks at the result.
PURE = ("policy", "net")
ABOVE_RUNTIME = ("policy", "net", "engine")
PROGRAMS = ("policy", "net", "engine", "bench", "tools")
EVERYWHERE = ("policy", "net", "engine", "bench", "tools", "tests")
BANS = (
    ("mutex", r"\bstd::(?:shared_|recursive_|timed_)?mutex\b|\bpthread_mutex",
     "state belongs to one shard; post a message", PROGRAMS),
    ("thread", r"\bstd::j?thread\b|\bpthread_create\b|\bstd::async\b",
     "threads are engine/runtime's", PROGRAMS),
    ("sleep", r"(?<![\w.>])(?:std::this_thread::sleep_\w+|(?:::)?(?:u|nano)?sleep)\s*\(",
     "waiting on real time; use the reactor's timers or the simulated clock", EVERYWHERE),
    ("clock", r"\b(?:system|steady|high_resolution)_clock::now\b|\bgettimeofday\s*\(|\bclock_gettime\s*\("
     r"|(?<![\w.>:])(?:std::|::)?time\s*\(\s*(?:nullptr|NULL|0)\s*\)",
     "time is read from the reactor", ABOVE_RUNTIME),
    ("random", r"(?<![\w.>:])(?:std::|::)?s?rand\s*\(|\bstd::random_device\b|\barc4random"
     r"|\bgetrandom\s*\(", "chance is read from the reactor", EVERYWHERE),
    # A line that makes a unique_ptr may say new: that is how a private constructor is reached.
    ("raw-new", r"(?m)^(?![^\n]*unique_ptr<)[^\n]*?(?<![\w.>:])new\s+(?!\()[\w:]"
     r"|(?<!operator)(?<!=)\s\bdelete(?:\s*\[\s*\])?\s+\w", "own by value or std::make_unique", EVERYWHERE),
    ("regex", r"\bstd::regex\b", "backtracks without bound; RE2 or a hand-written parser", EVERYWHERE),
    ("c-string", r"(?<![\w.>:])(?:std::|::)?(?:strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|strtok)\s*\(",
     "no bounds or no errors; use std::string_view, std::from_chars, fmt", EVERYWHERE),
    ("using-namespace", r"\busing\s+namespace\s+std\s*;", "names the whole library", EVERYWHERE),
)
# The seam itself, and the one place where the world is made.
RUNTIME = ("engine/runtime",)

# Headers that bring system calls, clocks or streams into layers that have none.
HEADER_BANS = (
    (PURE, re.compile(
        r"<(?:unistd|fcntl|poll|signal|dirent|pthread|liburing|time|sys/(?:socket|stat|mman|epoll|uio|time))\.h>"
        r"|<(?:thread|mutex|condition_variable|future|random|fstream|iostream|filesystem|ctime|csignal)>"),
     "policy and net are pure: no I/O, no clock, no thread"),
    (("engine",), re.compile(
        r"<(?:unistd|fcntl|poll|pthread|liburing|sys/(?:epoll|mman|stat|uio))\.h>"
        r"|<(?:thread|mutex|condition_variable|future|random|fstream|iostream|filesystem)>"),
     "only engine/runtime speaks to the system"),
)
# A failed assertion has to be written without any library; an address has to become a sockaddr somewhere.
HEADER_EXCUSED = {"policy/base/assert.cc": "<unistd.h>", "policy/base/ip_address.cc": "<sys/socket.h>"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?P<name>"[^"\n]+"|<[^>\n]+>)', re.MULTILINE)


def bans(source):
    if not source.is_cpp or source.under(*RUNTIME):
        return
    for rule, pattern, instead, folders in BANS:
        if not source.under(*folders):
            continue
        for found in re.finditer(pattern, source.cpp):
            line = source.line_of(found.start() + len(found.group()) - len(found.group().lstrip()))
            yield Finding(rule, source.path, line, f"'{found.group().strip()}' here: {instead}")


def system_headers(source):
    if not source.is_cpp or source.under(*RUNTIME):
        return
    for folders, pattern, why in HEADER_BANS:
        if not source.under(*folders):
            continue
        for found in INCLUDE.finditer(source.text):
            name = found.group("name")
            if pattern.match(name) and HEADER_EXCUSED.get(source.path) != name:
                yield Finding("system-header", source.path, source.line_of(found.start("name")),
                              f"#include {name}: {why}")


LAMBDA_TAIL = re.compile(r"(?:\s|mutable|noexcept|static|constexpr|->[\w:<>,&*\s()]+?(?=\{)|requires[^{]*)*\{")
LAMBDA_START = re.compile(r"\[(?P<captures>[^\[\]]*)\]")
COROUTINE = re.compile(r"\bco_(?:await|return|yield)\b")


def matching(text, start, opening, closing):
    """Offset just behind the bracket that closes the one at `start`, or None."""
    depth = 0
    for offset in range(start, len(text)):
        if text[offset] == opening:
            depth += 1
        elif text[offset] == closing:
            depth -= 1
            if depth == 0:
                return offset + 1
    return None


def lambda_bodies(text):
    """Yields (start, captures, body_start, body_end) of every lambda in blanked C++ text, outer ones first."""
    for found in LAMBDA_START.finditer(text):
        before = text[:found.start()].rstrip()[-1:]
        if before and (before.isalnum() or before in '_)]"'):
            # A subscript, or `return [x]`/`co_await [x]`, which are the only words a lambda may follow.
            word = re.search(r"(\w+)\s*$", text[:found.start()])
            if not word or word.group(1) not in ("return", "co_return", "co_await", "co_yield", "else", "case"):
                continue
        if text[found.end():found.end() + 1] == "]" or text[found.start() - 1:found.start()] == "[":
            continue  # [[attribute]]
        at = found.end()
        while True:
            at += len(text[at:]) - len(text[at:].lstrip())
            if text[at:at + 1] == "(":
                at = matching(text, at, "(", ")")
            elif text[at:at + 1] == "<":
                at = matching(text, at, "<", ">")
            else:
                break
            if at is None:
                return
        tail = LAMBDA_TAIL.match(text, at)
        if not tail:
            continue
        end = matching(text, tail.end() - 1, "{", "}")
        if end:
            yield found.start(), found.group("captures"), tail.end(), end - 1


def capturing_coroutines(source):
    """The captures die with the lambda object, while the coroutine frame only keeps a reference to it."""
    if not source.is_cpp or not COROUTINE.search(source.cpp):
        return
    lambdas = list(lambda_bodies(source.cpp))
    for start, captures, body_start, body_end in lambdas:
        if not captures.strip():
            continue
        body = list(source.cpp[body_start:body_end])
        for inner_start, _, inner_from, inner_to in lambdas:
            if body_start <= inner_start and inner_to < body_end:
                body[inner_from - body_start:inner_to - body_start] = " " * (inner_to - inner_from)
        if COROUTINE.search("".join(body)):
            yield Finding("lambda-coroutine", source.path, source.line_of(start),
                          "a lambda with captures is a coroutine; pass the values as parameters")


AWAIT = re.compile(r"\bco_await\b")
# What may stand before the brace of a block; before any other brace stands a value to be initialised.
BLOCK_AHEAD = re.compile(r"(?:[);:{}>\]]|\b(?:else|do|try|const|noexcept|override|final|mutable))\s*$")
AWAIT_ADVICE = "g++ 12 compiles that wrongly; await into a variable of its own first"


def statement_around(text, at):
    """Start and end of the statement around `at`, by ; and the braces of blocks."""
    depth, start = 0, at
    while start > 0:
        before = text[start - 1]
        if before in ")]}" and not (before == "}" and depth == 0):
            depth += 1
        elif depth and before in "([{":
            depth -= 1
        elif depth == 0 and before in ";}":
            break
        elif before == "{" and BLOCK_AHEAD.search(text[:start - 1][-200:]):
            break
        start -= 1
    depth, end = 0, at
    while end < len(text):
        if text[end] in "([{":
            if text[end] == "{" and depth <= 0:
                break
            depth += 1
        elif text[end] in ")]}":
            depth -= 1
        elif text[end] == ";" and depth <= 0:
            break
        end += 1
    return start, end


def await_places(source):
    """Where g++ 12, which has to build this too, destroys temporaries twice or makes a trap of a loop."""
    if not source.is_cpp:
        return
    text = source.cpp
    for found in AWAIT.finditer(text):
        line = source.line_of(found.start())
        start, end = statement_around(text, found.start())
        ahead = text[start:found.start()]
        rest = list(text[start:end])
        for lambda_start, captures, body_start, body_end in lambda_bodies(text[start:end]):
            if lambda_start > found.start() - start and "=" in captures:
                yield Finding("await-place", source.path, line,
                              f"a lambda beside co_await that owns '{captures.strip()}' ({AWAIT_ADVICE})")
            if not body_start <= found.start() - start < body_end:
                rest[body_start:body_end] = " " * (body_end - body_start)
        if "?" in "".join(rest):
            yield Finding("await-place", source.path, line, f"co_await beside ?: ({AWAIT_ADVICE})")
        elif re.search(r"\bwhile\s*\(\s*!?\s*$", ahead):
            yield Finding("await-place", source.path, line, f"co_await as a loop's condition ({AWAIT_ADVICE})")
        elif ahead.count("{") > ahead.count("}"):
            yield Finding("await-place", source.path, line, f"co_await within initialising braces ({AWAIT_ADVICE})")


UNIT_PARAMETER = re.compile(r"\b(?:unsigned|int|long|(?:std::)?u?int\d+_t|(?:std::)?size_t)\s+"
                            r"(\w*_(?:ms|msec|sec|secs|seconds|minutes|usec|us|ns))\b")
VAGUE_TYPE = re.compile(r"\b(?:class|struct)\s+(\w*(?:Manager|Helper|Util|Utils|Handler\d))\b(?!\s*;)")


def headers(source):
    """What every header of the layers owes its reader."""
    if not source.is_header:
        return
    if not re.match(r"(?:\s*//[^\n]*\n|\s*/\*.*?\*/)*\s*#pragma once", source.text, re.DOTALL):
        yield Finding("pragma-once", source.path, 1, "a header begins with #pragma once")
    for found in UNIT_PARAMETER.finditer(source.cpp):
        yield Finding("bare-unit", source.path, source.line_of(found.start()),
                      f"a bare integer for time: '{found.group(1)}'; use Duration or WallTime", fails=False)
    for found in VAGUE_TYPE.finditer(source.cpp):
        yield Finding("vague-name", source.path, source.line_of(found.start()),
                      f"'{found.group(1)}' does not say what it is", fails=False)
    # A class with behaviour has a contract; plain structs, enums and free functions are values.
    if source.under("engine", "net") and re.search(r"^\s*class\s+\w+[^;]*?\{", source.cpp, re.MULTILINE):
        if not re.search(r"\bThread:|\bThreads:", source.text):
            yield Finding("thread-line", source.path, 0, "declares a class but no 'Thread:' line says where it lives")


SHARED_PTR = re.compile(r"\bstd::(?:shared_ptr|make_shared)\b")


def shared_pointers(source):
    if not source.is_cpp or not source.under("policy", "net", "engine"):
        return
    for found in SHARED_PTR.finditer(source.cpp):
        line = source.line_of(found.start())
        if not any("//" in source.lines[at - 1] for at in (line, max(line - 1, 1))):
            yield Finding("shared-ptr", source.path, line, "shared ownership without a comment that says why",
                          fails=False)


RULES = (bans, system_headers, capturing_coroutines, await_places, headers, shared_pointers)
