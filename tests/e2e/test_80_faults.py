"""Faults: roles killed at random moments under load, a full disk, hostile input. Nothing accepted is lost."""
import hashlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from conftest import ROOT, SLIPWAY, Platform, commit_files, git, wait_until

sys.path.insert(0, str(ROOT / "tests/lib"))
from api import ENDED, Api  # noqa: E402

LINES = 200
CI = f"""
count:
  script: ["for i in $(seq 1 {LINES}); do echo line-$i; done", "echo $CI_COMMIT_SHA > result.txt"]
  artifacts: {{paths: [result.txt]}}
  retry: 2
"""


def role_pids(platform):
    return {r: platform.role_pid(r) for r in ("server", "edge", "runner")}


@pytest.mark.parametrize("kills", [int(os.environ.get("SLIPWAY_KILLS", "50"))])
def test_roles_killed_under_load(own_platform, tmp_path, kills):
    p = own_platform.start()
    api = Api(p, p.token())
    project = api.project("storm")
    work = tmp_path / "storm"
    commit_files(work, {".gitlab-ci.yml": CI})
    accepted, over = [], threading.Event()

    def push_again_and_again():
        count = 0
        while not over.is_set():
            count += 1
            sha = commit_files(work, {"count": str(count)}, f"commit {count}")
            done = git("push", "-q", p.repo_url("root/storm"), f"HEAD:refs/heads/b{count}", cwd=work, check=False)
            if done.returncode == 0:
                accepted.append(sha)

    pusher = threading.Thread(target=push_again_and_again)
    pusher.start()
    rng = random.Random(20)
    try:
        for i in range(kills):
            time.sleep(rng.uniform(0.05, 0.6))
            role = rng.choice(["server", "edge", "runner"])
            try:
                os.kill(role_pids(p)[role], signal.SIGKILL)
            except (ProcessLookupError, FileNotFoundError):
                pass
    finally:
        over.set()
        pusher.join()
    assert len(accepted) >= 5

    def healthy():
        try:
            return requests.get(p.url + "/-/readiness", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    wait_until(healthy, 30, "ready again")

    def all_ended():
        try:
            found = []
            page = 1
            while True:
                part = api.get(f"projects/{project['id']}/pipelines?per_page=100&page={page}")
                found += part
                if len(part) < 100:
                    break
                page += 1
        except (AssertionError, requests.RequestException):
            return None
        return found if all(x["status"] in ENDED for x in found) else None

    pipelines = wait_until(all_ended, 240, "every pipeline ended")
    by_sha = {}
    for x in pipelines:
        by_sha.setdefault(x["sha"], []).append(x)
    for sha in accepted:
        assert len(by_sha.get(sha, [])) == 1, f"push {sha}: {len(by_sha.get(sha, []))} pipelines"
    for sha in accepted:
        jobs = api.get(f"projects/{project['id']}/pipelines/{by_sha[sha][0]['id']}/jobs?include_retried=true&per_page=100")
        won = [j for j in jobs if j["status"] == "success"]
        assert len(won) <= 1, "a job ran twice to success"
        for j in won:
            trace = api.trace(project["id"], j["id"])
            assert [f"line-{i}" in trace for i in (1, LINES // 2, LINES)] == [True] * 3
            got = api.request("GET", f"projects/{project['id']}/jobs/{j['id']}/artifacts/result.txt")
            assert got.status_code == 200 and got.text.strip() == sha
    # A killed runner may cost a job its tries, but most must have come through.
    won = [x for x in pipelines if x["status"] == "success"]
    assert len(won) >= len(pipelines) // 2, [x["status"] for x in pipelines]


@pytest.fixture
def small_disk(tmp_path):
    """A 24 MB file system of our own; needs the right to mount."""
    at = tmp_path / "disk"
    at.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", at], capture_output=True).returncode:
        pytest.skip("this account may not mount a tmpfs")
    yield at
    subprocess.run(["umount", "-l", at], check=True)


def test_full_disk(small_disk, tmp_path):
    p = Platform(small_disk / "state").start()
    try:
        api = Api(p, p.token())
        project = api.project("full")
        sha = commit_files(tmp_path / "w", {".gitlab-ci.yml": CI})
        git("push", "-q", p.repo_url("root/full"), "main", cwd=tmp_path / "w")
        assert api.wait_pipeline(project["id"], sha)["status"] == "success"

        filler = fill(small_disk)
        commit_files(tmp_path / "w", {"big": os.urandom(3_000_000)})
        refused = git("push", "-q", p.repo_url("root/full"), "main", cwd=tmp_path / "w", check=False)
        assert refused.returncode != 0
        assert requests.get(p.url + "/-/liveness", timeout=5).status_code == 200

        filler.unlink()
        git("push", "-q", p.repo_url("root/full"), "main", cwd=tmp_path / "w")
        sha = git("rev-parse", "HEAD", cwd=tmp_path / "w").stdout.strip()
        assert api.wait_pipeline(project["id"], sha)["status"] == "success"
    finally:
        p.stop()


def fill(folder):
    """Writes until nothing more fits; returns the file."""
    filler = folder / "filler"
    with open(filler, "wb", buffering=0) as f:
        for size in (65536, 4096, 512):
            try:
                while True:
                    f.write(b"x" * size)
            except OSError:
                pass
    return filler


def test_full_disk_during_trace_and_artifact(small_disk, tmp_path):
    """The job's work is elsewhere; what it sends meets a full disk for a while and is all there in the end."""
    p = Platform(small_disk / "state", args=["--no-runner"]).start()
    runner = None
    try:
        api = Api(p, p.token())
        project = api.project("full")
        ci = """
job:
  script:
    - for i in $(seq 1 40); do echo line-$i; sleep 0.05; done
    - head -c 300000 /dev/urandom > out.bin; sha256sum out.bin
  artifacts: {paths: [out.bin]}
"""
        sha = commit_files(tmp_path / "w", {".gitlab-ci.yml": ci})
        git("push", "-q", p.repo_url("root/full"), "main", cwd=tmp_path / "w")
        runner = subprocess.Popen([SLIPWAY, "runner", "--url", p.url, "--token-file", p.state / "secrets/runner-token",
                                   "--builds-dir", tmp_path / "builds", "--name", "elsewhere"],
                                  stderr=open(tmp_path / "runner.log", "wb"))

        def trace():
            job = api.job(project["id"], api.pipelines(project["id"])[0]["id"], "job")
            return api.trace(project["id"], job["id"])

        wait_until(lambda: "line-3" in trace(), 20, "first lines")
        filler = fill(small_disk)
        time.sleep(4)  # the script ends and everything it sends is refused meanwhile
        assert requests.get(p.url + "/-/liveness", timeout=5).status_code == 200
        filler.unlink()
        pipeline = api.wait_pipeline(project["id"], sha, seconds=90)
        text = trace()
        assert pipeline["status"] == "success", (text, api.jobs(project["id"], pipeline["id"]))
        assert [i for i in range(1, 41) if f"line-{i}\n" not in text] == []
        job = api.job(project["id"], api.pipelines(project["id"])[0]["id"], "job")
        got = api.request("GET", f"projects/{project['id']}/jobs/{job['id']}/artifacts/out.bin")
        assert got.status_code == 200 and len(got.content) == 300000
        assert hashlib.sha256(got.content).hexdigest() in text
    finally:
        if runner:
            runner.terminate()
            runner.wait(40)
        p.stop()


def raw(platform, data, seconds=10):
    """Sends bytes to the edge and returns all that comes back until it closes (or the time limit)."""
    got = b""
    with socket.create_connection(("127.0.0.1", platform.port), timeout=seconds) as s:
        s.sendall(data)
        try:
            while part := s.recv(65536):
                got += part
        except (TimeoutError, ConnectionResetError):
            pass
    return got


@pytest.mark.parametrize("path", [
    "/../../etc/passwd", "/api/v4/projects/..%2f..%2fetc", "/%2e%2e/%2e%2e/x", "/root/way/-/raw/main/%2e%2e/%2e%2e/etc/passwd",
    "/a%00b", "/api/v4/projects/1%00", "/a%0d%0aX:%20y", "/root/%7f", "/..%5c..%5cx", "/api/v4/projects/%ff%fe",
])
def test_hostile_paths(platform, path):
    got = raw(platform, f"GET {path} HTTP/1.1\r\nHost: localhost:{platform.port}\r\nConnection: close\r\n\r\n".encode())
    status = int(got.split(b" ", 2)[1])
    assert 400 <= status < 500 or status == 302, got[:200]
    assert b"root:x:0" not in got and b"\nX: y" not in got


def test_bodies_longer_and_shorter_than_announced(platform):
    head = f"POST /api/v4/projects HTTP/1.1\r\nHost: localhost:{platform.port}\r\nContent-Type: application/json\r\n"
    got = raw(platform, (head + "Content-Length: 2\r\nConnection: close\r\n\r\n{}GET / HTTP/1.1\r\n\r\n").encode())
    assert got.count(b"HTTP/1.1 ") == 1
    with socket.create_connection(("127.0.0.1", platform.port), timeout=10) as s:
        s.sendall((head + "Content-Length: 1000\r\n\r\n{").encode())
        s.shutdown(socket.SHUT_WR)
        assert s.recv(100)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 401", b"HTTP/1.1 408")
    assert requests.get(platform.url + "/-/liveness", timeout=5).status_code == 200


def test_a_client_of_one_byte_a_second_does_not_stay_for_ever(platform):
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", platform.port), timeout=5) as s:
        s.sendall(b"GET / HTTP/1.1\r\n")
        try:
            for _ in range(90):
                s.sendall(b"a")
                s.settimeout(1)
                try:
                    if s.recv(100) is not None:
                        break
                except TimeoutError:
                    pass
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert time.monotonic() - began < 75


HOSTILE = {
    "huge": lambda: "job:\n  script:\n" + "    - echo a line of the file\n" * 400_000,
    "deep": lambda: "a: " + "[" * 20_000 + "]" * 20_000 + "\n",
    "bomb": lambda: "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)) + "job: {script: [echo]}\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_pipeline_files(platform, tmp_path, name):
    text = HOSTILE[name]()
    api = Api(platform, platform.token())
    project = api.project(f"hostile-{name}")
    sha = commit_files(tmp_path / name, {".gitlab-ci.yml": text})
    git("push", "-q", platform.repo_url(f"root/hostile-{name}"), "main", cwd=tmp_path / name)
    pipeline = api.wait_pipeline(project["id"], sha, seconds=20)
    assert pipeline["status"] == "failed" and pipeline["yaml_errors"]


@pytest.mark.parametrize("name,script,seconds", [
    ("forks", "bomb() { bomb | bomb & }; bomb; sleep 600", 60),
    ("ignores-term", "trap '' TERM; while :; do sleep 1; done", 60),
])
def test_jobs_that_will_not_end_are_ended_by_their_timeout(platform, tmp_path, name, script, seconds):
    api = Api(platform, platform.token())
    project = api.project(name)
    sha = commit_files(tmp_path / name, {".gitlab-ci.yml": f"job:\n  timeout: 5 seconds\n  script:\n    - \"{script}\"\n"})
    git("push", "-q", platform.repo_url(f"root/{name}"), "main", cwd=tmp_path / name)
    assert api.wait_pipeline(project["id"], sha, seconds=seconds)["status"] == "failed"
    job = api.job(project["id"], api.pipelines(project["id"])[0]["id"], "job")
    assert job["failure_reason"] in ("job_execution_timeout", "script_failure", "runner_system_failure")
