"""Slipway hosts and builds itself: this repository is pushed to it, its own pipeline runs in it."""
import os
import shutil
import subprocess
import sys

import pytest
import requests

from conftest import BUILD, ROOT, git

sys.path.insert(0, str(ROOT / "tests/lib"))
from api import Api  # noqa: E402


@pytest.mark.skipif("SLIPWAY_NESTED" in os.environ or os.environ.get("CI_SERVER_NAME") == "Slipway",
                    reason="already inside Slipway")
def test_its_own_repository(platform, tmp_path):
    api = Api(platform, platform.token())
    project = api.project("slipway")
    clone = tmp_path / "slipway"
    git("clone", "-q", "--no-hardlinks", str(ROOT), str(clone))
    git("checkout", "-q", "-B", "main", cwd=clone)
    sha = git("rev-parse", "HEAD", cwd=clone).stdout.strip()
    git("push", "-q", platform.repo_url("root/slipway"), "main", cwd=clone)
    pipeline = api.wait_pipeline(project["id"], sha, seconds=540)
    jobs = {j["name"]: j for j in api.jobs(project["id"], pipeline["id"])}
    for name, job in jobs.items():
        if job["status"] != "success":
            print(name, job["status"], api.trace(project["id"], job["id"])[-4000:])
    assert {n: j["status"] for n, j in jobs.items()} == {
        "build": "success", "unit-tests": "success", "documentation": "success", "pages": "success"}
    page = requests.get(f"http://127.0.0.1:{platform.port}/slipway/",
                        headers={"Host": f"root.pages.localhost:{platform.port}"}, timeout=10)
    assert page.status_code == 200 and "<h1>Slipway</h1>" in page.text

    binary = api.request("GET", f"projects/{project['id']}/jobs/{jobs['build']['id']}/artifacts/build-ci/src/cmd/slipway")
    assert binary.status_code == 200
    path = tmp_path / "slipway-from-artifact"
    path.write_bytes(binary.content)
    path.chmod(0o755)
    assert subprocess.run([path, "version"], capture_output=True, text=True).stdout.startswith("slipway ")
