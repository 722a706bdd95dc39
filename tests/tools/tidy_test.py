#!/usr/bin/env python3
# Goal: every rule of tools/tidy fires on a bad sample, at the right line, and stays silent on the good twin.
# How: each case is a tiny tree written to a temporary folder; the whole checker runs over it. Only the rule
# under test is looked at, so that a sample may be three lines long.

import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def load_tidy():
    path = os.path.join(ROOT, "tools", "tidy")
    loader = importlib.machinery.SourceFileLoader("tidy", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy", loader))
    loader.exec_module(module)
    return module


TIDY = load_tidy()
ONCE = "#pragma once\n"
ORDER = {"engine/CMakeLists.txt": "add_subdirectory(runtime)\n"
         "foreach(folder spool queue)\n  add_subdirectory(${folder})\nendforeach()\n"}

# (rule, bad tree, path and line the finding names, good tree). A tree is {path: text}.
CASES = [
    ("file-size", {"net/a.cc": "int a;\n" * 801}, ("net/a.cc", 0), {"net/a.cc": "int a;\n" * 400}),
    ("line-length", {"net/a.cc": "\n// " + "x" * 118 + "\n"}, ("net/a.cc", 2), {"net/a.cc": "// " + "x" * 107 + "\n"}),
    ("line-length", {"net/a.cc": "// clang-format off\n// clang-format on\n// " + "x" * 118 + "\n"}, ("net/a.cc", 3),
     {"net/a.cc": "// clang-format off\n// " + "x" * 118 + "\n// clang-format on\n"}),
    ("whitespace", {"net/a.cc": "int a; \n"}, ("net/a.cc", 1), {"net/a.cc": "int a;\n"}),
    ("whitespace", {"net/a.cc": "int a;\n\tint b;\n"}, ("net/a.cc", 2), {"net/a.cc": "  int b;\n"}),
    ("whitespace", {"net/a.cc": "int a;"}, ("net/a.cc", 1), {"net/a.cc": "int a;\n"}),
    ("todo", {"net/a.cc": "// TODO: later\n"}, ("net/a.cc", 1), {"net/a.cc": "// TODO(perf): batch the sends\n"}),
    ("todo", {"net/a.cc": "// TODO(me): later\n"}, ("net/a.cc", 1), {"net/a.cc": "// a todo list\n"}),
    ("todo", {"net/a.cc": "// FIXME(soon): x\n"}, ("net/a.cc", 1), {"net/a.cc": "int hacked;\n"}),
    # What only the runtime may do.
    ("mutex", {"engine/queue/a.cc": "std::mutex m;\n"}, ("engine/queue/a.cc", 1),
     {"engine/runtime/a.cc": "std::mutex m;\n", "net/a.cc": "// std::mutex is banned\n"}),
    ("thread", {"bench/a.cc": "std::thread t;\n"}, ("bench/a.cc", 1), {"tests/a.cc": "std::thread t;\n"}),
    ("sleep", {"tests/a.cc": "\nsleep(1);\n"}, ("tests/a.cc", 2), {"tests/a.cc": "reactor.sleep(1s);\n"}),
    ("sleep", {"net/a.cc": "std::this_thread::sleep_for(1s);\n"}, ("net/a.cc", 1), {"net/a.cc": "world->sleep(1s);\n"}),
    ("clock", {"policy/a.cc": "auto t = std::chrono::steady_clock::now();\n"}, ("policy/a.cc", 1),
     {"tools/a.cc": "auto t = std::chrono::steady_clock::now();\n", "policy/a.cc": "auto t = reactor.now();\n"}),
    ("clock", {"engine/queue/a.cc": "auto t = time(nullptr);\n"}, ("engine/queue/a.cc", 1),
     {"engine/queue/a.cc": "auto t = record.time(0);\n"}),
    ("random", {"net/a.cc": "int x = std::rand();\n"}, ("net/a.cc", 1), {"net/a.cc": "int x = operand(1);\n"}),
    ("raw-new", {"net/a.cc": "auto* a = new Thing(1);\n"}, ("net/a.cc", 1), {"net/a.cc": "new (place) Thing(1);\n"}),
    ("raw-new", {"net/a.cc": "take(new Thing(1));\n"}, ("net/a.cc", 1),
     {"net/a.cc": "return std::unique_ptr<Thing>(new Thing(1));\n"}),
    ("raw-new", {"net/a.cc": "int a;\n delete thing;\n"}, ("net/a.cc", 2),
     {"net/a.cc": "A(const A&) = delete;\nvoid operator delete(void* p);\n"}),
    ("regex", {"bench/a.cc": "std::regex r;\n"}, ("bench/a.cc", 1), {"bench/a.cc": "RE2 r;\n"}),
    ("c-string", {"net/a.cc": "int x = atoi(text);\n"}, ("net/a.cc", 1), {"net/a.cc": 'auto x = "atoi(text)";\n'}),
    ("system-header", {"net/a.cc": "#include <vector>\n#include <unistd.h>\n"}, ("net/a.cc", 2),
     {"engine/runtime/a.cc": "#include <unistd.h>\n", "net/a.cc": "#include <vector>\n"}),
    ("system-header", {"engine/queue/a.cc": "#include <liburing.h>\n"}, ("engine/queue/a.cc", 1),
     {"engine/queue/a.cc": "#include <chrono>\n"}),
    # Lambdas whose captures die before the coroutine does.
    ("lambda-coroutine", {"net/a.cc": "void f() {\n  auto t = [&]() -> Task<int> { co_return 1; };\n}\n"},
     ("net/a.cc", 2), {"net/a.cc": "void f() {\n  auto t = [](int& x) -> Task<int> { co_return x; };\n}\n"}),
    ("await-place", {"net/a.cc": "int f() {\n  Options o{.a = 1,\n            .b = co_await g()};\n}\n"},
     ("net/a.cc", 3),
     {"net/a.cc": "int f() {\n  auto b = co_await g({.c = 1});\n  Options o{.a = 1, .b = b};\n}\n"}),
    ("await-place", {"net/a.cc": "int f() {\n  auto a = yes ? co_await g() : 0;\n}\n"}, ("net/a.cc", 2),
     {"net/a.cc": "int f() {\n  int a = yes ? 1 : 0;\n  a = co_await g([](int b) { return b ? 1 : 2; });\n}\n"}),
    ("await-place", {"net/a.cc": "int f() {\n  co_await g([a = b_] { h(a); });\n}\n"}, ("net/a.cc", 2),
     {"net/a.cc": "int f() {\n  auto h = [a = b_] { k(a); };\n  co_await g(h);\n}\n"}),
    ("await-place", {"net/a.cc": "int f() {\n  while (co_await g()) h();\n}\n"}, ("net/a.cc", 2),
     {"net/a.cc": "int f() {\n  while (!done) co_await g();\n}\n"}),
    ("lambda-coroutine", {"tests/a.cc": "run([this] { co_await g(); });\n"}, ("tests/a.cc", 1),
     {"tests/a.cc": "Task<int> f() { co_await g([&] { return 1; }); values[index] = co_await h(); }\n"}),
    ("lambda-coroutine", {"net/a.cc": "auto a = [x = std::move(y)](auto z) mutable { if (z) { co_await x; } };\n"},
     ("net/a.cc", 1), {"net/a.cc": "auto a = [&] { return [](int v) -> Task<int> { co_return v; }(1); };\n"}),
    ("pragma-once", {"net/a.h": "// text\nint a;\n"}, ("net/a.h", 1), {"net/a.h": "// text\n#pragma once\n"}),
    ("thread-line", {"net/a.h": ONCE + "class A {\n};\n"}, ("net/a.h", 0),
     {"net/a.h": ONCE + "/// Thread: any.\nclass A {\n};\n", "net/b.h": ONCE + "struct B {};\nenum class C { X };\n"}),
    ("bare-unit", {"net/a.h": ONCE + "void f(int timeout_ms);\n"}, ("net/a.h", 2),
     {"net/a.h": ONCE + "void f(Duration timeout);\n"}),
    ("vague-name", {"net/a.h": ONCE + "class QueueManager {};\n"}, ("net/a.h", 2), {"net/a.h": ONCE}),
    ("shared-ptr", {"net/a.cc": "int x;\nstd::shared_ptr<int> a;\n"}, ("net/a.cc", 2),
     {"net/a.cc": "// Shared because every shard holds a snapshot.\nstd::shared_ptr<int> a;\n"}),
    # Layers.
    ("layer", {"net/a.cc": '#include "policy/limits/b.h"\n', "policy/limits/b.h": ONCE}, ("net/a.cc", 1),
     {"net/a.cc": '#include "policy/base/b.h"\n', "policy/base/b.h": ONCE}),
    ("layer", {"policy/a.cc": '#include "net/b.h"\n', "net/b.h": ONCE}, ("policy/a.cc", 1),
     {"policy/a.cc": '#include "policy/base/b.h"\n', "policy/base/b.h": ONCE}),
    ("layer", {"policy/base/a.cc": '#include "policy/b.h"\n', "policy/b.h": ONCE}, ("policy/base/a.cc", 1), {}),
    ("layer", {"bench/a.cc": '#include "tools/b.h"\n', "tools/b.h": ONCE}, ("bench/a.cc", 1), {}),
    ("layer", {"engine/a.cc": '#include "tests/b.h"\n', "tests/b.h": ONCE}, ("engine/a.cc", 1),
     {"tests/a.cc": '#include "tests/b.h"\n', "tests/b.h": ONCE}),
    ("layer", {**ORDER, "engine/spool/a.cc": '#include "engine/queue/b.h"\n', "engine/queue/b.h": ONCE},
     ("engine/spool/a.cc", 1),
     {**ORDER, "engine/queue/a.cc": '#include "engine/spool/b.h"\n', "engine/spool/b.h": ONCE}),
    ("include-path", {"net/x/a.cc": '#include "b.h"\n', "net/x/b.h": ONCE}, ("net/x/a.cc", 1),
     {"net/x/a.cc": '#include "net/x/b.h"\n', "net/x/b.h": ONCE}),
    # What folders and tests need.
    ("readme", {"net/x/a.cc": "int a;\n"}, ("net/x", 0), {"net/x/a.cc": "int a;\n", "net/x/README.md": "Text.\n"}),
    ("readme", {"tests/net/a.cc": "int a;\n"}, ("tests/net", 0), {"tests/net/a.cc": "", "tests/README.md": "Text.\n"}),
    ("unlisted", {"tests/net/a_test.cc": "", "tests/net/CMakeLists.txt": "# a_test.cc\n"}, ("tests/net/a_test.cc", 0),
     {"tests/net/a_test.cc": "", "tests/net/CMakeLists.txt": "sluice_test(a SOURCES a_test.cc)\n"}),
    ("unlisted", {"net/b.cc": "", "net/CMakeLists.txt": "sluice_library(a SOURCES ab.cc)\n"}, ("net/b.cc", 0),
     {"net/x/b.cc": "", "net/CMakeLists.txt": "sluice_library(a SOURCES x/b.cc)\n"}),
    ("test-opening", {"tests/a_test.cc": "// Goal: x\n"}, ("tests/a_test.cc", 1),
     {"tests/a_test.cc": "// Goal: x\n// How: y\n"}),
    # The tree stands on its own.
    ("dead-reference", {"docs/a.md": "See notes/limits.md.\n"}, ("docs/a.md", 1),
     {"docs/a.md": "See limits.md.\n", "docs/deep/limits.md": "Text.\n"}),
    ("dead-reference", {"net/a.cc": "int a;  // ../elsewhere/design.md\n"}, ("net/a.cc", 1),
     {"net/a.cc": "// reply.cc will have it\n"}),
    ("machine-path", {"docs/a.md": "It is in /data/build/tree now.\n"}, ("docs/a.md", 1),
     {"docs/a.md": "It is in /var/spool/sluice, see https://example.com/data/build/tree.\n"}),
    ("script", {"tools/a": "#!/bin/bash\nif true\n"}, ("tools/a", 1), {}),
    ("script", {"tools/a.py": "def f(:\n"}, ("tools/a.py", 1), {"tools/a.py": "def f(): pass\n"}),
]


def findings(rule, tree):
    with tempfile.TemporaryDirectory() as root:
        for path, text in tree.items():
            full = os.path.join(root, path)
            os.makedirs(os.path.dirname(full), exist_ok=True)
            with open(full, "w", encoding="utf-8") as file:
                file.write(text)
            if text.startswith("#!"):
                os.chmod(full, 0o755)
        return [(f.path, f.line) for f in TIDY.check(root) if f.rule == rule]


class Tidy(unittest.TestCase):
    def test_every_bad_sample_is_found_once(self):
        for row, (rule, bad, where, _) in enumerate(CASES):
            with self.subTest(rule=rule, row=row):
                self.assertEqual(findings(rule, bad), [where])

    def test_every_good_twin_is_silent(self):
        for row, (rule, _, _, good) in enumerate(CASES):
            with self.subTest(rule=rule, row=row):
                self.assertEqual(findings(rule, good), [])

    def test_an_excuse_needs_the_rule_and_a_reason(self):
        line = "std::mutex m;"
        for comment, silent in [
            ("// tidy: allow mutex: guards the log of a crashed process", True),
            ("// tidy: allow mutex:", False),
            ("// tidy: allow thread: guards the log", False),
        ]:
            with self.subTest(comment=comment):
                for text in (f"{line}  {comment}\n", f"{comment}\n{line}\n"):
                    self.assertEqual(findings("mutex", {"net/a.cc": text}) == [], silent)

    def test_a_script_that_cannot_be_run_is_found(self):
        with tempfile.TemporaryDirectory() as root:
            with open(os.path.join(root, "a"), "w", encoding="utf-8") as file:
                file.write("#!/bin/sh\ntrue\n")
            self.assertEqual([f.rule for f in TIDY.check(root)], ["script"])

    def test_literals_and_comments_do_not_count(self):
        text = 'auto a = R"(std::mutex)"; auto b = "std::mutex"; /* std::mutex\n */ int c = 1\'000;\nstd::mutex m;\n'
        self.assertEqual(findings("mutex", {"net/a.cc": text}), [("net/a.cc", 3)])


if __name__ == "__main__":
    unittest.main()
