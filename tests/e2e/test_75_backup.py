"""A backup taken while the platform works, restored elsewhere, holds everything that was there."""
import subprocess
import sys
import threading

from conftest import ROOT, SLIPWAY, Platform, commit_files, git

sys.path.insert(0, str(ROOT / "tests/lib"))
from api import Api  # noqa: E402

CI = "pages:\n  script: ['mkdir public', 'echo kept > public/index.html', 'echo from the job']\n  artifacts: {paths: [public]}\n"


def test_backup_while_running_and_restore(tmp_path):
    p = Platform(tmp_path / "one").start()
    api = Api(p, p.token())
    project = api.project("kept")
    sha = commit_files(tmp_path / "w", {".gitlab-ci.yml": CI})
    git("push", "-q", p.repo_url("root/kept"), "main", cwd=tmp_path / "w")
    pipeline = api.wait_pipeline(project["id"], sha)
    assert pipeline["status"] == "success"
    password = p.password()

    over = threading.Event()

    def load():
        n = 0
        while not over.is_set():
            n += 1
            commit_files(tmp_path / "w", {"n": str(n)})
            git("push", "-q", p.repo_url("root/kept", password=password), "main", cwd=tmp_path / "w", check=False)

    pusher = threading.Thread(target=load)
    pusher.start()
    try:
        done = subprocess.run([SLIPWAY, "backup", "--state", p.state, tmp_path / "b.tar.zst"], capture_output=True,
                              text=True, timeout=60)
    finally:
        over.set()
        pusher.join()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b.tar.zst").stat().st_mode & 0o077 == 0
    assert p.stop() == 0

    q = Platform(tmp_path / "two")
    done = subprocess.run([SLIPWAY, "restore", "--state", q.state, tmp_path / "b.tar.zst"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 0, done.stderr
    q.start()
    try:
        assert q.password() == password
        api = Api(q, q.token())
        job = api.job(project["id"], pipeline["id"], "pages")
        assert "from the job" in api.trace(project["id"], job["id"])
        got = api.request("GET", f"projects/{project['id']}/jobs/{job['id']}/artifacts/public/index.html")
        assert got.status_code == 200 and got.text == "kept\n"
        git("clone", "-q", q.repo_url("root/kept"), str(tmp_path / "clone"))
        git("fsck", "--strict", cwd=tmp_path / "clone")
        assert git("cat-file", "-t", sha, cwd=tmp_path / "clone").stdout.strip() == "commit"
    finally:
        q.stop()


def test_restore_into_a_folder_in_use_is_refused(tmp_path):
    (tmp_path / "s").mkdir()
    (tmp_path / "s/file").write_text("x")
    done = subprocess.run([SLIPWAY, "restore", "--state", tmp_path / "s", "nothing.tar.zst"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 5 and "not empty" in done.stderr
    done = subprocess.run([SLIPWAY, "restore", "--state", tmp_path / "t", "nothing.tar.zst"], capture_output=True, text=True, timeout=20)
    assert done.returncode != 0 and "nothing.tar.zst" in done.stderr
    assert not (tmp_path / "t").exists() and not list(tmp_path.glob("t.restoring*"))
