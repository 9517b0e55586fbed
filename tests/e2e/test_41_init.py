"""slipway-init as PID 1 of a namespace and as a plain parent."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import pytest

from conftest import SLIPWAY, wait_until

INIT = pathlib.Path(SLIPWAY).resolve().parents[1] / "init/slipway-init"
NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
if os.getuid() != 0:
    NAMESPACE[1:1] = ["--user", "--map-root-user"]


@pytest.fixture(params=["pid1", "parent"])
def run(request):
    prefix = NAMESPACE if request.param == "pid1" else []

    def start(*command, **more):
        return subprocess.run([*prefix, str(INIT), *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=60, **more)
    return start


@pytest.mark.parametrize("script,status", [("exit 0", 0), ("exit 7", 7), ("exit 255", 255), ("kill -TERM $$", 143),
                                           ("kill -KILL $$", 137), ("kill -SEGV $$", 139)])
def test_status_is_the_commands(run, script, status):
    assert run("sh", "-c", script).returncode == status


def test_what_cannot_run(run, tmp_path):
    missing = run("--", "/nonexistent/x")
    assert missing.returncode == 127 and "cannot run: /nonexistent/x: No such file" in missing.stderr
    plain = tmp_path / "plain"
    plain.write_text("x")
    assert run(str(plain)).returncode == 126
    assert run("no-such-command-anywhere").returncode == 127


def test_usage():
    assert subprocess.run([INIT], stderr=subprocess.PIPE).returncode == 2
    assert subprocess.run([INIT, "--nonsense", "true"], stderr=subprocess.PIPE).returncode == 2
    assert b"usage:" in subprocess.run([INIT, "--help"], stdout=subprocess.PIPE, check=True).stdout
    assert b"slipway-init 0." in subprocess.run([INIT, "--version"], stdout=subprocess.PIPE, check=True).stdout
    assert subprocess.run([INIT, "--sandbox"], stderr=subprocess.PIPE).returncode == 125


@pytest.mark.parametrize("name", ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "WINCH", "CONT"])
def test_signals_reach_the_command(name):
    p = subprocess.Popen([INIT, "sh", "-c", f"trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.05; done"],
                         stdout=subprocess.PIPE, text=True)
    assert p.stdout.readline() == "ready\n"
    p.send_signal(getattr(signal, "SIG" + name))
    assert p.stdout.readline() == "got\n"
    assert p.wait(10) == 3


def test_the_command_starts_with_clean_signals():
    """Blocked signals are init's business; what was ignored by the caller stays ignored."""
    code = "import signal,os;print(signal.pthread_sigmask(signal.SIG_BLOCK,[])==set(), signal.getsignal(signal.SIGUSR1)==signal.SIG_IGN)"
    out = subprocess.run(["sh", "-c", f"trap '' USR1; exec {INIT} {sys.executable} -c '{code}'"], stdout=subprocess.PIPE,
                         text=True, timeout=20).stdout
    assert out == "True True\n"


def test_orphans_are_reaped():
    script = ("i=0; while [ $i -lt 1500 ]; do (true & ) ; i=$((i+1)); done; sleep 0.3; "
              "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l")
    p = subprocess.run([*NAMESPACE, str(INIT), "sh", "-c", script], stdout=subprocess.PIPE, text=True, timeout=60)
    assert p.returncode == 0 and int(p.stdout) == 0


def test_it_waits_without_waking():
    p = subprocess.Popen([INIT, "sleep", "30"])
    try:
        def switches():
            text = pathlib.Path(f"/proc/{p.pid}/status").read_text()
            return int(text.split("voluntary_ctxt_switches:")[1].split()[0])
        wait_until(lambda: pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text())
        time.sleep(0.2)
        before = switches()
        time.sleep(1)
        assert switches() == before
    finally:
        p.terminate()
        p.wait(10)


@pytest.mark.skipif(not shutil.which("musl-gcc"), reason="the small build needs musl-gcc")
def test_it_is_small():
    assert INIT.stat().st_size <= 80_000
