#!/usr/bin/env python3
"""Who reads which member of the configuration's settings, asked of the compiler.

Goal: a directive that is said to work must have a reader outside of the configuration language, and one whose effect is
      still to come must have none; what the manual says about each directive is then true without anybody's care.
How:  copies the headers that declare settings into a folder, marks every member there as deprecated with its own name
      as the message, and lets the build's compiler check (not compile) each source that sluiced is linked from with
      that folder in front. Its warnings are the list of readers, exact to the type; names alone would mix up the six
      members called log_data. The table of directives names the members behind each directive (`sluice directives
      --members`).

usage: settings_reads.py --root DIR --build DIR --sluice PROGRAM [--print]
"""

import argparse
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

# Settings are declared here; nothing in these folders counts as a reader.
LANGUAGE = ("policy/config/", "policy/settings/")
HEADERS = ("policy/settings/blocks.h", "policy/settings/domain_settings.h", "policy/settings/global_settings.h",
           "policy/settings/source_settings.h", "policy/config/config.h")
READERS = ("engine/", "policy/", "net/", "tools/")
# Sources of the language that turn one member into another; a reader there is a reader of a directive that is a
# second way to say something.
FOLDERS_OF_SPELLINGS = ("policy/config/finisher.cc", "policy/config/config.cc", "policy/config/checks.cc",
                        "policy/config/loader.cc")

STRUCT = re.compile(r"^(?:struct|class) (\w+)[^;]*\{\s*$")
# A data member at the first level of a struct: two blanks, a type, a name, an initialiser or nothing.
MEMBER = re.compile(r"^  (?!using |friend |static |return |enum |struct |public:|private:|\[\[|//|})"
                    r"(\w[\w:<>, \*]*?)[ ]+(\w+)( ?= ?[^;()]*|\{[^;]*\})?;")
# The type alone on its line, the name on the next: how clang-format breaks a long declaration.
BROKEN_TYPE = re.compile(r"^  (?!//)([\w:<>, ]+[\w>])$")
BROKEN_NAME = re.compile(r"^      (\w+)( ?= ?[^;()]*|\{[^;]*\})?;")
WARNING = re.compile(r"^(.*?):(\d+):\d+: warning: '.*' is deprecated: SETTING (\S+)")


def marked(text):
    """The header with every data member marked, and the names of those members."""
    out, names, owner, before = [], [], None, None
    for line in text.split("\n"):
        if match := STRUCT.match(line):
            owner = match.group(1)
        elif line.startswith("}"):
            owner = None
        elif owner and (match := MEMBER.match(line)):
            names.append(f"{owner}::{match.group(2)}")
            line = f'  [[deprecated("SETTING {names[-1]}")]] ' + line.lstrip()
        elif owner and before is not None and (match := BROKEN_NAME.match(line)):
            names.append(f"{owner}::{match.group(1)}")
            out[-1] = f'  [[deprecated("SETTING {names[-1]}")]] ' + out[-1].lstrip()
        before = line if BROKEN_TYPE.match(line) else None
        out.append(line)
    return "\n".join(out), names


def build_overlay(root, folder):
    shutil.rmtree(folder, ignore_errors=True)
    names = []
    for header in HEADERS:
        text, found = marked((root / header).read_text())
        names += found
        target = folder / header
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return names


def compiler_of(entry, folder):
    words = shlex.split(entry["command"])
    launcher = [shutil.which("ccache")] if shutil.which("ccache") else []
    while words and (os.path.basename(words[0]) in ("ccache", "sccache", "distcc")):
        words.pop(0)
    kept, skip = [], False
    for word in words[1:]:
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MT"):
            skip = True
        elif word not in ("-c", "-MD", entry["file"]) and not word.startswith("-W"):
            kept.append(word)
    return launcher + [words[0], f"-I{folder}"] + kept + ["-fsyntax-only", "-w", "-Wdeprecated-declarations",
                                                          entry["file"]]


def ask(entry, folder, root):
    command = compiler_of(entry, folder)
    # -w would win over -Wdeprecated-declarations; the build's warnings are not the question here.
    command.remove("-w")
    done = subprocess.run(command, cwd=entry["directory"], capture_output=True, text=True,
                          env=os.environ | {"LC_ALL": "C", "CCACHE_BASEDIR": str(root), "CCACHE_NOHASHDIR": "1"})
    reads = set()
    for line in done.stderr.split("\n"):
        if match := WARNING.match(line):
            place = os.path.relpath(os.path.join(entry["directory"], match.group(1)), root)
            reads.add((match.group(3), f"{place}:{match.group(2)}"))
    if done.returncode != 0:
        errors = [line for line in done.stderr.split("\n") if "error" in line]
        raise RuntimeError(f"{entry['file']}: " + "\n".join(errors[:5]))
    return reads


def object_of(entry):
    words = shlex.split(entry["command"])
    return words[words.index("-o") + 1]


def parts_of_the_daemon(build):
    """Object files sluiced is linked from: policy that nothing in it asks for has no effect, whatever it reads."""
    done = subprocess.run(["ninja", "-C", str(build), "-t", "inputs", "bin/sluiced"], capture_output=True, text=True,
                          check=True)
    return {line.strip() for line in done.stdout.split("\n") if line.strip().endswith(".o")}


def strangers(build):
    """Object files that ninja knows to be made without any settings header."""
    done = subprocess.run(["ninja", "-C", str(build), "-t", "deps"], capture_output=True, text=True)
    out, target, knows = set(), None, True
    for line in done.stdout.split("\n"):
        if line.startswith("    "):
            knows = knows or line.endswith(HEADERS)
        elif match := re.match(r"(\S+): #deps \d+.*\(VALID\)", line):
            target, knows = match.group(1), False
        elif target and not knows:
            out.add(target)
            target = None
    return out


def readers(root, build, folder):
    """member -> places that read it; second: the same within the language's own finishing sources."""
    entries = json.loads((build / "compile_commands.json").read_text())
    wanted, without, parts = [], strangers(build), parts_of_the_daemon(build)
    for entry in entries:
        path = os.path.relpath(entry["file"], root)
        if path.startswith(READERS) and (not path.startswith(LANGUAGE) or path in FOLDERS_OF_SPELLINGS):
            if object_of(entry) not in without and object_of(entry) in parts:
                wanted.append(entry)
    if len(wanted) < 20:
        raise RuntimeError(f"only {len(wanted)} sources in {build}/compile_commands.json: is the build configured?")
    outside, inside = {}, {}
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for reads in pool.map(lambda entry: ask(entry, folder, root), wanted):
            for member, place in reads:
                if "settings_reads/" in place:
                    continue  # a default, a comparison or a small member function of the settings themselves
                if not place.startswith(LANGUAGE):
                    outside.setdefault(member, set()).add(place)
                elif place.startswith(FOLDERS_OF_SPELLINGS):
                    inside.setdefault(member, set()).add(place)
    return outside, inside


def works_elsewhere(row, rows):
    """The same member in another block: a virtual MTA's limit may work before a pool's does."""
    return any(other["members"] == row["members"] and other["state"] == "works" for other in rows)


def judge(rows, outside, inside, known):
    """One sentence for each directive whose state is not what the sources say."""
    for row in rows:
        where = f"{row['name']} in {row['scope']}"
        unknown = [member for member in row["members"] if member not in known]
        if unknown:
            yield f"{where}: the table names {unknown[0]}, which no settings header declares"
            continue
        if row["state"] != "out" and not row["members"] and not row["by_loader"]:
            yield f"{where}: the table does not say which member it fills; give the row its .member"
            continue
        if not row["members"]:
            continue
        read = all(member in outside for member in row["members"])
        folded = all(member in outside or member in inside for member in row["members"])
        if row["state"] == "works" and not (read or row["folded"] and folded):
            missing = [member for member in row["members"] if member not in outside]
            yield (f"{where} is said to work, but nothing reads {missing[0]}: read it, or list the directive in "
                   "policy/config/rows/states.cc with the capability it waits for")
        if row["state"] == "to come" and read and not row["refused"] and not works_elsewhere(row, rows):
            place = sorted(outside[row["members"][-1]])[0]
            yield (f"{where} waits for {row['waits_for']}, but {place} reads {row['members'][-1]}: when the directive "
                   "does what it says, take its line out of policy/config/rows/states.cc; until then do not read it")
        if row["state"] == "out" and read:
            yield f"{where} is said to be out, but {sorted(outside[row['members'][-1]])[0]} reads it"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True, type=Path)
    parser.add_argument("--build", required=True, type=Path)
    parser.add_argument("--sluice", type=Path)
    parser.add_argument("--print", action="store_true", help="print the members and who reads them, judge nothing")
    options = parser.parse_args()
    root, build = options.root.resolve(), options.build.resolve()
    folder = build / "settings_reads"
    known = set(build_overlay(root, folder))
    outside, inside = readers(root, build, folder)
    if options.print:
        for member in sorted(known):
            print(member, *sorted(outside.get(member, [])), *(f"({p})" for p in sorted(inside.get(member, []))))
        return 0
    table = subprocess.run([options.sluice, "directives", "--members"], capture_output=True, text=True, check=True)
    rows = json.loads(table.stdout)
    complaints = list(judge(rows, outside, inside, known))
    for complaint in complaints:
        print(complaint)
    print(f"{len(rows)} directives, {len(known)} members, {len(outside)} of them read, {len(complaints)} complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
