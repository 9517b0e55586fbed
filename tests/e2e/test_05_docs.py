"""The documentation says what the programs do: every command and every option has its place in docs/commands."""
import re
import subprocess

import pytest

from conftest import BUILD, ROOT, SLIPWAY


def run(*args):
    return subprocess.run([SLIPWAY, *args], capture_output=True, text=True, timeout=20)


def commands():
    out = run("help").stdout
    return re.findall(r"^  (\w[\w-]*) ", out.split("Commands:")[1], re.M)


def test_help_lists_the_commands():
    assert {"up", "server", "edge", "runner", "admin", "backup", "restore"} <= set(commands())


def test_an_unknown_command_or_option_says_so():
    done = run("sevrer")
    assert done.returncode == 2 and "sevrer" in done.stderr and "slipway help" in done.stderr
    done = run("up", "--prot", "1")
    assert done.returncode == 2 and "--prot" in done.stderr and "slipway up --help" in done.stderr


@pytest.mark.parametrize("name", ["up", "server", "edge", "runner", "backup", "restore"])
def test_every_option_is_documented(name):
    helped = run(name, "--help")
    assert helped.returncode == 0, helped.stderr
    page = (ROOT / f"docs/commands/{name}.md").read_text()
    options = set(re.findall(r"^\s+(--[a-z][a-z0-9-]*)", helped.stdout, re.M))
    assert options, helped.stdout
    undocumented = {o for o in options if f"`{o}" not in page}
    assert not undocumented, f"docs/commands/{name}.md does not mention {undocumented}"
    unknown = {o for o in re.findall(r"`(--[a-z][a-z0-9-]*)", page)} - options - {"--help"}
    assert not unknown, f"docs/commands/{name}.md mentions {unknown}, which slipway {name} does not have"


def test_admin_actions_are_documented():
    page = (ROOT / "docs/commands/admin.md").read_text()
    for action in ("token", "password", "user"):
        for option in re.findall(r"^\s+(--[a-z-]+)", run("admin", action, "--help").stdout, re.M):
            assert f"`{option}" in page, f"{action} {option}"


def test_links_between_the_pages_lead_somewhere():
    bad = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            if "://" not in target and not (page.parent / target).exists():
                bad.append(f"{page.relative_to(ROOT)} -> {target}")
    assert not bad


def ci_words():
    """What the tables of src/ci accept, and what they know but refuse."""
    taken, refused = set(), set()
    for source in (ROOT / "src/ci").glob("*.c"):
        text = source.read_text()
        for table in re.findall(r"struct ci_key [A-Z_]+\[\] = \{(.*?)\};", text, re.S):
            for name, supported in re.findall(r'\{"(\w+)", (true|false)\}', table):
                (taken if supported == "true" else refused).add(name)
        table = re.search(r"\} KEYWORDS\[\] = \{(.*?)\n\};", text, re.S)
        for name, kw in re.findall(r'\{"(\w+)", (-1|CI_KW_\w+),', table.group(1) if table else ""):
            (refused if kw == "-1" else taken).add(name)
    return taken, refused


def test_every_keyword_is_documented():
    taken, refused = ci_words()
    assert {"script", "rules", "on_new_commit", "expire_in", "if"} <= taken, taken
    assert {"include", "parallel", "reports"} <= refused, refused
    parts = re.split(r"\n\n", (ROOT / "docs/ci.md").read_text())
    words = lambda ps: set(re.findall(r"`([a-z_]+)`", "\n".join(ps)))
    absent = words(p for p in parts if p.startswith("Not there yet"))
    present = words(p for p in parts if p.startswith("|"))
    assert not taken - present, f"docs/ci.md does not mention {taken - present}"
    assert not refused - absent, f"docs/ci.md does not say that {refused - absent} is not there yet"
    known = refused | {"default", "rules", "only", "except", "artifacts", "needs", "pages"}
    assert not absent - known, f"docs/ci.md says that {absent - known} is not there; the code does not know it"


def test_every_predefined_variable_is_documented():
    page = (ROOT / "docs/ci.md").read_text()
    names = set(re.findall(r'"((?:CI|GITLAB)_[A-Z0-9_]+)"', (ROOT / "src/ci/variables.c").read_text()))
    names |= set(re.findall(r'setf?\(w, "(CI_[A-Z_]+)"', (ROOT / "src/runner/build.c").read_text()))
    assert len(names) > 60, names
    missing = {n for n in names if f"`{n}`" not in page}
    assert not missing, f"docs/ci.md does not mention {missing}"
    unknown = set(re.findall(r"`((?:CI|GITLAB)_[A-Z0-9_]+)`", page)) - names
    assert not unknown, f"docs/ci.md mentions {unknown}, which no job gets"
