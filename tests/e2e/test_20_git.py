"""Git over HTTP with the real git program as the client, against a server that has the Git face alone."""
import base64
import contextlib
import gzip
import hashlib
import http.client
import os
import pathlib
import random
import re
import signal
import socket
import sqlite3
import stat
import struct
import subprocess
import threading
import time
import zlib

import pytest

from conftest import BUILD, commit_files, git, wait_until

SERVER = BUILD / "tests/unit/githttp/git_server"
ZERO = "0" * 40


class GitServer:
    """tests/lib/git_server.c: start(), kill() and start() again at will; the state folder stays."""

    def __init__(self, state, program=None, env=None):
        self.state = pathlib.Path(state)
        self.state.mkdir(parents=True, exist_ok=True)
        self.program, self.env = program, env or {}
        self.process, self.lines = None, []
        self.log = self.state.parent / f"{self.state.name}.log"

    def start(self, seconds=30):
        args = [SERVER, self.state] + ([self.program] if self.program else [])
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL,
                                            text=True, env={**os.environ, **self.env}, start_new_session=True)
        self.port = None
        self.reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self.reader.start()
        wait_until(lambda: self.port or self.process.poll() is not None, seconds, "the server listens")
        assert self.port, self.log.read_text()
        self.seed = dict(line.split("=", 1) for line in (self.state / "seed").read_text().split())
        return self

    def _read(self, stream):
        for line in stream:
            if line.startswith("port="):
                self.port = int(line[5:])
            elif line.startswith("event "):
                self.lines.append(line.rstrip("\n").split(" ", 6))

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(30) == 0, self.log.read_text()[-4000:]
        if self.process:
            self.reader.join(5)
        self.process = None
        text = self.log.read_text()
        assert "AddressSanitizer" not in text and "runtime error:" not in text, text[-6000:]

    def kill(self):
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def url(self, project, user=None, password=None):
        who = f"{user}:{password or self.seed.get(user) or f'pw-of-{user}-1'}@" if user else ""
        return f"http://{who}127.0.0.1:{self.port}/{project}.git"

    def events(self, ref=None):
        return [line for line in self.lines if ref is None or line[2] == ref]

    def request(self, method, path, user=None, password=None, body=None, headers=None):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = dict(headers or {})
        if user:
            pair = f"{user}:{password or f'pw-of-{user}-1'}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode()
        c.request(method, path, body=body, headers=headers)
        r = c.getresponse()
        r.text = r.read()
        c.close()
        return r

    def git_children(self):
        """Processes the server started that still run."""
        found = []
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[1]) == self.process.pid and fields[0] != "Z":
                found.append(int(entry.name))
        return found


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    s = GitServer(tmp_path_factory.mktemp("git") / "state").start()
    yield s
    s.stop()


@pytest.fixture
def own_server(tmp_path):
    started = []

    def make(program=None, env=None):
        started.append(GitServer(tmp_path / "state", program, env))
        return started[-1]
    yield make
    for s in started:
        s.stop()


@pytest.fixture(scope="module")
def filled(server, tmp_path_factory):
    """owner/open has history, a topic branch, tags and a file; returns its work tree."""
    work = tmp_path_factory.mktemp("filled") / "work"
    for i in range(5):
        commit_files(work, {"README.md": f"round {i}\n", f"file{i}.txt": "text\n" * 100}, f"Commit {i}")
    git("branch", "topic", "HEAD~2", cwd=work)
    git("tag", "light", cwd=work)
    git("tag", "-a", "-m", "A release", "v1", "HEAD~1", cwd=work)
    git("push", "-q", server.url("owner/open", "owner"), "--all", cwd=work)
    git("push", "-q", server.url("owner/open", "owner"), "--tags", cwd=work)
    return work


def new_work(tmp_path, server, project="owner/closed", user="owner", branch=None):
    """A work tree with one commit on a branch of its own name, and its remote set."""
    work = tmp_path / f"work-{random.randrange(1 << 40):x}"
    commit_files(work, {"name.txt": work.name})
    branch = branch or work.name
    git("checkout", "-q", "-B", branch, cwd=work)
    git("remote", "add", "origin", server.url(project, user), cwd=work)
    return work, branch


def pkt(text):
    data = text if isinstance(text, bytes) else text.encode()
    return b"%04x" % (len(data) + 4) + data


def pack_of(work, *revs):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(["git", "pack-objects", "--stdout", "--revs", "-q"], cwd=work, env=env, check=True,
                          input="\n".join(revs).encode() + b"\n", stdout=subprocess.PIPE).stdout


# ---- reading

@pytest.mark.parametrize("version", [0, 1, 2])
def test_clone_with_each_protocol(server, filled, tmp_path, version):
    trace = tmp_path / "trace"
    done = git("-c", f"protocol.version={version}", "clone", server.url("owner/open"), tmp_path / "c",
               env={"GIT_TRACE_PACKET": str(trace)})
    assert done.returncode == 0
    assert git("rev-parse", "HEAD", "v1", "origin/topic", cwd=tmp_path / "c").stdout == \
        git("rev-parse", "main", "v1", "topic", cwd=filled).stdout
    assert git("symbolic-ref", "HEAD", cwd=tmp_path / "c").stdout == "refs/heads/main\n"
    git("fsck", "--strict", cwd=tmp_path / "c")
    text = trace.read_text()
    assert ("version 2" in text) == (version == 2)
    assert ("< version 1" in text) == (version == 1)


def test_listings_agree_in_every_protocol(server, filled):
    def listing(version, *args):
        out = git("-c", f"protocol.version={version}", "ls-remote", "--symref", server.url("owner/open"), *args)
        return sorted(out.stdout.splitlines())
    assert listing(2) == listing(0)
    assert any("v1^{}" in line for line in listing(2))
    assert listing(2, "refs/heads/*") == listing(0, "refs/heads/*")


def test_shallow_deepen_and_unshallow(server, filled, tmp_path):
    c = tmp_path / "c"
    git("clone", "-q", "--depth", "1", server.url("owner/open"), c)
    assert git("rev-list", "--count", "HEAD", cwd=c).stdout == "1\n"
    git("fetch", "-q", "--deepen", "2", cwd=c)
    assert git("rev-list", "--count", "HEAD", cwd=c).stdout == "3\n"
    git("fetch", "-q", "--unshallow", cwd=c)
    assert git("rev-list", "--count", "HEAD", cwd=c).stdout == "5\n"


def test_partial_clone_fetches_what_is_missing(server, filled, tmp_path):
    c = tmp_path / "c"
    git("clone", "-q", "--no-checkout", "--filter=blob:none", server.url("owner/open"), c)
    missing = git("rev-list", "--objects", "--missing=print", "HEAD", cwd=c).stdout
    assert "\n?" in missing
    git("checkout", "-q", "main", cwd=c)
    assert (c / "README.md").read_text() == "round 4\n"


def test_a_single_commit_by_its_id(server, filled, tmp_path):
    sha = git("rev-parse", "HEAD~3", cwd=filled).stdout.strip()
    for version in (0, 2):
        c = tmp_path / f"c{version}"
        git("init", "-q", c)
        git("-c", f"protocol.version={version}", "fetch", "-q", "--depth", "1", server.url("owner/open"), sha, cwd=c)
        assert git("rev-parse", "FETCH_HEAD", cwd=c).stdout.strip() == sha


def test_a_runner_fetches_its_pipelines_ref(server, tmp_path):
    work, branch = new_work(tmp_path, server)
    git("push", "-q", "origin", branch, cwd=work)
    sha = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    bare = server.seed["closed_repo"]
    git("-C", bare, "update-ref", "refs/pipelines/77", sha)
    c = tmp_path / "c"
    git("init", "-q", c)
    git("fetch", "-q", "--depth", "20", server.url("owner/closed", "owner"), "+refs/pipelines/77:refs/pipelines/77",
        cwd=c)
    assert git("rev-parse", "refs/pipelines/77", cwd=c).stdout.strip() == sha
    assert "refs/pipelines" not in git("ls-remote", server.url("owner/closed", "owner")).stdout
    # nobody pushes there
    done = git("push", server.url("owner/closed", "owner"), "HEAD:refs/pipelines/78", cwd=work, check=False)
    assert done.returncode and "hidden ref" in done.stderr


def test_a_negotiation_with_unknown_commits(server, tmp_path):
    work, branch = new_work(tmp_path, server)
    git("push", "-q", "origin", branch, cwd=work)
    c = tmp_path / "c"
    git("clone", "-q", "-b", branch, server.url("owner/closed", "owner"), c)
    for i in range(60):  # many haves that the server does not know
        git("commit", "-q", "--allow-empty", "-m", f"local {i}", cwd=c)
    commit_files(work, {"more": "x"}, "more")
    git("push", "-q", "origin", branch, cwd=work)
    git("fetch", "-q", "origin", cwd=c)
    assert git("rev-parse", f"origin/{branch}", cwd=c).stdout == git("rev-parse", "HEAD", cwd=work).stdout


def test_zipped_requests(server, filled):
    body = pkt("command=ls-refs\n") + b"0001" + pkt("peel\n") + b"".join(
        pkt(f"ref-prefix refs/heads/{i:04d}\n") for i in range(100)) + pkt("ref-prefix refs/tags/") + b"0000"
    headers = {"Content-Type": "application/x-git-upload-pack-request", "Git-Protocol": "version=2"}
    plain = server.request("POST", "/owner/open.git/git-upload-pack", body=body, headers=headers)
    zipped = server.request("POST", "/owner/open.git/git-upload-pack", body=gzip.compress(body),
                            headers={**headers, "Content-Encoding": "gzip"})
    assert plain.status == zipped.status == 200
    assert plain.text == zipped.text and b"refs/tags/v1" in plain.text


# ---- pushing

def test_every_moved_ref_is_one_event(server, tmp_path):
    work, branch = new_work(tmp_path, server)
    first = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    git("push", "-q", "-o", "ci.skip", "origin", branch, f"HEAD:{branch}-2", cwd=work)
    second = commit_files(work, {"a": "b"}, "second")
    git("tag", f"tag-{branch}", cwd=work)
    git("push", "-q", "origin", branch, f"tag-{branch}", cwd=work)
    git("push", "-q", "origin", branch, cwd=work)  # nothing to do: no event
    git("push", "-q", "origin", f":{branch}-2", cwd=work)
    ref, ref2, tag = f"refs/heads/{branch}", f"refs/heads/{branch}-2", f"refs/tags/tag-{branch}"
    wait_until(lambda: len(server.events(ref2)) == 2, what="events")
    assert [(e[3], e[4], e[5]) for e in server.events(ref)] == [(ZERO, first, "1 ci.skip"), (first, second, "1 ")] or \
        [(e[3], e[4]) for e in server.events(ref)] == [(ZERO, first), (first, second)]
    assert [(e[3], e[4]) for e in server.events(ref2)] == [(ZERO, first), (first, ZERO)]
    assert [(e[3], e[4]) for e in server.events(tag)] == [(ZERO, second)]


def test_many_refs_in_one_push(own_server, tmp_path):
    server = own_server().start()
    work, branch = new_work(tmp_path, server)
    git("push", "-q", "origin", branch, cwd=work)
    head = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    refs = [f"refs/heads/many-{i:03}" for i in range(400)] + [f"refs/tags/many-{i:03}" for i in range(100)]
    subprocess.run(["git", "update-ref", "--stdin"], input="".join(f"create {ref} {head}\n" for ref in refs), text=True,
                   cwd=work, check=True)
    begun = time.monotonic()
    done = git("push", "--progress", "origin", "refs/heads/many-*:refs/heads/many-*",
               "refs/tags/many-*:refs/tags/many-*", cwd=work)
    assert time.monotonic() - begun < 5
    assert "Only the first 4 of these 500 branches and tags may start a pipeline" in done.stderr
    listed = git("ls-remote", "origin", "*/many-*", cwd=work).stdout.split()
    assert sorted(listed[1::2]) == refs and set(listed[::2]) == {head}
    # Each is an event, and four wait for somebody who makes a pipeline.
    wait_until(lambda: len([e for e in server.lines if "/many-" in e[2]]) == 4, what="events")
    with contextlib.closing(sqlite3.connect(server.state / "slipway.db")) as db:
        assert db.execute("SELECT count(*), count(handled_at) FROM push_events WHERE ref LIKE '%/many-%'") \
            .fetchone() == (500, 500)
    # What makes no pipeline takes nobody's place.
    git("push", "-q", "origin", *[f":{ref}" for ref in refs[:6]], branch + ":refs/heads/zz-last", cwd=work)
    wait_until(lambda: server.events("refs/heads/zz-last"), what="the event of the last branch")


def test_a_large_push_comes_in_chunks(server, tmp_path):
    work, branch = new_work(tmp_path, server)
    commit_files(work, {"big.bin": random.Random(1).randbytes(12 << 20)}, "big")
    git("-c", "http.postBuffer=65536", "push", "-q", "origin", branch, cwd=work)
    bare = server.seed["closed_repo"]
    assert git("-C", bare, "rev-parse", branch).stdout == git("rev-parse", "HEAD", cwd=work).stdout
    c = tmp_path / "c"
    git("clone", "-q", "-b", branch, server.url("owner/closed", "owner"), c)
    assert hashlib.sha256((c / "big.bin").read_bytes()).digest() == \
        hashlib.sha256((work / "big.bin").read_bytes()).digest()


def test_the_first_branch_becomes_the_default(own_server, tmp_path):
    s = own_server().start()
    work, _ = new_work(tmp_path, s, "owner/closed", "owner", branch="trunk")
    git("push", "-q", "origin", "trunk", cwd=work)
    assert "refs/heads/trunk\tHEAD" in git("ls-remote", "--symref", s.url("owner/closed", "owner")).stdout


def test_the_protected_branch(server, tmp_path):
    owner, _ = new_work(tmp_path, server, user="owner", branch="main")
    git("push", "-q", "-f", "origin", "main", cwd=owner, check=False)
    git("fetch", "-q", "origin", cwd=owner)
    git("reset", "-q", "--hard", "origin/main", cwd=owner)
    commit_files(owner, {"n": str(random.random())}, "by the owner")
    git("push", "-q", "origin", "main", cwd=owner)
    before = git("ls-remote", "origin", "refs/heads/main", cwd=owner).stdout
    events = len(server.events("refs/heads/main"))

    commit_files(owner, {"n": str(random.random())}, "by a developer")
    dev = server.url("owner/closed", "dev")
    done = git("push", dev, "main", cwd=owner, check=False)
    assert done.returncode and "remote: " in done.stderr and "protected" in done.stderr
    assert "main -> main (pre-receive hook declined)" in done.stderr
    # along with an allowed ref: nothing moves, and each is told why
    done = git("push", dev, "main", f"HEAD:free-{random.random()}", cwd=owner, check=False)
    assert done.returncode and "another ref of this push was refused" in done.stderr
    # nobody deletes it or rewrites it
    for user in ("dev", "owner"):
        assert git("push", server.url("owner/closed", user), ":main", cwd=owner, check=False).returncode
    git("commit", "-q", "--amend", "-m", "another past", "--allow-empty", cwd=owner)
    git("reset", "-q", "--hard", "HEAD~1", cwd=owner)
    git("commit", "-q", "--amend", "-m", "another past", cwd=owner)
    done = git("push", "-f", "origin", "main", cwd=owner, check=False)
    assert done.returncode and "non-fast-forward" in done.stderr
    assert git("ls-remote", "origin", "refs/heads/main", cwd=owner).stdout == before
    assert len(server.events("refs/heads/main")) == events
    # an unprotected branch is the developer's own to rewrite
    branch = f"mine-{random.random()}"
    git("push", "-q", dev, f"HEAD:{branch}", cwd=owner)
    git("commit", "-q", "--amend", "-m", "yet another", cwd=owner)
    git("push", "-q", "-f", dev, f"HEAD:{branch}", cwd=owner)


def test_a_refused_push_stores_nothing(server, tmp_path):
    work, _ = new_work(tmp_path, server, user="dev", branch="main")
    commit_files(work, {"big.bin": random.Random(2).randbytes(8 << 20)}, "big")
    bare = pathlib.Path(server.seed["closed_repo"])

    def size():
        return sum(f.stat().st_size for f in (bare / "objects").rglob("*") if f.is_file())
    before = size()
    done = git("-c", "http.postBuffer=65536", "push", "-f", "origin", "main", cwd=work, check=False)
    assert done.returncode and "protected" in done.stderr
    assert size() == before


def test_over_quota(server, tmp_path):
    work, branch = new_work(tmp_path, server, "owner/small")
    git("push", "-q", "origin", branch, cwd=work)
    commit_files(work, {"big.bin": random.Random(3).randbytes(6 << 20)}, "big")
    done = git("push", "origin", branch, cwd=work, check=False)
    assert done.returncode and re.search(r"remote: .*(larger|limit|quota)", done.stderr), done.stderr
    git("reset", "-q", "--hard", "HEAD~1", cwd=work)
    commit_files(work, {"little": "x"}, "little")
    git("push", "-q", "origin", branch, cwd=work)


# ---- who may

REFUSALS = [
    # user, password (None: the right one), project, push, status
    ("owner", "wrong", "owner/open", False, 401),
    ("nobody", "wrong", "owner/open", False, 401),
    ("owner", "owner_revoked", "owner/open", False, 401),
    ("x", "glpat-AAAAAAAAAAAAAAAAAAAAAAAAAA", "owner/open", False, 401),
    (None, None, "owner/closed", False, 401),
    (None, None, "owner/none", False, 401),
    (None, None, "owner/open", True, 401),
    ("stranger", None, "owner/closed", False, 404),
    ("stranger", None, "owner/none", False, 404),
    ("stranger", None, "owner/open", True, 403),
    ("guest", None, "owner/closed", False, 403),
    ("reporter", None, "owner/closed", True, 403),
    ("x", "owner_read", "owner/closed", True, 403),
    ("x", "owner_user", "owner/closed", False, 403),
    ("owner", None, "owner/old", True, 403),
    (None, None, "owner/open", False, 200),
    ("guest", None, "owner/open", False, 200),
    ("reporter", None, "owner/closed", False, 200),
    ("x", "owner_read", "owner/closed", False, 200),
    ("oauth2", "owner_api", "owner/closed", True, 200),
    ("dev", None, "owner/closed", True, 200),
    ("root", None, "owner/closed", True, 200),
    ("owner@example.org", "pw-of-owner-1", "owner/closed", True, 200),
]


@pytest.mark.parametrize("user,password,project,push,status", REFUSALS)
def test_who_may(server, user, password, project, push, status):
    password = server.seed.get(password, password)
    service = "git-receive-pack" if push else "git-upload-pack"
    r = server.request("GET", f"/{project}.git/info/refs?service={service}", user, password)
    assert r.status == status, r.text
    assert r.getheader("Cache-Control").startswith("no-cache")
    if status == 401:
        assert r.getheader("WWW-Authenticate").startswith("Basic realm=")
    if status != 200:
        assert r.getheader("Content-Type").startswith("text/plain")
        assert len(r.text) > 20
    else:
        assert r.getheader("Content-Type") == f"application/x-{service}-advertisement"
    # The post that follows is judged the same: nothing rests on the listing having been asked for.
    r = server.request("POST", f"/{project}.git/{service}", user, password, b"0000",
                       {"Content-Type": f"application/x-{service}-request"})
    assert r.status == status, r.text


def test_git_shows_the_reason(server, tmp_path):
    work, branch = new_work(tmp_path, server, user="reporter")
    done = git("push", "origin", branch, cwd=work, check=False)
    assert done.returncode and "remote: You are not allowed to push code to this project" in done.stderr


def test_a_password_is_remembered_but_not_longer_than_it_is_right(server):
    path = "/owner/closed.git/info/refs?service=git-upload-pack"
    for _ in range(3):
        assert server.request("GET", path, "owner").status == 200
        assert server.request("GET", path, "owner", "pw-of-owner-2").status == 401


def test_guessing_a_password_is_stopped(own_server):
    server = own_server().start()
    path = "/owner/closed.git/info/refs?service=git-upload-pack"
    for i in range(10):
        assert server.request("GET", path, "Owner" if i % 2 else "owner", f"wrong-{i}").status == 401
    for password in ("wrong-11", None):  # now also the right one, or it could be told from the others
        r = server.request("GET", path, "owner", password)
        assert r.status == 429 and b"Too many wrong passwords" in r.text
        assert 0 < int(r.getheader("Retry-After")) <= 300
    assert server.request("GET", path, "owner", server.seed["owner_read"]).status == 200  # a token is no guess
    assert server.request("GET", path, "root").status == 200  # nor is another account concerned
    for i in range(30):  # many accounts from one address
        assert server.request("GET", path, f"nobody-{i}", "wrong").status == 401
    assert server.request("GET", path, "root").status == 429


def test_requests_that_are_not_git(server):
    assert server.request("GET", "/owner/open.git/info/refs").status == 403
    assert b"smart" in server.request("GET", "/owner/open.git/HEAD").text
    assert server.request("GET", "/owner/open.git/objects/info/packs").status == 403
    assert server.request("GET", "/owner/open.git/info/refs?service=git-shell").status == 403
    assert server.request("GET", "/owner/open.git/git-upload-pack").status == 405
    assert server.request("POST", "/owner/open.git/info/refs?service=git-upload-pack", body=b"").status == 405
    assert server.request("POST", "/owner/open.git/git-upload-pack", body=b"0000",
                          headers={"Content-Type": "text/plain"}).status == 415
    assert server.request("GET", "/1.git/info/refs?service=git-upload-pack", "root").status == 404
    for path in ("/owner/../owner/open", "/owner%2f..%2fowner/open", "/owner/open%00", "/%2e%2e/%2e%2e/etc/passwd",
                 "/owner/open%0a", "//owner/open", "/owner/" + "x" * 5000):
        r = server.request("GET", f"{path}.git/info/refs?service=git-upload-pack")
        assert r.status in (400, 401, 404, 414), (path, r.status)
    r = server.request("GET", "/owner%2Fopen.git/info/refs?service=git-upload-pack")
    assert r.status in (200, 401, 404)


# ---- broken input

UPLOAD = {"Content-Type": "application/x-git-upload-pack-request"}
RECEIVE = {"Content-Type": "application/x-git-receive-pack-request"}


def test_broken_requests_are_refused(server, filled):
    post = "/owner/open.git/git-upload-pack"
    v2 = {**UPLOAD, "Git-Protocol": "version=2"}
    assert server.request("POST", post, body=b"zzzz", headers=v2).status in (200, 400, 500)
    assert server.request("POST", post, body=pkt("command=ls-refs\n") + b"0001" + pkt("nonsense") + b"0000",
                          headers=v2).status == 400
    assert server.request("POST", post, body=pkt("command=ls-refs\n"), headers=v2).status == 400
    assert server.request("POST", post, body=b"not gzip at all",
                          headers={**v2, "Content-Encoding": "gzip"}).status == 400
    assert server.request("POST", post, body=b"0000", headers={**v2, "Content-Encoding": "br"}).status == 415
    bomb = gzip.compress(b"0" * (200 << 20), 9)
    assert len(bomb) < 1 << 20
    assert server.request("POST", post, body=bomb, headers={**v2, "Content-Encoding": "gzip"}).status == 413
    receive = "/owner/open.git/git-receive-pack"
    for body in (b"zzzz", b"0003", pkt("hello"), pkt(f"{ZERO} {'a' * 40} refs/heads/../x") + b"0000",
                 pkt(f"{ZERO} {'a' * 40} HEAD") + b"0000", b"0001", pkt("push-cert\0 push-options") + b"0000",
                 pkt(f"{ZERO} {'a' * 40} refs/heads/x\0object-format=sha256") + b"0000"):
        r = server.request("POST", receive, "owner", body=body, headers=RECEIVE)
        assert r.status == 400, (body, r.status, r.text)
    # Git-Protocol values that are not clean never reach the child's environment
    r = server.request("GET", "/owner/open.git/info/refs?service=git-upload-pack",
                       headers={"Git-Protocol": "version=2;$(id)"})
    assert r.status == 200 and r.text.startswith(b"001e# service=git-upload-pack")


def push_body(work, branch, pack, old=ZERO):
    new = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    return pkt(f"{old} {new} refs/heads/{branch}\0report-status side-band-64k agent=test") + b"0000" + pack


def test_a_broken_pack(server, tmp_path):
    work, branch = new_work(tmp_path, server)
    pack = bytearray(pack_of(work, "HEAD"))
    whole = bytes(pack)
    pack[len(pack) // 2] ^= 0xff
    missing = b"PACK" + struct.pack(">II", 2, 0)
    missing += hashlib.sha1(missing).digest()
    for broken in (bytes(pack), whole[:-10], whole[:30], b"PACKgarbage", b"", missing):
        r = server.request("POST", "/owner/closed.git/git-receive-pack", "owner",
                           body=push_body(work, branch, broken), headers=RECEIVE)
        assert r.status == 200 and b"unpack ok" not in r.text or b"ng refs/heads/" in r.text, (r.status, r.text)
    bare = server.seed["closed_repo"]
    assert git("-C", bare, "rev-parse", "-q", "--verify", branch, check=False).returncode
    assert server.events(f"refs/heads/{branch}") == []
    git("-C", bare, "fsck", "--strict")
    # and nothing stands in the way of the whole one
    r = server.request("POST", "/owner/closed.git/git-receive-pack", "owner", body=push_body(work, branch, whole),
                       headers=RECEIVE)
    assert b"ok refs/heads/" in r.text
    wait_until(lambda: len(server.events(f"refs/heads/{branch}")) == 1)


def raw_push(server, branch, work):
    """Begins a chunked push and stops before the pack's last bytes; returns the socket and the rest."""
    # larger than what the server takes in before it calls the handler
    commit_files(work, {"random.bin": random.randbytes(100000)}, "large enough to stream")
    body = push_body(work, branch, pack_of(work, "HEAD"))
    pair = base64.b64encode(b"owner:pw-of-owner-1").decode()
    s = socket.create_connection(("127.0.0.1", server.port))
    s.sendall((f"POST /owner/closed.git/git-receive-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {pair}\r\n"
               "Content-Type: application/x-git-receive-pack-request\r\nTransfer-Encoding: chunked\r\n\r\n").encode())
    head, rest = body[:-20], body[-20:]
    s.sendall(b"%x\r\n" % len(head) + head + b"\r\n")
    return s, b"%x\r\n" % len(rest) + rest + b"\r\n0\r\n\r\n"


def test_a_client_that_goes_away_leaves_nothing(server, tmp_path):
    work, branch = new_work(tmp_path, server)
    bare = pathlib.Path(server.seed["closed_repo"])
    s, _ = raw_push(server, branch, work)
    wait_until(server.git_children, what="git runs")
    assert list(bare.glob("slipway-push-*.lock"))
    s.close()
    wait_until(lambda: not server.git_children(), what="git was ended")
    wait_until(lambda: not list(bare.glob("slipway-push-*.lock")), what="the push was settled")
    assert not list((bare / "objects/pack").glob("tmp_*"))
    git("push", "-q", "origin", branch, cwd=work)
    wait_until(lambda: len(server.events(f"refs/heads/{branch}")) == 1)


def test_a_clone_that_is_given_up_ends_git(server, tmp_path):
    work, branch = new_work(tmp_path, server)
    commit_files(work, {"big.bin": random.Random(4).randbytes(30 << 20)}, "big")
    git("push", "-q", "origin", branch, cwd=work)
    sha = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    pair = base64.b64encode(b"owner:pw-of-owner-1").decode()
    body = pkt("command=fetch") + b"0001" + pkt(f"want {sha}\n") + pkt("done\n") + b"0000"
    s = socket.create_connection(("127.0.0.1", server.port))
    s.sendall((f"POST /owner/closed.git/git-upload-pack HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {pair}\r\n"
               "Content-Type: application/x-git-upload-pack-request\r\nGit-Protocol: version=2\r\n"
               f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
    assert s.recv(100).startswith(b"HTTP/1.1 200")
    assert server.git_children()
    s.close()
    wait_until(lambda: not server.git_children(), what="git was ended")


def test_progress_comes_while_git_works(own_server, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    program = wrapper(tmp_path, "true")
    program.write_text(program.read_text().replace(
        '    git "$@"\n', f"    printf '000b\\002hello\\n0005\\001'; cat {gate}; git \"$@\"\n"))
    server = own_server(program).start()
    work, branch = new_work(tmp_path, server)
    (tmp_path / "armed").touch()
    s, rest = raw_push(server, branch, work)
    s.sendall(rest)
    answer = b""
    while b"hello" not in answer:
        piece = s.recv(65536)
        assert piece, answer
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200") and b"unpack" not in answer
    assert server.events() == []
    with open(gate, "w"):
        pass
    while b"ok refs/heads/" not in answer:
        piece = s.recv(65536)
        assert piece, answer
        answer += piece
    s.close()
    wait_until(lambda: len(server.events(f"refs/heads/{branch}")) == 1)


# ---- at the same time

def test_two_pushes_of_one_ref(server, tmp_path):
    work, branch = new_work(tmp_path, server)
    s, rest = raw_push(server, branch, work)
    wait_until(server.git_children, what="git runs")
    other, _ = new_work(tmp_path, server)
    done = git("push", "origin", f"HEAD:{branch}", cwd=other, check=False)
    assert done.returncode and "another push is updating this ref" in done.stderr
    git("push", "-q", "origin", f"HEAD:{branch}-free", cwd=other)  # other refs are free
    s.sendall(rest)
    answer = b""
    while b"ok refs/heads/" not in answer:
        piece = s.recv(65536)
        assert piece, answer
        answer += piece
    s.close()
    sha = git("rev-parse", "HEAD", cwd=work).stdout.strip()
    wait_until(lambda: server.events(f"refs/heads/{branch}"))
    assert [e[4] for e in server.events(f"refs/heads/{branch}")] == [sha]


def test_many_pushes_at_once(server, tmp_path):
    base, branch = new_work(tmp_path, server)
    git("push", "-q", "origin", branch, cwd=base)
    works = []
    for i in range(6):
        w = tmp_path / f"w{i}"
        git("clone", "-q", "-b", branch, server.url("owner/closed", "owner"), w)
        works.append((w, commit_files(w, {f"f{i}": str(i)}, f"by {i}")))
    results = {}

    def one(i):
        results[i] = git("push", "origin", branch, cwd=works[i][0], check=False)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(works))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    won = [works[i][1] for i in results if results[i].returncode == 0]
    assert len(won) == 1, [r.stderr for r in results.values()]
    wait_until(lambda: len(server.events(f"refs/heads/{branch}")) == 2)
    assert server.events(f"refs/heads/{branch}")[-1][4] == won[0]


# ---- dying

def wrapper(tmp_path, after):
    """A git that, once `armed` exists, does `after` when a receive-pack has moved its refs."""
    path = tmp_path / "wrapped-git"
    path.write_text(f"""#!/bin/sh
armed={tmp_path}/armed
if [ "$1" = receive-pack ] && [ "$2" = --stateless-rpc ] && [ -e $armed ]; then
    rm $armed
    git "$@"
    code=$?
    {after}
    exit $code
fi
exec git "$@"
""")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_killed_between_push_and_event(own_server, tmp_path):
    program = wrapper(tmp_path, "kill -9 $PPID")
    s = own_server(program).start()
    work, branch = new_work(tmp_path, s)
    (tmp_path / "armed").touch()
    done = git("push", "origin", branch, cwd=work, check=False)
    assert done.returncode
    s.process.wait(10)
    ref = f"refs/heads/{branch}"
    bare = pathlib.Path(s.seed["closed_repo"])
    assert git("-C", bare, "rev-parse", branch).stdout == git("rev-parse", "HEAD", cwd=work).stdout
    s.reader.join(5)
    assert s.events(ref) == []
    s.start()
    wait_until(lambda: len(s.events(ref)) == 1)
    assert not list(bare.glob("slipway-push-*.lock"))
    s.kill()
    s.reader.join(5)
    s.start()
    git("remote", "set-url", "origin", s.url("owner/closed", "owner"), cwd=work)
    commit_files(work, {"next": "1"}, "next")
    git("push", "-q", "origin", branch, cwd=work)
    wait_until(lambda: len(s.events(ref)) == 2)
    assert [e[3] for e in s.events(ref)][0] == ZERO


def test_killed_before_anything_moved(own_server, tmp_path):
    s = own_server().start()
    work, branch = new_work(tmp_path, s)
    sock, _ = raw_push(s, branch, work)
    wait_until(s.git_children, what="git runs")
    s.kill()
    sock.close()
    s.start()
    git("remote", "set-url", "origin", s.url("owner/closed", "owner"), cwd=work)
    git("push", "-q", "origin", branch, cwd=work)
    wait_until(lambda: len(s.events(f"refs/heads/{branch}")) == 1)
    bare = pathlib.Path(s.seed["closed_repo"])
    assert not list(bare.glob("slipway-push-*.lock"))


def test_a_git_that_outlives_the_server_is_waited_for(own_server, tmp_path):
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    program = wrapper(tmp_path, f"true")
    # the ref moves only after the server has died and a new one waits
    program.write_text(program.read_text().replace('    git "$@"\n', f'    kill -9 $PPID; cat {gate}; git "$@"\n'))
    s = own_server(program, {"GIT_TEST_WAIT_MS": "200"}).start()
    work, branch = new_work(tmp_path, s)
    ref = f"refs/heads/{branch}"
    (tmp_path / "armed").touch()
    assert git("push", "origin", branch, cwd=work, check=False).returncode
    s.process.wait(10)
    s.start()  # waits 200 ms, then goes on without having settled this push
    assert "git still works on push" in s.log.read_text()
    assert s.events(ref) == []
    git("remote", "set-url", "origin", s.url("owner/closed", "owner"), cwd=work)
    done = git("push", "origin", branch, cwd=work, check=False)
    assert done.returncode and "another push is updating this ref" in done.stderr
    with open(gate, "w"):
        pass  # now it goes on, takes what it has of the pack, and ends
    bare = pathlib.Path(s.seed["closed_repo"])

    def pushed():
        git("push", "-q", "origin", branch, cwd=work, check=False)
        return git("-C", bare, "rev-parse", "-q", "--verify", branch, check=False).returncode == 0
    wait_until(pushed)
    wait_until(lambda: s.events(ref))
    commit_files(work, {"next": "1"}, "next")
    git("push", "-q", "origin", branch, cwd=work)
    wait_until(lambda: len(s.events(ref)) == 2)
    assert not list(bare.glob("slipway-push-*.lock"))
