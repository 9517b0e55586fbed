"""The whole way: a push, a pipeline, a page; the sample; the second start; nothing left behind."""
import os
import pathlib
import re
import signal
import subprocess
import sys

import requests

from conftest import ROOT, Platform, commit_files, free_port, git, wait_until

sys.path.insert(0, str(ROOT / "tests/lib"))
from api import Api  # noqa: E402

CI = """
stages: [build, test, publish]
make:
  stage: build
  script:
    - mkdir out
    - echo "made by $CI_JOB_NAME for $CI_COMMIT_REF_NAME" | tee out/made.txt
  artifacts:
    paths: [out]
check:
  stage: test
  needs: [make]
  script: ["grep -q 'made by make' out/made.txt"]
doubtful:
  stage: test
  allow_failure: true
  script: ["exit 3"]
pages:
  stage: publish
  script: ["mkdir public && cp out/made.txt public/index.html"]
  artifacts:
    paths: [public]
"""


def get_page(platform, host, path, **headers):
    return requests.get(f"http://127.0.0.1:{platform.port}{path}", headers={"Host": f"{host}:{platform.port}", **headers},
                        timeout=10)


def test_push_to_page(platform, tmp_path):
    api = Api(platform, platform.token())
    project = api.project("way")
    sha = commit_files(tmp_path / "way", {".gitlab-ci.yml": CI, "README.md": "# way\n"})
    git("push", "-q", platform.repo_url("root/way"), "main", cwd=tmp_path / "way")
    pipeline = api.wait_pipeline(project["id"], sha)
    states = {j["name"]: j["status"] for j in api.jobs(project["id"], pipeline["id"])}
    assert states == {"make": "success", "check": "success", "doubtful": "failed", "pages": "success"}
    assert pipeline["status"] == "success"
    assert pipeline["detailed_status"]["label"] == "passed with warnings"

    trace = api.trace(project["id"], api.job(project["id"], pipeline["id"], "make")["id"])
    assert "made by make for main" in trace
    page = get_page(platform, "root.pages.localhost", "/way/")
    assert page.status_code == 200 and page.text == "made by make for main\n"
    etag = page.headers["ETag"]
    assert get_page(platform, "root.pages.localhost", "/way/", **{"If-None-Match": etag}).status_code == 304
    assert get_page(platform, "root.pages.localhost", "/way/none").status_code == 404


def test_a_new_deployment_replaces_the_page(platform, tmp_path):
    api = Api(platform, platform.token())
    project = api.project("swap")
    ci = "pages:\n  script: ['mkdir public', 'cp page public/index.html']\n  artifacts: {paths: [public]}\n"
    for text in ("one", "two"):
        sha = commit_files(tmp_path / "swap", {".gitlab-ci.yml": ci, "page": text})
        git("push", "-q", platform.repo_url("root/swap"), "main", cwd=tmp_path / "swap")
        assert api.wait_pipeline(project["id"], sha)["status"] == "success"
        assert get_page(platform, "root.pages.localhost", "/swap/").text == text


def test_a_broken_configuration_is_told_with_its_place(platform, tmp_path):
    api = Api(platform, platform.token())
    project = api.project("broken")
    sha = commit_files(tmp_path / "broken", {".gitlab-ci.yml": "job:\n  script: [true]\n  sctipt: [x]\n"})
    git("push", "-q", platform.repo_url("root/broken"), "main", cwd=tmp_path / "broken")
    pipeline = api.wait_pipeline(project["id"], sha)
    assert pipeline["status"] == "failed"
    assert "3:3" in pipeline["yaml_errors"] and "sctipt" in pipeline["yaml_errors"]


def processes_of(state):
    """Pids whose command line or working folder names the state folder."""
    found = []
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit() and int(p.name) != os.getpid():
            try:
                if str(state) in (p / "cmdline").read_bytes().decode("utf-8", "replace") or \
                        str(state) in os.readlink(p / "cwd"):
                    found.append(int(p.name))
            except OSError:
                pass
    return found


def test_the_sample_twice_and_nothing_left_behind(tmp_path):
    state = tmp_path / "var"
    p = Platform(state, args=["--sample", str(ROOT / "examples/hello-site")]).start()
    banner = p.banner
    page = re.search(r"http://root\.pages\.localhost:\d+/hello-site/", banner)
    assert page and "root/hello-site.git" in banner and p.password() in banner
    api = Api(p, p.token())
    project = api.by_path("root/hello-site")
    pipeline = api.wait_pipeline(project["id"])
    states = {j["name"]: j["status"] for j in api.jobs(project["id"], pipeline["id"])}
    assert states == {"build-site": "success", "count-words": "success", "check-links": "success",
                      "spelling": "failed", "pages": "success"}
    got = get_page(p, "root.pages.localhost", "/hello-site/")
    assert got.status_code == 200 and "What a slipway is" in got.text

    pids = processes_of(state)
    assert len(pids) >= 4
    assert p.stop() == 0
    wait_until(lambda: not processes_of(state), 5, "every process gone")
    assert str(state) not in pathlib.Path("/proc/self/mountinfo").read_text()
    assert not list((state / "run").glob("*.sock")) and not list((state / "run").glob("*.pid"))
    cgroups = [d for d, _, _ in os.walk("/sys/fs/cgroup") if "slipway" in os.path.basename(d)]
    assert not [c for c in cgroups if any(str(pid) in c for pid in pids)], cgroups

    p.start()
    assert p.password() in p.banner
    assert len(api.pipelines(project["id"])) == 1
    assert get_page(p, "root.pages.localhost", "/hello-site/").status_code == 200
    assert p.stop() == 0


def test_a_second_up_on_the_same_state_is_refused(platform):
    from conftest import SLIPWAY
    done = subprocess.run([SLIPWAY, "up", "--state", platform.state, "--listen", f"127.0.0.1:{free_port()}"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert "already" in done.stderr and str(platform.state) in done.stderr


def test_make_run_and_interrupt(tmp_path):
    """The first of the README's two commands, and Ctrl-C: a terminal sends SIGINT to the whole group."""
    state = tmp_path / "run"
    port = free_port()
    p = subprocess.Popen(["make", "run", f"RUN_ARGS=--state {state} --listen 127.0.0.1:{port}"], cwd=ROOT, text=True,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    banner = ""
    try:
        while "Ctrl-C" not in banner:
            line = p.stdout.readline()
            assert line, banner
            banner += line
        for what in (f"http://localhost:{port}\n", "root / ", "/root/hello-site.git", "/-/pipelines/", f".pages.localhost:{port}/hello-site/"):
            assert what in banner
        assert (ROOT / "build/slipway").exists() and (ROOT / "build/slipway-init").exists()
    finally:
        os.killpg(p.pid, signal.SIGINT)
        p.wait(30)
        p.stdout.close()
    wait_until(lambda: not processes_of(state), 10, "every process gone")
