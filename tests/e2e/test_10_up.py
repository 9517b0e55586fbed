"""`slipway up`: health, metrics, a role that dies, the order of the stop."""
import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import time

import requests

from conftest import SLIPWAY, Platform, commit_files, free_port, git, wait_until


def test_health_and_metrics(platform):
    for path in ("health", "readiness", "liveness"):
        r = requests.get(f"{platform.url}/-/{path}", timeout=5)
        assert r.status_code == 200, path
    text = requests.get(f"{platform.url}/metrics", timeout=5).text
    for name in ("slipway_build_info", "slipway_http_requests_total", "slipway_jobs_pending", "slipway_resident_memory_bytes"):
        assert f"\n{name}" in "\n" + text, name


def test_a_role_that_dies_is_started_again(own_platform):
    p = own_platform.start()
    for role in ("server", "edge", "runner"):
        old = p.role_pid(role)
        os.kill(old, signal.SIGKILL)

        def back():
            try:
                return p.role_pid(role) != old and requests.get(p.url + "/-/readiness", timeout=5).status_code == 200
            except (OSError, ValueError, requests.RequestException):
                return False

        wait_until(back, 20, f"{role} again")
    assert p.stop() == 0


def test_a_server_that_dies_after_a_steady_run_is_started_at_once(own_platform):
    p = own_platform.start()
    time.sleep(10.5)  # what the supervisor calls steady
    for delay in ("0", "100"):
        old = p.role_pid("server")
        os.kill(old, signal.SIGKILL)
        # The edge holds the request until the server is back: nobody notices.
        assert requests.get(p.url + "/-/readiness", timeout=10).status_code == 200
        assert f"role ended, starting it again which=server status=137 in_ms={delay}\n" in p.log.read_text()
    assert p.stop() == 0


def test_what_fails_inside_is_logged_with_its_request(own_platform):
    p = own_platform.start()
    api = {"PRIVATE-TOKEN": p.token()}
    r = requests.post(p.url + "/api/v4/projects", headers=api, timeout=10,
                      data={"name": "broken", "visibility": "public"})
    assert r.status_code == 201, r.text
    with contextlib.closing(sqlite3.connect(p.state / "slipway.db", isolation_level=None)) as db:
        db.execute("ALTER TABLE pipelines RENAME TO lost")
    r = requests.get(p.url + "/root/broken/-/pipelines", timeout=10)
    assert r.status_code == 500 and str(p.state) not in r.text
    assert re.search(f"error server: page failed id={r.headers['X-Request-Id']} error=.*pipelines", p.log.read_text())
    assert p.stop() == 0


def test_killed_supervisor_takes_its_roles_along(own_platform):
    p = own_platform.start()
    pids = [p.role_pid(r) for r in ("server", "edge", "runner")]
    p.process.kill()
    p.process.wait()

    def gone(pid):
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except OSError:
            return True

    wait_until(lambda: all(gone(pid) for pid in pids), 20, "roles gone")
    p.process = None
    p.start()
    assert requests.get(p.url + "/-/readiness", timeout=5).status_code == 200


def test_requests_in_flight_are_answered_at_the_stop(own_platform):
    p = own_platform.start()
    errors, answered = [], 0
    with requests.Session() as s:
        s.get(p.url + "/-/liveness", timeout=5)
        p.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                r = s.get(p.url + "/-/liveness", timeout=5)
                answered += 1
                assert r.status_code == 200
                if r.headers.get("Connection") == "close":
                    break
            except requests.ConnectionError as e:
                errors.append(e)
                break
    # Either an answer said that it was the last, or the listener was gone: no other failure.
    assert answered or all("refused" in str(e) or "reset" in str(e).lower() or "closed" in str(e) for e in errors)
    assert p.stop() == 0


def test_a_port_that_is_taken_is_told(tmp_path):
    import socket
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        done = subprocess.run([SLIPWAY, "up", "--state", tmp_path / "s", "--listen", f"127.0.0.1:{port}"],
                              capture_output=True, text=True, timeout=30)
    assert done.returncode != 0
    assert str(port) in done.stderr and "in use" in done.stderr.lower()


def test_an_impossible_listen_address(tmp_path):
    done = subprocess.run([SLIPWAY, "up", "--state", tmp_path / "s", "--listen", "8080"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "127.0.0.1:8080" in done.stderr


def test_a_state_folder_of_a_newer_version_is_refused(tmp_path):
    import sqlite3
    p = Platform(tmp_path / "state", free_port()).start()
    assert p.stop() == 0
    db = sqlite3.connect(p.state / "slipway.db")
    # One migration more than this program knows, as a later version would have left it.
    row = list(db.execute("select * from schema_migrations order by 1 desc limit 1"))[0]
    newer = (row[0] + 1, *row[1:])
    db.execute(f"insert into schema_migrations values ({','.join('?' * len(newer))})", newer)
    db.commit()
    db.close()
    done = subprocess.run([SLIPWAY, "up", "--state", p.state, "--listen", f"127.0.0.1:{p.port}"], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode != 0 and f"{newer[0]}" in done.stderr and "newer" in done.stderr, done.stderr


def test_behind_a_front_with_tls_addresses_are_what_people_type(tmp_path):
    p = Platform(tmp_path / "s", args=["--external-url", "https://git.example.org", "--pages-domain", "pages.example.org"])
    p.start()
    try:
        token = p.token()
        made = requests.post(p.url + "/api/v4/projects", headers={"PRIVATE-TOKEN": token}, timeout=20,
                             data={"name": "front", "visibility": "public"}).json()
        assert made["http_url_to_repo"] == "https://git.example.org/root/front.git"
        repo = tmp_path / "r"
        commit_files(repo, {"public/index.html": "hello", ".gitlab-ci.yml":
                     "pages:\n  script: echo at=$CI_PAGES_URL\n  artifacts: {paths: [public]}\n"})
        git("push", "-q", f"http://root:{token}@localhost:{p.port}/root/front.git", "main", cwd=repo)
        page = lambda path: requests.get(p.url + path, timeout=20, headers={"Host": "git.example.org"}).text
        wait_until(lambda: "at=https://root.pages.example.org/front" in page("/root/front/-/jobs/1/raw"), 60)
        wait_until(lambda: 'href="https://root.pages.example.org/front' in page("/root/front"), 60)
    finally:
        p.stop()


def test_a_runner_that_cannot_start_does_not_take_the_rest_along(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIPWAY_SANDBOX", "nonsense")
    p = Platform(tmp_path / "state").start()
    assert "Runner    none" in p.banner and "nonsense" in p.log.read_text()
    assert requests.get(p.url + "/-/readiness", timeout=5).status_code == 200
    assert p.stop() == 0
