"""The platform as a whole: start, memory at rest, push to first log line, sandbox, API."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import time

from common import Figure, Skip, free_port, median, pss_bytes, running, wrk


class Platform:
    """One `slipway up` on a folder that stays."""

    def __init__(self, slipway, folder):
        self.slipway, self.state, self.log = slipway, folder / "state", folder / "up.log"
        self.port = free_port()
        self.stack = contextlib.ExitStack()

    def start(self):
        """Returns the seconds from exec to the first 200 of the sign-in page."""
        began = time.monotonic()
        self.process = self.stack.enter_context(running(
            [self.slipway, "up", "--state", self.state, "--listen", f"127.0.0.1:{self.port}"], self.log))
        while time.monotonic() - began < 30:
            with contextlib.suppress(OSError):
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as s:
                    s.sendall(b"GET /users/sign_in HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    if s.recv(100).startswith(b"HTTP/1.1 200 "):
                        return time.monotonic() - began
            if self.process.poll() is not None:
                break
            time.sleep(0.001)
        self.stop()
        raise Skip("`slipway up` does not get ready: " + last_line(self.log))

    def stop(self):
        self.stack.close()

    def wait_runner(self):
        """Until the pid file of the runner is there."""
        end = time.monotonic() + 10
        while not (self.state / "run/runner.pid").exists() and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.5)

    def token(self):
        done = subprocess.run([self.slipway, "admin", "token", "--state", self.state, "--user", "root", "--scopes",
                               "api,write_repository", "--name", "bench"], text=True, capture_output=True, timeout=30)
        if done.returncode:
            raise Skip("no token: " + done.stderr.strip())
        return done.stdout.strip()

    def url(self, token, path):
        return f"http://root:{token}@127.0.0.1:{self.port}/{path}.git"


class Api:
    def __init__(self, port, token):
        self.c = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self.headers = {"PRIVATE-TOKEN": token, "Content-Type": "application/json"}

    def call(self, method, path, body=None):
        self.c.request(method, "/api/v4/" + path, json.dumps(body) if body else None, self.headers)
        r = self.c.getresponse()
        data = r.read()
        if r.status >= 300:
            raise Skip(f"{method} {path}: {r.status} {data[:200].decode(errors='replace')}")
        return data

    def json(self, method, path, body=None):
        return json.loads(self.call(method, path, body))


def last_line(path):
    lines = pathlib.Path(path).read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def run_git(*args, cwd=None):
    env = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0",
           "GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada",
           "GIT_COMMITTER_EMAIL": "ada@example.org"}
    done = subprocess.run(["git", *[str(a) for a in args]], cwd=cwd, env=env, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise Skip(f"git {args[0]}: " + re.sub(r"//[^/@]*@", "//", done.stderr.strip()[-300:]))
    return done.stdout


def guarded(figure, measure):
    """The figure with its value, or with the reason why it has none."""
    try:
        measure(figure)
    except Skip as why:
        figure.note = str(why)
    except (OSError, ValueError, KeyError, subprocess.SubprocessError, http.client.HTTPException) as error:
        figure.note = re.sub(r"//[^/@]*@", "//", f"{type(error).__name__}: {error}")
    return figure


def start_time(platform, figure):
    platform.start()
    platform.stop()  # the second start finds its data
    times = []
    for i in range(5):
        times.append(platform.start() * 1000)
        if i < 4:
            platform.stop()
    figure.value = median(times)


def idle_memory(platform, figure):
    platform.wait_runner()
    time.sleep(1.5)
    figure.value = pss_bytes(platform.process.pid) / 1e6


def push_to_log(platform, folder, figure):
    token = platform.token()
    api = Api(platform.port, token)
    project = api.json("POST", "projects", {"name": "bench-push"})
    work = folder / "work"
    run_git("init", "-q", "-b", "main", work)
    (work / ".gitlab-ci.yml").write_text("one:\n  script: echo first''line\n")
    run_git("add", ".", cwd=work)
    times = []
    for i in range(9):
        run_git("commit", "-q", "--allow-empty", "-m", f"commit {i}", cwd=work)
        sha = run_git("rev-parse", "HEAD", cwd=work).strip()
        run_git("push", "-q", platform.url(token, project["path_with_namespace"]), "HEAD:main", cwd=work)
        accepted = time.monotonic()
        job = None
        while True:
            if time.monotonic() - accepted > 15:
                raise Skip("no job output within 15 s")
            if not job:
                jobs = api.json("GET", f"projects/{project['id']}/jobs?per_page=5")
                job = next((j["id"] for j in jobs if j["commit"]["id"] == sha), None)
            if job and b"firstline" in api.call("GET", f"projects/{project['id']}/jobs/{job}/trace"):
                break
            time.sleep(0.001)
        times.append((time.monotonic() - accepted) * 1000)
    figure.value = median(times)


def sandbox(slipway, figure):
    done = subprocess.run([slipway, "sandbox", "bench", "40"], capture_output=True, text=True, timeout=60)
    values = dict(line.split() for line in done.stdout.splitlines() if len(line.split()) == 2)
    if "over_bare_ms" not in values:
        raise Skip((done.stderr.strip() or "`slipway sandbox bench` is missing").splitlines()[0])
    figure.value = float(values["over_bare_ms"])


def api_speed(platform, figure, tail):
    token = platform.token()
    project = Api(platform.port, token).json("POST", "projects", {"name": "bench-api"})
    url = f"http://127.0.0.1:{platform.port}/api/v4/projects/{project['id']}"
    header = [f"PRIVATE-TOKEN: {token}"]
    wrk(url, 1, 8, headers=header)
    runs = [wrk(url, 3, 8, headers=header) for _ in range(3)]
    if any(r["errors"] for r in runs):
        raise Skip("failed requests")
    figure.value = median([r["rps"] for r in runs])
    tail.value = median([r["p99"] for r in runs])


def figures(slipway, folder):
    platform = Platform(slipway, folder)
    try:
        yield guarded(Figure("sandbox for `true` over fork+exec", "ms", target=15), lambda f: sandbox(slipway, f))
        start = guarded(Figure("`slipway up`: exec to first 200", "ms", target=150), lambda f: start_time(platform, f))
        yield start
        if start.value is None:
            raise Skip("`slipway up` is needed")
        yield guarded(Figure("all roles idle, sum of PSS", "MB", target=40), lambda f: idle_memory(platform, f))
        yield guarded(Figure("push accepted to first job output, p50", "ms", target=250),
                      lambda f: push_to_log(platform, folder, f))
        tail = Figure("API GET /projects/:id, p99", "ms", target=5)
        speed = guarded(Figure("API GET /projects/:id", "req/s", "more", target=15000),
                        lambda f: api_speed(platform, f, tail))
        tail.note = speed.note
        yield speed
        yield tail
    finally:
        platform.stop()
