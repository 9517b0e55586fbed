"""The platform under test: a real `slipway up` on a free loopback port with a state folder of its own."""
import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SLIPWAY_BUILD", ROOT / "build-asan"))
SLIPWAY = BUILD / "src/cmd/slipway"
SHARED = pathlib.Path(os.environ.get("SLIPWAY_SHARED", ROOT.parent / "shared"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_until(condition, seconds=20, what="condition"):
    """Returns the first true value of condition(); fails after the time limit."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds} s: {what}")
        time.sleep(0.02)


def git(*args, cwd=None, check=True, env=None, input=None):
    """Runs git with no configuration of this machine and never a prompt; returns the finished process."""
    clean = {
        "PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org", **(env or {}),
    }
    done = subprocess.run(["git", *args], cwd=cwd, env=clean, input=input, text=True, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if check and done.returncode:
        pytest.fail(f"git {' '.join(map(str, args))}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def commit_files(repo, files, message="a commit"):
    """Writes files (name -> text) into a work tree (made if missing) and commits them; returns the sha."""
    repo = pathlib.Path(repo)
    if not (repo / ".git").exists():
        repo.mkdir(parents=True, exist_ok=True)
        git("init", "-q", "-b", "main", str(repo))
    for name, text in files.items():
        path = repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    git("add", "-A", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", message, cwd=repo)
    return git("rev-parse", "HEAD", cwd=repo).stdout.strip()


class Platform:
    """One `slipway up`; start(), stop(), kill() at will, the state folder stays."""

    def __init__(self, state, port=None, args=()):
        self.state = pathlib.Path(state)
        self.port = port or free_port()
        self.args = list(args)
        self.url = f"http://localhost:{self.port}"
        self.process = None
        self.log = self.state.parent / f"{self.state.name}.log"

    def start(self, seconds=60):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [SLIPWAY, "up", "--state", self.state, "--listen", f"127.0.0.1:{self.port}", *self.args],
                stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True, start_new_session=True)
        self.banner = ""
        end = time.monotonic() + seconds
        while "Ctrl-C" not in self.banner:
            line = self.process.stdout.readline()
            if not line or time.monotonic() > end:
                self.stop()
                pytest.fail(f"slipway up did not get ready:\n{self.banner}\n{self.log.read_text()[-4000:]}")
            self.banner += line
        return self

    def stop(self, seconds=30):
        """SIGTERM, as an init system does; returns the exit status."""
        if not self.process:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            pytest.fail(f"slipway up did not stop within {seconds} s:\n{self.log.read_text()[-4000:]}")
        self.process.stdout.close()
        self.process = None
        return status

    def password(self):
        return (self.state / "secrets/initial-password").read_text().strip()

    def token(self, user="root", scopes="api,write_repository", name="test"):
        done = subprocess.run([SLIPWAY, "admin", "token", "--state", self.state, "--user", user, "--scopes", scopes,
                               "--name", name], text=True, capture_output=True, timeout=30)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def role_pid(self, role):
        return int((self.state / f"run/{role}.pid").read_text())

    def repo_url(self, path, user="root", password=None):
        return f"http://{user}:{password or self.password()}@localhost:{self.port}/{path}.git"


@pytest.fixture(scope="session")
def platform(tmp_path_factory):
    """A platform that many tests share: each makes projects of its own and leaves the rest alone."""
    p = Platform(tmp_path_factory.mktemp("platform") / "state").start()
    yield p
    assert p.stop() == 0
    assert "ERROR: AddressSanitizer" not in p.log.read_text()
    assert "runtime error:" not in p.log.read_text()


@pytest.fixture
def own_platform(tmp_path):
    """A platform for one test that stops, kills or fills it."""
    p = Platform(tmp_path / "state")
    yield p
    p.stop()
