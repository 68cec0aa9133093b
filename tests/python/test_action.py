"""The pieces of the GitHub action, with a fake event, a fake release and a local server that stands for GitHub's API."""

import http.server
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import threading

import pytest

import specs

ACTION = specs.ROOT / ".github" / "action"
pytestmark = pytest.mark.skipif(os.name == "nt" or not shutil.which("bash"), reason="needs bash")

CLEAN = "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: 3, bias: false}\n  - batch_norm\n"
BIAS = "input: [3, 32, 32]\nlayers:\n  - conv: {out_channels: 8, kernel: 3}\n  - batch_norm\n"


class Server(http.server.ThreadingHTTPServer):
    """Files below `files`, and the comments of pull request 7."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.comments, self.calls, self.answer = {}, [], [], None
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as GitHub does."""

    def log_message(self, *_):
        """Says nothing."""

    def reply(self, status, body=b""):
        """Sends an answer."""
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        """Every method."""
        server = self.server
        if self.path in server.files:
            return self.reply(200, server.files[self.path])
        if "/issues/" not in self.path:
            return self.reply(404)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server.calls.append(self.command)
        if server.answer or self.headers["Authorization"] != "Bearer secret":
            return self.reply(server.answer or 401)
        text = json.loads(body)["body"] if body else None
        if self.command == "GET":
            page = int(re.search(r"[?&]page=(\d+)", self.path).group(1))
            assert self.path.startswith("/repos/me/nets/issues/7/comments?per_page=100&")
            return self.reply(200, json.dumps(server.comments[100 * (page - 1) : 100 * page]).encode())
        if self.command == "POST":
            assert self.path == "/repos/me/nets/issues/7/comments"
            server.comments.append({"id": 1000 + len(server.comments), "user": {"type": "Bot"}, "body": text})
            return self.reply(201, b"{}")
        number = int(self.path.rsplit("/", 1)[1])
        index = [comment["id"] for comment in server.comments].index(number)
        if self.command == "DELETE":
            del server.comments[index]
            return self.reply(204)
        server.comments[index]["body"] = text
        return self.reply(200, b"{}")

    do_GET = do_POST = do_PATCH = do_DELETE = serve


@pytest.fixture
def server():
    """A server of its own for each test."""
    found = Server()
    yield found
    found.shutdown()
    found.server_close()


class Job:
    """The files and variables of a job on a runner; the specs lie in a folder of the repository."""

    def __init__(self, folder, server=None):
        self.workspace = folder / "my nets"
        self.nets = self.workspace / "deep" / "specs"
        self.nets.mkdir(parents=True)
        self.files = {}
        self.env = {**os.environ, "GITHUB_WORKSPACE": str(self.workspace), "GITHUB_REPOSITORY": "me/nets"}
        for name in ("GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"):
            self.files[name] = folder / name
            self.files[name].write_text("")
            self.env[name] = str(self.files[name])
        self.env["GITHUB_EVENT_PATH"] = str(folder / "event.json")
        self.env["PROGRAM"] = str(specs.PROGRAM)
        if server:
            self.env |= {"GITHUB_API_URL": server.url, "GITHUB_SERVER_URL": server.url, "TOKEN": "secret"}

    def step(self, script, **env):
        """Runs a script of the action, as the step that has these variables."""
        command = [sys.executable] if script.endswith(".py") else []
        command.append(str(ACTION / script))
        return subprocess.run(command, cwd=self.nets, env={**self.env, **env}, capture_output=True, text=True)

    def outputs(self):
        """The outputs of the steps so far."""
        lines = self.files["GITHUB_OUTPUT"].read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def git(self, *args):
        """Calls git."""
        identity = ["-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *args], cwd=self.workspace, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def program(path, body):
    """Writes a program that stands for cnnkit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\nimport sys, json, pathlib\nargs = sys.argv[1:]\n{body}\n")
    path.chmod(0o755)
    return path


def check(job, **env):
    """The step that checks."""
    inputs = {"PATHS": ".", "FAIL_ON": "", "ARGS": "", "SARIF": "cnnkit.sarif", **env}
    return job.step("check.sh", **inputs)


def test_check_passes_each_line_as_one_argument(tmp_path):
    job = Job(tmp_path)
    job.env["PROGRAM"] = str(program(tmp_path / "fake", "print(json.dumps(args))"))
    done = check(job, PATHS="a b.yaml\n\n*.onnx\r\n", ARGS="--select\nCK4,style\n", FAIL_ON="error", SARIF="out/x.sarif")
    assert done.returncode == 0, done.stderr
    args = json.loads(done.stdout)
    assert args[:5] == ["check", "--fail-on", "error", "--select", "CK4,style"]
    assert args[-3:] == ["--", "a b.yaml", "*.onnx"]
    assert "sarif=out/x.sarif" in args
    assert job.outputs() == {"status": "0"}


def test_check_leaves_fail_on_to_the_project(tmp_path):
    job = Job(tmp_path)
    (job.nets / "net.yaml").write_text(BIAS)
    (job.nets / "cnnkit.toml").write_text('fail-on = "error"\n')
    assert check(job).returncode == 0
    assert job.outputs()["status"] == "0"
    check(job, FAIL_ON="warning")
    assert job.outputs()["status"] == "1"
    check(job, ARGS="--no-config")
    assert job.outputs()["status"] == "1"
    check(job, PATHS="missing.yaml")
    assert job.outputs()["status"] == "2"


def test_places_are_relative_to_the_repository(tmp_path):
    job = Job(tmp_path)
    (job.nets / "a net.yaml").write_text(BIAS)
    done = check(job, PATHS="a net.yaml")
    assert "::warning file=deep/specs/a net.yaml,line=3," in done.stdout, done.stdout
    outputs = job.outputs()
    assert outputs == {"status": "1", "sarif": "deep/specs/cnnkit.sarif"}
    sarif = json.loads((job.workspace / outputs["sarif"]).read_text())
    place = sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "deep/specs/a%20net.yaml"
    assert "CK401" in job.files["GITHUB_STEP_SUMMARY"].read_text()


def test_a_stale_sarif_file_is_not_uploaded(tmp_path):
    job = Job(tmp_path)
    (job.nets / "cnnkit.sarif").write_text("{}")
    check(job, PATHS="missing.yaml")
    assert "sarif" not in job.outputs()


# --- installing


def target():
    """The target of the release's program for this machine."""
    machine = {"arm64": "aarch64", "amd64": "x86_64"}.get(platform.machine(), platform.machine())
    return f"{machine}-{'apple-darwin' if sys.platform == 'darwin' else 'unknown-linux-gnu'}"


def release(server, tmp_path, body, wrong_sum=False):
    """Puts version 1.2.3 on the server; its program has this body."""
    name = f"cnnkit-{target()}"
    program(tmp_path / name / "cnnkit", body)
    archive = tmp_path / f"{name}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(tmp_path / name, name)
    import hashlib

    digest = hashlib.sha256(archive.read_bytes() + (b"!" if wrong_sum else b"")).hexdigest()
    base = "/owner/cnnkit/releases/download/v1.2.3"
    server.files[f"{base}/SHA256SUMS"] = f"{digest}  {archive.name}\n{digest}  other.whl\n".encode()
    server.files[f"{base}/{archive.name}"] = archive.read_bytes()


def install(job, tmp_path, **env):
    """The step that installs."""
    inputs = {"VERSION": "", "INSTALL": "auto", "REPOSITORY": "owner/cnnkit", "REF": "", "FOLDER": str(tmp_path / "to")}
    return job.step("install.sh", **{**inputs, "SOURCES": str(tmp_path / "sources"), **env})


@pytest.mark.parametrize("named", [{"VERSION": "1.2.3"}, {"VERSION": "v1.2.3"}, {"REF": "v1.2.3"}])
def test_a_release_is_installed_for_the_version_or_the_tag(tmp_path, server, named):
    job = Job(tmp_path, server)
    release(server, tmp_path, "print('cnnkit 1.2.3')")
    done = install(job, tmp_path, **named)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cnnkit 1.2.3" in done.stdout
    assert job.outputs()["program"] == str(tmp_path / "to" / "bin" / "cnnkit")
    assert job.files["GITHUB_PATH"].read_text().strip() == str(tmp_path / "to" / "bin")
    # A second run finds it in the cache: nothing is downloaded.
    server.files.clear()
    assert "already there" in install(job, tmp_path, **named).stderr


def test_a_wrong_checksum_ends_the_installation(tmp_path, server):
    job = Job(tmp_path, server)
    release(server, tmp_path, "print('cnnkit 1.2.3')", wrong_sum=True)
    done = install(job, tmp_path, VERSION="1.2.3")
    assert done.returncode == 1
    assert "another SHA-256" in done.stdout
    assert not (tmp_path / "to" / "bin").exists()


def fake_cargo(tmp_path):
    """A cargo that installs a program that prints how cargo was called."""
    body = """
root = pathlib.Path(args[args.index("--root") + 1]) / "bin"
root.mkdir(parents=True, exist_ok=True)
(root / "cnnkit").write_text("#!/bin/sh\\necho built by " + " ".join(args))
(root / "cnnkit").chmod(0o755)
"""
    program(tmp_path / "tools" / "cargo", body)
    return {"PATH": f"{tmp_path / 'tools'}{os.pathsep}{os.environ['PATH']}"}


def test_without_a_release_the_sources_of_the_action_are_built(tmp_path, server):
    job = Job(tmp_path, server)
    sources = tmp_path / "sources"
    sources.mkdir()
    shutil.copy(specs.ROOT / "Cargo.toml", sources)
    own = re.search(r'(?m)^version = "(.*)"', (sources / "Cargo.toml").read_text()).group(1)
    cargo = fake_cargo(tmp_path)
    for folder, named, called in [
        ("a", {}, f"--path {sources}"),
        ("b", {"VERSION": own}, f"--path {sources}"),
        ("c", {"VERSION": "9.9.9"}, "cnnkit@9.9.9"),
        ("d", {"REF": "main"}, f"--path {sources}"),
    ]:
        done = install(job, tmp_path, FOLDER=str(tmp_path / folder), **named, **cargo)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"--locked --quiet {called}" in done.stdout


def test_a_release_that_does_not_start_is_no_release(tmp_path, server):
    job = Job(tmp_path, server)
    release(server, tmp_path, "sys.exit(3)")
    done = install(job, tmp_path, VERSION="1.2.3", **fake_cargo(tmp_path))
    assert done.returncode == 0 and "does not run here" in done.stderr
    assert "built by install --locked --quiet cnnkit@1.2.3" in done.stdout
    done = install(job, tmp_path, VERSION="1.2.3", INSTALL="release", FOLDER=str(tmp_path / "other"))
    assert done.returncode == 1 and "::error title=cnnkit is not installed::" in done.stdout


@pytest.mark.parametrize("wrong", [{"VERSION": "1.2; rm -rf /"}, {"INSTALL": "anything"}, {"VERSION": "$(id)"}])
def test_what_is_no_version_is_refused(tmp_path, server, wrong):
    done = install(Job(tmp_path, server), tmp_path, **wrong)
    assert done.returncode == 1 and "::error" in done.stdout


# --- the comment


def pull_request(job, base):
    """Writes the event."""
    event = {"pull_request": {"number": 7, "base": {"sha": base}}}
    pathlib.Path(job.env["GITHUB_EVENT_PATH"]).write_text(json.dumps(event))


def repository(job):
    """A repository with one network, and its commit."""
    job.git("init", "-q")
    (job.nets / "net.yaml").write_text(CLEAN)
    job.git("add", "-A")
    job.git("commit", "-q", "-m", "base")
    return job.git("rev-parse", "HEAD")


def fake_diff(tmp_path, job, statuses, text="| network | params |\n"):
    """A cnnkit whose `diff` finds networks of these statuses."""
    networks = [{"name": f"n{i}", "status": status} for i, status in enumerate(statuses)]
    body = f"""
assert args[0] == "diff", args
pathlib.Path(args[-1].split("=", 1)[1]).write_text(json.dumps({{"networks": {networks!r}}}))
print({text!r})
"""
    job.env["PROGRAM"] = str(program(tmp_path / "fake", body))


def test_one_comment_is_kept_up_to_date(tmp_path, server):
    job = Job(tmp_path, server)
    pull_request(job, repository(job))
    # Somebody else's comments, more than a page of them; one imitates ours.
    server.comments = [{"id": i, "user": {"type": "User"}, "body": "hello"} for i in range(120)]
    server.comments[3]["body"] = "<!-- cnnkit diff specs --> I am not it"
    fake_diff(tmp_path, job, ["same"])
    assert "no comment" in job.step("comment.py", NAME="specs").stdout
    assert len(server.comments) == 120

    fake_diff(tmp_path, job, ["changed", "same"], "| a | 1 |\n@everyone\n")
    assert "comment written" in job.step("comment.py", NAME="specs").stdout
    text = server.comments[-1]["body"]
    assert text.startswith("<!-- cnnkit diff specs -->\n### What this does to the networks in `specs`\n\n| a | 1 |")
    assert "@everyone" not in text and "everyone" in text
    assert "| a | 1 |" in job.files["GITHUB_STEP_SUMMARY"].read_text()

    # A second one, of a race, goes away.
    server.comments.append({"id": 5000, "user": {"type": "Bot"}, "body": "<!-- cnnkit diff specs -->\nold"})
    fake_diff(tmp_path, job, ["new"], "| b | 2 |\n")
    assert "up to date" in job.step("comment.py", NAME="specs").stdout
    assert len(server.comments) == 121 and "| b | 2 |" in server.comments[-1]["body"]

    fake_diff(tmp_path, job, ["same"])
    job.step("comment.py", NAME="specs")
    assert len(server.comments) == 121 and "changes no network any more" in server.comments[-1]["body"]

    # Another folder has a comment of its own.
    fake_diff(tmp_path, job, ["deleted"])
    job.step("comment.py", NAME="other")
    assert len(server.comments) == 122


def test_a_long_comment_is_cut_at_a_line(tmp_path, server):
    job = Job(tmp_path, server)
    pull_request(job, repository(job))
    fake_diff(tmp_path, job, ["changed"], "| row | 1 |\n" * 9000)
    job.step("comment.py")
    text = server.comments[0]["body"]
    assert len(text) < 65_536 and text.endswith("| row | 1 |\n\nThe rest is in the summary of the job.")


@pytest.mark.parametrize("status", [401, 403, 500])
def test_what_github_refuses_is_a_warning(tmp_path, server, status):
    job = Job(tmp_path, server)
    pull_request(job, repository(job))
    fake_diff(tmp_path, job, ["changed"])
    server.answer = status
    done = job.step("comment.py")
    assert done.returncode == 0 and f"::warning title=cnnkit comment::GitHub answered {status}" in done.stdout
    assert ("pull-requests: write" in done.stdout) == (status != 500)


def test_a_shallow_clone_gets_the_base(tmp_path, server):
    job = Job(tmp_path, server)
    base = repository(job)
    (job.nets / "net.yaml").write_text(BIAS)
    job.git("commit", "-q", "-a", "-m", "change")
    clone = tmp_path / "clone"
    job.git("clone", "-q", "--depth=1", f"file://{job.workspace}", str(clone))
    job.workspace, job.nets = clone, clone / "deep" / "specs"
    pull_request(job, base)
    fake_diff(tmp_path, job, ["changed"])
    done = job.step("comment.py")
    assert "comment written" in done.stdout, done.stdout + done.stderr
    pull_request(job, "0" * 40)
    done = job.step("comment.py")
    assert done.returncode == 0 and "cannot be fetched" in done.stdout


def test_a_diff_that_fails_is_a_warning(tmp_path, server):
    job = Job(tmp_path, server)
    pull_request(job, repository(job))
    job.env["PROGRAM"] = str(program(tmp_path / "fake", "print('no such thing', file=sys.stderr); sys.exit(2)"))
    done = job.step("comment.py")
    assert done.returncode == 0 and "could not run: no such thing" in done.stdout
    assert not server.comments


def test_action_and_scripts_agree_on_their_variables():
    action = (specs.ROOT / "action.yml").read_text()
    for script in ("install.sh", "check.sh", "comment.py"):
        text = (ACTION / script).read_text()
        step = next(part for part in action.split("    - ") if f"/.github/action/{script}" in part)
        given = set(re.findall(r"(?m)^        ([A-Z_]+): ", step))
        used = set(re.findall(r"\$\{?([A-Z_]+)\b", text)) | set(re.findall(r'env(?:\.get\(|\[)"([A-Z_]+)"', text))
        ours = {name for name in used if not name.startswith("GITHUB_")} - {"MINGW"}
        assert ours <= given, f"{script} uses {ours - given}, which action.yml does not give"
        assert given <= used | {"SOURCES"}, f"action.yml gives {given - used} to {script}"
    named = set(re.findall(r"inputs\.([a-z-]+)", action))
    declared = set(re.findall(r"(?m)^  ([a-z-]+):$", action.split("inputs:")[1].split("outputs:")[0]))
    assert named == declared
