"""A runner alone, against a server that speaks only the runner protocol."""
import gzip
import io
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from conftest import SLIPWAY, commit_files, git, wait_until

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from fake_gitlab import RUNNER_TOKEN, FakeGitLab  # noqa: E402


class Runner:
    def __init__(self, server, folder, args=(), user=None):
        self.server, self.folder, self.args = server, pathlib.Path(folder), list(args)
        self.builds = self.folder / "builds"
        self.log = self.folder / "runner.log"
        self.user = user
        self.process = None

    def start(self):
        command = [SLIPWAY, "runner", "--url", self.server.url, "--token", RUNNER_TOKEN, "--name", "tester",
                   "--builds-dir", self.builds, "--kill-grace", "1", "--drain", "10", *self.args]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(c) for c in command], stdout=log, stderr=log, user=self.user,
                                            stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                assert self.process.wait(30) == 0, self.text()
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        return self.text()

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def text(self):
        return self.log.read_text(errors="replace")


def marked(mark):
    """Processes whose command line or environment holds the mark, wherever they run."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            text = (p / "cmdline").read_bytes() + (p / "environ").read_bytes()
        except OSError:
            continue
        if mark.encode() in text and int(p.name) != os.getpid():
            found.append(int(p.name))
    return found


@pytest.fixture
def server(tmp_path):
    repos = tmp_path / "repos"
    repos.mkdir()
    s = FakeGitLab(repos)
    yield s
    s.stop()
    assert not s.complaints, s.complaints


@pytest.fixture
def new_runner(server, tmp_path):
    made = []

    def make(*args, **more):
        folder = tmp_path / f"runner{len(made)}"
        folder.mkdir()
        os.chmod(folder, 0o755)
        made.append(Runner(server, folder, args, **more).start())
        return made[-1]

    # Runners of another user have to reach their folder.
    for p in [tmp_path, *tmp_path.parents]:
        if str(p).startswith("/tmp/") and os.stat(p).st_uid == os.getuid():
            os.chmod(p, os.stat(p).st_mode | 0o055)
    yield make
    for r in made:
        text = r.stop()
        assert "ERROR: AddressSanitizer" not in text and "runtime error:" not in text, text
        assert "LeakSanitizer" not in text, text


@pytest.fixture
def runner(new_runner):
    return new_runner("--concurrent", "3")


def test_a_job_succeeds(server, runner):
    job = server.finished(server.add_job(["echo hello $WHO", "echo second"],
                                         variables=[{"key": "WHO", "value": "world"}]))
    assert job.state == "success" and job.reason is None
    text = job.text
    assert re.search(r"Running with slipway-runner .*\n.*  on tester", text)
    assert "\x1b[32;1m$ echo hello $WHO\x1b[0;m\nhello world\n" in text
    assert text.rstrip().endswith("\x1b[32;1mJob succeeded\x1b[0;m")
    for name in ("prepare_executor", "prepare_script", "get_sources", "step_script", "cleanup_file_variables"):
        assert re.search(rf"section_start:\d+:{name}\r\x1b\[0K", text), name
        assert re.search(rf"section_end:\d+:{name}\r\x1b\[0K", text), name
    assert job.updates[0]["state"] == "running"


def test_a_failing_command_ends_the_script(server, runner):
    job = server.finished(server.add_job(["echo before", "sh -c 'exit 7'", "echo never-$((1+1))"]))
    assert (job.state, job.reason, job.exit_code) == ("failed", "script_failure", 7)
    assert "ERROR: Job failed: exit code 7" in job.text and "never-2" not in job.text


def test_a_failing_pipe_ends_the_script(server, runner):
    job = server.finished(server.add_job(["false | cat", "echo never-$((1+1))"]))
    assert job.state == "failed" and "never-2" not in job.text


def test_after_script_runs_and_knows_the_status(server, runner):
    good = server.add_job(["true"], ["echo status=$CI_JOB_STATUS"])
    bad = server.add_job(["false"], ["echo status=$CI_JOB_STATUS", "exit 9"])
    assert "status=success" in server.finished(good).text and good.state == "success"
    assert "status=failed" in server.finished(bad).text and bad.exit_code == 1
    assert "after_script failed, but job will continue unaffected" in bad.text


def test_the_first_line_is_visible_at_once(server, runner):
    job = server.add_job(["echo first-line-is-here", "sleep 5"])
    server.wait(lambda: "\nfirst-line-is-here" in job.text, 4, "the first line while the job runs")
    assert not job.ended
    job.job_status = "canceled"


def test_cancel_runs_after_script_once(server, runner):
    job = server.add_job(["echo started", "sleep 60"], ["echo status=$CI_JOB_STATUS"])
    server.wait(lambda: "\nstarted" in job.text)
    job.job_status = "canceling"
    server.finished(job, 15)
    assert job.state == "failed" and job.text.count("\nstatus=canceled") == 1
    assert "Job failed: canceled" in job.text


@pytest.mark.parametrize("how", ["canceled", "gone"])
def test_a_job_nobody_wants_is_ended_at_once(server, runner, how):
    job = server.add_job(["echo started", "sleep 61.7"], ["echo after-$((1+1))"])
    server.wait(lambda: "\nstarted" in job.text)
    assert wait_until(lambda: marked("61.7"))
    job.job_status = how
    wait_until(lambda: not marked("61.7"), 10, "the job's processes to end")
    assert "after-2" not in job.text
    # The slot is free again.
    assert server.finished(server.add_job(["true"])).state == "success"


def test_timeout_beats_a_job_that_ignores_sigterm(server, runner):
    job = server.add_job(["trap '' TERM INT HUP", "echo started", "for i in 1 2 3 4 5 6 7 8 9; do sleep 10; done"],
                         timeout=2)
    server.finished(job, 20)
    assert (job.state, job.reason) == ("failed", "job_execution_timeout")
    assert "took longer than 2 seconds" in job.text


def test_variables(server, runner):
    v = [{"key": "A", "value": "x$B"}, {"key": "B", "value": "y"}, {"key": "RAW", "value": "$B", "raw": True},
         {"key": "DOLLAR", "value": "a$$b"}, {"key": "UNKNOWN", "value": "<$NOPE>"},
         {"key": "FILE", "value": "line 1\nline 2\n", "file": True}, {"key": "PATH", "value": "$PATH:/extra"},
         {"key": "DUP", "value": "1"}, {"key": "DUP", "value": "2"}]
    job = server.finished(server.add_job(
        ['echo "A=$A RAW=$RAW D=$DOLLAR U=$UNKNOWN DUP=$DUP"', 'cat "$FILE"', 'stat -c mode=%a "$FILE"',
         'echo "P=$PATH"', 'echo "dir=$CI_PROJECT_DIR pwd=$(pwd)"', 'echo home=$HOME; touch $HOME/x'], variables=v))
    assert job.state == "success", job.text
    assert "A=xy RAW=$B D=a$b U=<> DUP=2" in job.text
    assert "line 1\nline 2\nmode=600" in job.text.replace("\x1b[0;m", "").replace("\r", "") or "mode=600" in job.text
    assert "/bin:/extra" in job.text
    assert "dir=/builds/group/proj pwd=/builds/group/proj" in job.text


def test_secrets_are_masked(server, runner):
    v = [{"key": "SECRET", "value": "s3cr3t-value", "masked": True},
         {"key": "LONGER", "value": "s3cr3t-value-and-more", "masked": True}]
    job = server.finished(server.add_job(
        ['echo "<$SECRET> <$LONGER>"', 'printf "s3cr3t"; sleep 0.3; printf -- "-value\\n"', 'echo "token $CI_JOB_TOKEN."',
         'echo glpat-abcdef12345 end'], variables=v))
    assert job.state == "success"
    assert "<[MASKED]> <[MASKED]>" in job.text and "token [MASKED]." in job.text
    assert "glpat-[MASKED] end" in job.text
    assert "s3cr3t" not in job.text.replace("printf", "") or "s3cr3t-value" not in job.text


def test_sources_are_fetched_and_reused(server, new_runner, tmp_path):
    new_runner("--concurrent", "1")
    work = tmp_path / "work"
    sha = commit_files(work, {"a.txt": "one\n", "sub/b.txt": "two\n"})
    git("clone", "-q", "--bare", work, server.repos / "proj.git")
    check = ["cat a.txt sub/b.txt", "git rev-parse HEAD", "git status --porcelain", "cat .git/config", "ls -a"]
    job = server.finished(server.add_job(check + ["touch left-over", "echo evil >> .git/config"], repo="proj", sha=sha))
    assert job.state == "success", job.text
    assert "one\ntwo" in job.text and sha in job.text
    assert f"Checking out {sha[:8]} as detached HEAD (ref is main)" in job.text
    assert job.token not in job.text and "gitlab-ci-token" not in job.text
    sha2 = commit_files(work, {"a.txt": "three\n"})
    git("push", "-q", server.repos / "proj.git", "main", cwd=work)
    again = server.finished(server.add_job(check, repo="proj", sha=sha2))
    assert again.state == "success" and "three" in again.text, again.text
    assert "\nleft-over" not in again.text and "evil" not in again.text
    # The job's own Git commands reach the server; the token stays masked however it is written.
    own = server.finished(server.add_job(["git ls-remote origin", "env | grep GIT_CONFIG_VALUE"], repo="proj", sha=sha2))
    assert own.state == "success" and "refs/heads/main" in own.text and "Basic [MASKED]" in own.text, own.text
    # A repository that an earlier job broke does not break the next one.
    server.finished(server.add_job(["rm -rf .git/objects/pack .git/objects/??; echo x > .git/shallow"], repo="proj", sha=sha2))
    healed = server.finished(server.add_job(["cat a.txt"], repo="proj", sha=sha2))
    assert healed.state == "success", healed.text


def test_a_missing_commit_is_a_clear_failure(server, runner, tmp_path):
    work = tmp_path / "work"
    commit_files(work, {"a": "1"})
    git("clone", "-q", "--bare", work, server.repos / "proj.git")
    job = server.finished(server.add_job(["echo never-$((1+1))"], repo="proj", sha="1" * 40))
    assert (job.state, job.reason) == ("failed", "runner_system_failure") and "never-2" not in job.text
    assert "getting the sources failed" in job.text


def unzip(data):
    z = zipfile.ZipFile(io.BytesIO(data))
    return {i.filename.rstrip("/"): z.read(i) for i in z.infolist()}


def archive(**more):
    return {"name": "", "untracked": False, "paths": ["out/", "*.log", "deep/**/*.o"], "when": "on_success",
            "artifact_type": "archive", "artifact_format": "zip", "expire_in": "1 week", **more}


def test_artifacts_go_up(server, runner):
    job = server.finished(server.add_job(
        ["mkdir -p out/sub deep/a/b", "echo 1 > out/sub/one; echo 2 > out/two", "echo l > x.log; echo n > x.txt",
         "echo o > deep/a/b/c.o; echo o > deep/top.o", "ln -s two out/link", "echo s > out/secret.key", "chmod 755 out/two"],
        artifacts=[archive(exclude=["out/*.key"])]))
    assert job.state == "success", job.text
    (query, name, data), = job.uploads
    assert query["artifact_format"] == "zip" and query["artifact_type"] == "archive" and query["expire_in"] == "1 week"
    assert name == "artifacts.zip"
    files = unzip(data)
    assert files["out/sub/one"] == b"1\n" and files["deep/a/b/c.o"] == b"o\n" and "deep/top.o" in files
    assert files["x.log"] == b"l\n" and "x.txt" not in files and "out/secret.key" not in files
    assert "out/: found" in job.text and "Uploading artifacts for successful job" in job.text


def test_artifacts_follow_when(server, runner):
    kinds = [archive(paths=["f"], when=w, name=w) for w in ("on_success", "on_failure", "always")]
    bad = server.finished(server.add_job(["touch f", "false"], artifacts=kinds))
    good = server.finished(server.add_job(["touch f"], artifacts=kinds))
    assert [u[1] for u in bad.uploads] == ["on_failure.zip", "always.zip"]
    assert [u[1] for u in good.uploads] == ["on_success.zip", "always.zip"]
    assert bad.state == "failed" and bad.reason == "script_failure"


def test_untracked_files_and_reports(server, runner, tmp_path):
    sha = commit_files(tmp_path / "work", {"kept.txt": "1", ".gitignore": "*.tmp\n"})
    git("clone", "-q", "--bare", tmp_path / "work", server.repos / "proj.git")
    job = server.finished(server.add_job(
        ["echo new > new.txt; echo t > x.tmp; echo '<r/>' > junit.xml"], repo="proj", sha=sha,
        artifacts=[archive(paths=[], untracked=True, exclude=["junit.*"]),
                   archive(name="junit.xml", paths=["junit.xml"], when="always", artifact_type="junit", artifact_format="gzip"),
                   archive(name="raw.json", paths=["new.txt"], artifact_type="codequality", artifact_format="raw")]))
    assert job.state == "success", job.text
    assert set(unzip(job.uploads[0][2])) == {"new.txt", "x.tmp"}
    assert job.uploads[1][1] == "junit.xml.gz" and gzip.decompress(job.uploads[1][2]) == b"<r/>\n"
    assert job.uploads[2][2] == b"new\n"


def test_artifacts_over_the_limit(server, new_runner):
    new_runner("--artifact-max", "100K")
    job = server.finished(server.add_job(["head -c 1000000 /dev/urandom > f"], artifacts=[archive(paths=["f"])]))
    assert job.state == "failed" and "larger than this runner allows" in job.text and not job.uploads


def test_artifacts_without_files(server, runner):
    job = server.finished(server.add_job(["true"], artifacts=[archive(paths=["nothing/"])]))
    assert job.state == "success" and "nothing/: no matching files" in job.text and not job.uploads


def test_artifacts_come_down(server, runner):
    first = server.finished(server.add_job(["mkdir out; echo data > out/f; printf '#!/bin/sh\\necho ran\\n' > out/run",
                                            "chmod +x out/run; ln -s f out/link"], artifacts=[archive()]))
    first.archive = first.uploads[0][2]
    dep = {"id": first.id, "token": first.token, "name": "first", "artifacts_file": {"filename": "artifacts.zip", "size": 1}}
    second = server.finished(server.add_job(["cat out/f out/link", "./out/run"], dependencies=[dep]))
    assert second.state == "success", second.text
    assert "data\ndata" in second.text and "\nran\n" in second.text


def hostile(kind):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        info = zipfile.ZipInfo({"absolute": "/tmp/evil", "dotdot": "../evil", "inner": "a/../../evil"}.get(kind, "link"))
        if kind.startswith("link"):
            info.create_system, info.external_attr = 3, 0o120777 << 16
            z.writestr(info, "/etc/passwd" if kind == "link" else "../../x")
        elif kind == "device":
            info.create_system, info.external_attr = 3, 0o020666 << 16
            z.writestr(info, "")
        else:
            z.writestr(info, "evil")
    return out.getvalue()


@pytest.mark.parametrize("kind", ["absolute", "dotdot", "inner", "link", "link-up", "device", "garbage"])
def test_hostile_archives_are_refused(server, runner, kind):
    first = server.finished(server.add_job(["true"]))
    first.archive = b"not a zip" if kind == "garbage" else hostile(kind)
    dep = {"id": first.id, "token": first.token, "name": "first", "artifacts_file": {"filename": "a.zip", "size": 1}}
    second = server.finished(server.add_job(["echo never-$((1+1))"], dependencies=[dep]))
    assert second.state == "failed" and second.reason == "runner_system_failure" and "never-2" not in second.text
    assert "refused" in second.text or "archive" in second.text


def test_the_trace_resumes_where_the_server_is(server, runner):
    job = server.add_job(["for i in 1 2 3 4 5 6 7 8; do echo line-$i; sleep 0.2; done"])
    server.wait(lambda: "line-3" in job.text)
    with server.lock:
        del job.trace[len(job.trace) // 2:]
    server.finished(job)
    assert [f"line-{i}" in job.text for i in range(1, 9)] == [True] * 8 and job.state == "success"


def test_a_lost_trace_is_sent_again(server, runner):
    server.accept_after = 2
    job = server.add_job(["echo line-1; sleep 0.5"])
    server.wait(lambda: "\nline-1" in job.text)
    with server.lock:
        job.trace[0:4] = b"XXXX"
    server.finished(job)
    assert "XXXX" not in job.text and "\nline-1" in job.text and job.state == "success"


def test_the_server_restarts_during_a_job(server, runner):
    job = server.add_job(["for i in 1 2 3 4 5 6 7 8 9 10; do echo line-$i; sleep 0.2; done"])
    server.wait(lambda: "line-2" in job.text)
    server.stop()
    time.sleep(1)
    server.start()
    server.finished(job, 40)
    assert job.state == "success" and all(f"line-{i}\n" in job.text for i in range(1, 11))
    assert server.finished(server.add_job(["true"]), 40).state == "success"


def test_answers_503_for_a_while(server, runner):
    bad = iter([503] * 6)
    server.faults.append(lambda method, path: next(bad, None) if method in ("PUT", "PATCH") else None)
    job = server.finished(server.add_job(["echo hello"]), 40)
    assert job.state == "success" and "\nhello" in job.text


def test_three_jobs_at_once(server, runner):
    jobs = [server.add_job([f"echo start-{i}", "sleep 1.5"], project_id=i, project=f"g/p{i}") for i in range(3)]
    server.wait(lambda: all(f"\nstart-{i}" in j.text for i, j in enumerate(jobs)), 10)
    assert not any(j.ended for j in jobs)
    assert all(server.finished(j).state == "success" for j in jobs)


def test_idle_runner_does_not_spin(server, runner):
    server.finished(server.add_job(["true"]))
    before = server.asked
    time.sleep(1.5)
    assert server.asked - before <= 2


# ---- walls ------------------------------------------------------------------------------------------

WALLS = r"""
fail=0
refused() { if "$@" >/tmp/out 2>&1; then echo "HOLE: $*"; cat /tmp/out; fail=1; fi; }
refused ls /root
refused ls "$STATE"
refused cat "$STATE/runner.log"
refused cat /etc/shadow.does-not-exist
[ ! -s /etc/shadow ] || { cat /etc/shadow >/dev/null 2>&1 && { echo HOLE: shadow; fail=1; }; }
refused mount -t tmpfs none /tmp
refused mount --bind /tmp /usr
refused umount /proc
refused unshare -U true
refused unshare -m true
refused nsenter -t 1 -m true
refused chroot / true
refused touch /usr/x /etc/x /x
refused mknod /tmp/dev b 8 0
refused sh -c 'echo 1 > /proc/sys/kernel/sysrq'
refused sh -c 'echo b > /proc/sysrq-trigger'
refused cat /proc/1/environ
refused ls /proc/1/fd
refused kill -0 "$RUNNER_PID"
refused kill -9 1.0
[ "$(ls -d /proc/[0-9]* | wc -l)" -le 8 ] || { echo HOLE: processes; ls -d /proc/[0-9]*; fail=1; }
[ "$(ls /builds)" = group ] && [ "$(ls /builds/group | grep -v '\.tmp$')" = proj ] || { echo HOLE: builds; ls /builds/*; fail=1; }
grep -q '^NoNewPrivs:.1' /proc/self/status || { echo HOLE: nnp; fail=1; }
grep -q '^CapEff:.0000000000000000' /proc/self/status || { echo HOLE: caps; fail=1; }
grep -q '^Seccomp:.2' /proc/self/status || { echo HOLE: seccomp; fail=1; }
[ "$(id -u)" != 0 ] || { echo HOLE: root; fail=1; }
tr '\0' '\n' < /proc/1/cmdline /proc/1/environ 2>/dev/null | grep -q glrt- && { echo HOLE: token; fail=1; }
env | grep -q glrt- && { echo HOLE: token in env; fail=1; }
ls -l /proc/self/fd | grep -E 'socket:|anon_inode|builds/.spool|memfd' && { echo HOLE: descriptors; fail=1; }
touch writable && mkdir -p d && touch "$HOME/x" /tmp/x /dev/shm/x /var/tmp/x || { echo CANNOT WRITE; fail=1; }
[ "$fail" = 0 ] && echo ALL WALLS STAND
"""


def check_walls(server, runner):
    job = server.finished(server.add_job([WALLS], variables=[
        {"key": "STATE", "value": str(runner.folder)}, {"key": "RUNNER_PID", "value": str(runner.process.pid)}]))
    assert job.state == "success" and "\nALL WALLS STAND\n" in job.text and "\nHOLE" not in job.text, job.text


def test_walls(server, runner):
    check_walls(server, runner)


@pytest.fixture
def own_runner(server, tmp_path):
    """A runner of an ordinary user: jobs live in user namespaces."""
    folder = tmp_path / "own"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    for p in folder.parents:
        if str(p).startswith("/tmp/"):
            os.chmod(p, os.stat(p).st_mode | 0o055)
    made = []

    def make(*args):
        made.append(Runner(server, folder, args, user=65534).start())
        return made[-1]
    yield make
    for r in made:
        r.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_walls_without_root(server, own_runner):
    check_walls(server, own_runner())
    job = server.finished(server.add_job(["mkdir out; echo 1 > out/f"], artifacts=[archive()]))
    assert job.state == "success" and unzip(job.uploads[0][2])["out/f"] == b"1\n", job.text


def test_jobs_do_not_see_each_other(server, runner):
    a = server.add_job(["echo secret > /tmp/mine; echo secret > here", "sleep 3 & wait"], project_id=1, project="g/a",
                       variables=[{"key": "MARK", "value": "mark-of-a"}])
    b = server.add_job(["sleep 0.7; ls /tmp /builds/g; cat /proc/[0-9]*/environ | tr '\\0' '\\n' | grep -c ^MARK=mark-of-a || true",
                        "kill -9 -1 || true"], project_id=2, project="g/b")
    server.finished(b)
    assert "\nmine" not in b.text and "\na\n" not in b.text and "\n0\n" in b.text, b.text
    assert server.finished(a).state == "success", a.text


def test_a_fork_bomb_stays_inside(server, new_runner):
    new_runner("--concurrent", "2", "--job-pids", "128")
    bomb = server.add_job(["bomb() { bomb | bomb & }; bomb; sleep 30"], timeout=4, project_id=1, project="g/a")
    server.wait(lambda: bomb.state == "running")
    time.sleep(1)
    other = server.finished(server.add_job(["echo still-alive"], project_id=2, project="g/b"), 20)
    assert other.state == "success"
    server.finished(bomb, 30)
    assert bomb.state == "failed"


@pytest.mark.skipif(os.getuid() != 0 or not os.access("/sys/fs/cgroup", os.W_OK), reason="needs writable cgroups")
def test_memory_is_limited(server, new_runner):
    r = new_runner("--job-memory", "96M", "--job-tmp", "1M")
    if "jobs get no cgroup" in r.text():
        pytest.skip("no cgroup here")
    job = server.finished(server.add_job(["python3 -c 'x = b\"a\" * (400 << 20)'"]))
    assert job.state == "failed" and job.exit_code == 137 and "its memory limit was reached" in job.text, job.text


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_a_fork_bomb_without_root(server, own_runner):
    own_runner("--job-pids", "100", "--concurrent", "2")
    bomb = server.add_job(["bomb() { bomb | bomb & }; bomb; sleep 30"], timeout=4, project_id=1, project="g/a")
    server.wait(lambda: bomb.state == "running")
    time.sleep(0.5)
    assert server.finished(server.add_job(["echo alive"], project_id=2, project="g/b"), 20).state == "success"
    assert server.finished(bomb, 30).state == "failed"


def test_a_disk_filler_is_stopped(server, new_runner):
    new_runner("--job-disk", "30M", "--job-tmp", "8M")
    job = server.finished(server.add_job(
        ["dd if=/dev/zero of=/tmp/big bs=1M count=64 2>/dev/null && echo tmp-not-limited || true; rm -f /tmp/big",
         "i=0; while [ $i -lt 200 ]; do i=$((i+1)); dd if=/dev/zero of=f$i bs=1M count=4 2>/dev/null; sleep 0.05; done; echo never-$((1+1))"]))
    assert job.state == "failed" and "never-2" not in job.text and "tmp-not-limited\n" not in job.text.replace("echo tmp-not-limited", "")
    assert "grew beyond 30 MiB" in job.text
    # One single file cannot pass the limit either.
    one = server.finished(server.add_job(["dd if=/dev/zero of=big bs=1M count=64", "echo never-$((1+1))"]))
    assert one.state == "failed" and "never-2" not in one.text


def test_output_without_end_is_cut(server, new_runner):
    new_runner("--log-limit", "100K")
    job = server.finished(server.add_job(["yes abcdefghij | head -c 2000000 || true", "echo done"]))
    assert job.state == "success" and len(job.trace) < 130 * 1024 and "the rest is dropped" in job.text


def test_kill_9_of_the_runner_leaves_nothing(server, new_runner):
    r = new_runner("--concurrent", "1")
    job = server.add_job(["echo started", "(setsid sleep 67.31 &)", "sleep 67.31"])
    server.wait(lambda: "\nstarted" in job.text)
    wait_until(lambda: len(marked("67.31")) >= 2)
    r.kill()
    wait_until(lambda: not marked("67.31"), 5, "the job's processes to end")
    assert str(r.builds) not in pathlib.Path("/proc/mounts").read_text()
    # The next runner on the same folder sweeps what is left and works.
    r.start()
    assert server.finished(server.add_job(["true"])).state == "success"
    r.stop()
    left = [g for g in pathlib.Path("/sys/fs/cgroup").glob("**/slipway-r_*")
            if g.name == "slipway-" + (r.builds / ".system_id").read_text().strip()]
    assert not left


def test_kill_9_without_a_sandbox_is_swept(server, new_runner):
    r = new_runner("--sandbox=off", "--concurrent", "1")
    job = server.add_job(["echo started; sleep 69.1"], variables=[{"key": "F", "value": "secret", "file": True}])
    server.wait(lambda: "\nstarted" in job.text)
    r.kill()
    assert list(r.builds.glob("*/*.tmp"))
    wait_until(lambda: not marked("sleep\x0069.1"), 5, "the job's processes to end")
    r.start()
    server.finished(server.add_job(["true"]))
    assert not list(r.builds.glob("*/*.tmp"))


def test_sigterm_waits_for_jobs_then_ends(server, new_runner):
    r = new_runner("--concurrent", "1")
    job = server.add_job(["echo started; sleep 1; echo finished"])
    server.wait(lambda: "\nstarted" in job.text)
    r.stop()
    assert job.state == "success" and "finished" in job.text


def test_sigterm_ends_jobs_after_the_drain(server, new_runner):
    r = new_runner("--concurrent", "1", "--drain", "500ms")
    job = server.add_job(["echo started; sleep 66.6"])
    server.wait(lambda: "\nstarted" in job.text)
    r.stop()
    assert job.state == "failed" and "the runner was stopped" in job.text and not marked("66.6")


def test_stopping_does_not_wait_for_a_dead_server(server, new_runner):
    r = new_runner("--concurrent", "1", "--drain", "0s")
    job = server.add_job(["echo started; sleep 70.1"])
    server.wait(lambda: "\nstarted" in job.text)
    server.stop()
    begin = time.monotonic()
    r.stop()
    assert time.monotonic() - begin < 20 and "did not reach the server" in r.text()
    server.start()


def test_a_wrong_token_is_told_at_once(server, tmp_path):
    done = subprocess.run([SLIPWAY, "runner", "--url", server.url, "--token", "glrt-wrong", "--builds-dir", tmp_path / "b"],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    assert done.returncode != 0 and "does not know this runner's token" in done.stdout


def test_two_runners_do_not_share_builds(server, runner):
    server.finished(server.add_job(["true"]))
    done = subprocess.run([SLIPWAY, "runner", "--url", server.url, "--token", RUNNER_TOKEN, "--builds-dir", runner.builds],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    assert done.returncode != 0 and "another runner is using" in done.stdout


def test_registration(server, tmp_path, new_runner):
    token = tmp_path / "token"
    done = subprocess.Popen([SLIPWAY, "runner", "--url", server.url, "--registration-token", "registration", "--token-file",
                             token, "--builds-dir", tmp_path / "b", "--max-jobs", "1"],
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        job = server.finished(server.add_job(["echo hi"]))
        assert job.state == "success" and token.read_text() == RUNNER_TOKEN
        assert token.stat().st_mode & 0o777 == 0o600
        assert done.wait(20) == 0
    finally:
        done.kill()
        done.stdout.close()


def test_without_a_sandbox_on_request(server, new_runner):
    r = new_runner("--sandbox=off", "--concurrent", "1")
    job = server.finished(server.add_job(["echo hello; pwd; cat $F", "(sleep 68.3 &)"],
                                         variables=[{"key": "F", "value": "file-text\n", "file": True}]))
    assert job.state == "success" and "the job is not isolated" in job.text and "\nfile-text" in job.text
    assert str(r.builds) in job.text and not marked("68.3")
    assert not list(r.builds.glob("*/*.tmp"))


def test_refused_namespaces_are_explained(server, tmp_path):
    """A filter that refuses to make namespaces, as a container's does: no job runs, and why is said."""
    builds = tmp_path / "b"
    script = ("import ctypes,os,sys\n"
              "libc=ctypes.CDLL(None,use_errno=True)\n"
              "open('/proc/sys/user/max_mnt_namespaces','w').write('0')\n"
              "os.execv(sys.argv[1],sys.argv[1:])\n")
    args = [SLIPWAY, "runner", "--url", server.url, "--token", RUNNER_TOKEN, "--builds-dir", builds]
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--", "/usr/bin/python3", "-c", script,
                           *map(str, args)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)
    assert done.returncode != 0
    assert "cannot be sandboxed here" in done.stdout and "--sandbox=off" in done.stdout, done.stdout
