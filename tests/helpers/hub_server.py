"""A hub on this machine: speaks the protocol that `huggingface_hub` uses, and fails on demand.

Run it by hand to try the command line against it: `python tests/helpers/hub_server.py FOLDER`
serves the folder as `me/model`, for HF_ENDPOINT=http://127.0.0.1:PORT.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

WRITER, READER, STRANGER = "hf_writerSecret0001", "hf_readerSecret0002", "hf_strangerSecret0003"
SIGNATURE = "X-Amz-Signature=topSecretSignature"
PORTAL = b"<!DOCTYPE html><html><body>Welcome to the archive's guest network</body></html>"
LFS_ENDINGS = (".safetensors", ".bin", ".pt", ".png")


@dataclass
class Commit:
    """A state of a repository: path -> content."""

    files: dict[str, bytes]
    title: str
    parent: str | None = None

    @property
    def sha(self) -> str:
        """The commit's name, from all that it holds."""
        told = [(name, hashlib.sha1(data).hexdigest()) for name, data in sorted(self.files.items())]
        return hashlib.sha1(repr((told, self.title, self.parent)).encode()).hexdigest()


@dataclass
class Repository:
    """Branches and tags by name, and every commit."""

    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    def add(self, branch: str, files: dict[str, bytes], title: str = "upload") -> str:
        """Make a commit the head of a branch."""
        commit = Commit(files, title, self.branches.get(branch))
        self.commits[commit.sha] = commit
        self.branches[branch] = commit.sha
        return commit.sha

    def resolve(self, revision: str) -> Commit | None:
        """Find the commit of a branch, a tag or a name."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        return self.commits.get(sha)


@dataclass
class Fault:
    """What goes wrong with requests that match `METHOD path`.

    `kind` is a status, or one of drop (ends early), reset (the connection is reset), stall (is
    silent), corrupt (a byte is flipped), portal (a login page), redirect (to a login page),
    lost (the request is carried out, the answer lost).
    """

    pattern: str
    kind: int | str
    times: int = 1
    after: int = 1000  # bytes that still arrive
    seconds: float = 3.0  # of silence
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    token: str | None
    range: str | None
    host: str


class HubServer:
    """The hub: use as a context manager; `url` is its endpoint."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens = {WRITER: "write", READER: "read", STRANGER: "write"}
        self.members = {WRITER, READER}  # they see what is private and are let in to what is gated
        self.store: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.seen: list[Seen] = []
        self.lock = threading.RLock()
        self.multipart: int | None = None  # bytes a part
        self.stops = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server.server_address[1])

    @property
    def url(self) -> str:
        """Its endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> HubServer:
        """Start to answer."""
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and let go of those whom it keeps waiting."""
        self.stops.set()
        self.server.shutdown()
        self.server.server_close()

    def add(self, name: str, folder: Path, branch: str = "main", **facts: bool) -> str:
        """Publish a folder as a branch of a repository; returns the commit."""
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        repository = self.repositories.setdefault(name, Repository(**facts))
        return repository.add(branch, files)

    def fail(self, pattern: str, kind: int | str, times: int = 1, **facts: Any) -> None:
        """Let the next requests that match go wrong."""
        self.faults.append(Fault(pattern, kind, times, **facts))

    def requests(self, pattern: str = "") -> list[Seen]:
        """The requests so far whose `METHOD path` matches."""
        return [s for s in self.seen if re.search(pattern, f"{s.method} {s.path}")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: HubServer

    def log_message(self, format: str, *args: Any) -> None:
        """Stay quiet."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815 - the names that the base class calls

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self.route, self.query = unquote(parts.path), parse_qs(parts.query)
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = self._read_chunks()
        self.token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        with self.hub.lock:
            self.hub.seen.append(
                Seen(
                    self.command, self.path, self.token, self.headers.get("Range"),
                    self.headers.get("Host", ""),
                )
            )  # fmt: skip
            self.fault = self._next_fault()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if not self._is_failed_at_once():
                with self.hub.lock:
                    reply = self._route()
                reply()

    def _read_chunks(self) -> bytes:
        content = b""
        while size := int(self.rfile.readline().strip() or b"0", 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def _next_fault(self) -> Fault | None:
        for fault in self.hub.faults:
            if fault.times and re.search(fault.pattern, f"{self.command} {self.path}"):
                fault.times -= 1
                return fault
        return None

    def _is_failed_at_once(self) -> bool:
        fault = self.fault
        if fault is None or fault.kind in ("drop", "corrupt", "lost", "stall in"):
            return False
        if isinstance(fault.kind, int):
            self._send(fault.kind, b'{"error": "out of order"}', dict(fault.headers))
        elif fault.kind == "portal":
            self._send(200, PORTAL, {"Content-Type": "text/html"})
        elif fault.kind == "redirect":
            self._send(302, b"", {"Location": f"http://localhost:{self.hub.port}/portal"})
        elif fault.kind == "reset":
            self._reset()
        elif fault.kind == "stall":
            self.hub.stops.wait(fault.seconds)
            self.close_connection = True
        return True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def _route(self) -> Callable[[], None]:
        """Find the answer; it is sent when the lock is free again."""
        if self.token is not None and self.token not in self.hub.tokens:
            return self._refusal(401, "", "Invalid credentials in Authorization header")
        for pattern, answer in _ROUTES:
            match = re.fullmatch(pattern, f"{self.command} {self.route}")
            if match:
                return answer(self, *match.groups())
        return self._refusal(404, "", "no such address")

    # What is said

    def _json(self, content: object, status: int = 200) -> Callable[[], None]:
        return lambda: self._send(status, json.dumps(content).encode())

    def _refusal(self, status: int, code: str, message: str) -> Callable[[], None]:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        return lambda: self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        if self.fault is not None and self.fault.kind == "lost":
            self._reset()
            return
        self.send_response(status)
        told = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, value in (told | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(body)

    def _send_body(self, body: bytes) -> None:
        fault = self.fault
        if fault is None or len(body) <= fault.after:
            self.wfile.write(body)
        elif fault.kind == "corrupt":
            place = fault.after
            self.wfile.write(body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :])
        elif fault.kind in ("drop", "stall in"):
            self.wfile.write(body[: fault.after])
            self.wfile.flush()
            if fault.kind == "stall in":
                self.hub.stops.wait(fault.seconds)
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)
        else:
            self.wfile.write(body)

    # Who may do what

    def _visible(self, name: str) -> Repository | None:
        repository = self.hub.repositories.get(name)
        if repository is not None and repository.private and self.token not in self.hub.members:
            return None
        return repository

    def _unknown(self) -> Callable[[], None]:
        return self._refusal(404 if self.token else 401, "RepoNotFound", "Repository not found")

    def _may_write(self, name: str) -> bool:
        is_owner = self.token != STRANGER or name.startswith("stranger/")
        return self.hub.tokens.get(self.token or "") == "write" and is_owner

    def _forbidden(self) -> Callable[[], None]:
        return self._refusal(403, "", "You don't have the rights to write here")

    # Reading

    def whoami(self) -> Callable[[], None]:
        if self.token is None:
            return self._refusal(401, "", "Invalid username or password.")
        role = self.hub.tokens[self.token]
        return self._json({"name": "me", "auth": {"accessToken": {"role": role}}})

    def info(self, name: str, revision: str | None = None) -> Callable[[], None]:
        repository = self._visible(name)
        if repository is None:
            return self._unknown()
        commit = repository.resolve(unquote(revision) if revision else "main")
        if commit is None:
            return self._refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        siblings = [
            _described(path, data, "blobs" in self.query)
            for path, data in sorted(commit.files.items())
        ]
        gated = "manual" if repository.gated else False
        facts = {"private": repository.private, "gated": gated, "disabled": False}
        return self._json(
            {"_id": "1", "id": name, "modelId": name, "sha": commit.sha, "siblings": siblings,
             "tags": [], "downloads": 0, "likes": 0, **facts}
        )  # fmt: skip

    def refs(self, name: str) -> Callable[[], None]:
        repository = self._visible(name)
        if repository is None:
            return self._unknown()

        def told(kind: str, names: dict[str, str]) -> list[dict[str, str]]:
            return [
                {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha}
                for name, sha in names.items()
            ]

        branches, tags = told("heads", repository.branches), told("tags", repository.tags)
        return self._json({"branches": branches, "tags": tags, "converts": []})

    def tree(self, name: str, revision: str, under: str | None) -> Callable[[], None]:
        repository = self._visible(name)
        commit = repository.resolve(unquote(revision)) if repository else None
        if commit is None:
            return self._unknown()
        entries = []
        for path, data in sorted(commit.files.items()):
            if not under or path.startswith(under):
                facts = _described(path, data, True)
                entry = {"type": "file", "path": path, "oid": facts["blobId"], "size": len(data)}
                if "lfs" in facts:
                    entry["lfs"] = {
                        "oid": facts["lfs"]["sha256"], "size": len(data), "pointerSize": 130,
                    }  # fmt: skip
                entries.append(entry)
        if under and not entries:
            return self._refusal(404, "EntryNotFound", f"{under} does not exist")
        return self._json(entries)

    def file(self, name: str, revision: str, path: str) -> Callable[[], None]:
        repository = self._visible(name)
        if repository is None:
            return self._unknown()
        if repository.gated and self.token not in self.hub.members:
            return self._refusal(403 if self.token else 401, "GatedRepo", "Access is restricted")
        commit = repository.resolve(unquote(revision))
        if commit is None:
            return self._refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if path not in commit.files:
            return self._refusal(404, "EntryNotFound", f"{path} does not exist")
        data = commit.files[path]
        headers = {"X-Repo-Commit": commit.sha, "Content-Type": "text/plain; charset=utf-8"}
        if not path.endswith(LFS_ENDINGS):
            etag = {"ETag": f'"{_git_hash(data)}"'}
            return lambda: self._send_part(data, headers | etag)
        digest = hashlib.sha256(data).hexdigest()
        self.hub.store[digest] = data
        # Another host by its name, as the real hub's store is.
        place = f"http://localhost:{self.hub.port}/cdn/{digest}?{SIGNATURE}"
        linked = {"X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(data))}
        return lambda: self._send(302, b"", headers | linked | {"Location": place})

    def stored(self, digest: str) -> Callable[[], None]:
        if SIGNATURE not in self.path:
            return self._refusal(403, "", "no signature")
        data = self.hub.store[digest]
        return lambda: self._send_part(data, {"Content-Type": "binary/octet-stream"})

    def portal(self) -> Callable[[], None]:
        return lambda: self._send(200, PORTAL, {"Content-Type": "text/html"})

    def _send_part(self, data: bytes, headers: dict[str, str]) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if not match:
            self._send(200, data, headers)
            return
        start, end = int(match[1]), int(match[2] or len(data) - 1)
        if start >= len(data):
            self._send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        told = {"Content-Range": f"bytes {start}-{end}/{len(data)}"}
        self._send(206, data[start : end + 1], headers | told)

    # Writing

    def create(self) -> Callable[[], None]:
        asked = json.loads(self.body)
        name = (
            f"{asked['organization']}/{asked['name']}" if asked["organization"] else asked["name"]
        )
        if not self._may_write(name):
            return self._forbidden()
        if name in self.hub.repositories:
            return self._refusal(409, "", "You already created this model repo")
        private = asked.get("private", asked.get("visibility") == "private")
        repository = Repository(private=bool(private))
        repository.add("main", {".gitattributes": b"*.safetensors filter=lfs\n"}, "initial commit")
        self.hub.repositories[name] = repository
        return self._json({"url": f"{self.hub.url}/{name}", "name": name})

    def branch(self, name: str, branch: str) -> Callable[[], None]:
        repository = self._visible(name)
        if repository is None:
            return self._unknown()
        if not self._may_write(name):
            return self._forbidden()
        if branch in repository.branches:
            return self._refusal(409, "", "Reference already exists")
        start = (json.loads(self.body or b"{}") or {}).get("startingPoint", "main")
        repository.branches[unquote(branch)] = repository.branches[start]
        return self._json({})

    def validate(self) -> Callable[[], None]:
        return self._json({"warnings": [], "errors": []})

    def preupload(self, name: str, revision: str) -> Callable[[], None]:
        repository = self._visible(name)
        if repository is None:
            return self._unknown()
        if not self._may_write(name):
            return self._forbidden()
        commit = repository.resolve(unquote(revision))
        if commit is None:
            return self._refusal(404, "RevisionNotFound", "Invalid rev id")
        files = []
        for asked in json.loads(self.body)["files"]:
            path, is_lfs = asked["path"], asked["path"].endswith(LFS_ENDINGS)
            there = commit.files.get(path)
            oid = None
            if there is not None:
                oid = hashlib.sha256(there).hexdigest() if is_lfs else _git_hash(there)
            files.append(
                {"path": path, "uploadMode": "lfs" if is_lfs else "regular",
                 "shouldIgnore": False, "oid": oid}
            )  # fmt: skip
        return self._json({"files": files})

    def batch(self, name: str) -> Callable[[], None]:
        if not self._may_write(name):
            return self._forbidden()
        objects = []
        for asked in json.loads(self.body)["objects"]:
            oid, size = asked["oid"], asked["size"]
            entry: dict[str, Any] = {"oid": oid, "size": size}
            if oid not in self.hub.store:
                href = f"http://localhost:{self.hub.port}/upload/{oid}"
                upload: dict[str, Any] = {"href": f"{href}?{SIGNATURE}"}
                part = self.hub.multipart
                if part and size > part:
                    urls = {
                        str(n + 1): f"{href}/{n + 1}?{SIGNATURE}" for n in range(-(-size // part))
                    }
                    upload = {
                        "href": f"{self.hub.url}/finish/{oid}",
                        "header": {"chunk_size": str(part), **urls},
                    }
                verify = {"href": f"{self.hub.url}/verify/{name}"}
                entry["actions"] = {"upload": upload, "verify": verify}
            objects.append(entry)
        return self._json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str, part: str | None) -> Callable[[], None]:
        if SIGNATURE not in self.path:
            return self._refusal(403, "", "no signature")
        if part is None and hashlib.sha256(self.body).hexdigest() != oid:
            return self._refusal(400, "", "the content does not have this hash")
        self.hub.store[f"{oid}/{part}" if part else oid] = self.body
        return lambda: self._send(200, b"", {"ETag": f'"{part or oid}"'})

    def join_parts(self, oid: str) -> Callable[[], None]:
        numbers = [part["partNumber"] for part in json.loads(self.body)["parts"]]
        self.hub.store[oid] = b"".join(self.hub.store.pop(f"{oid}/{n}") for n in numbers)
        return self._json({})

    def verify(self) -> Callable[[], None]:
        asked = json.loads(self.body)
        data = self.hub.store.get(asked["oid"], b"")
        is_right = hashlib.sha256(data).hexdigest() == asked["oid"]
        return self._json({}) if is_right else self._refusal(422, "", "not there")

    def commit(self, name: str, revision: str) -> Callable[[], None]:
        repository = self._visible(name)
        if repository is None:
            return self._unknown()
        if not self._may_write(name):
            return self._forbidden()
        branch = unquote(revision)
        head = repository.branches.get(branch)
        if head is None:
            return self._refusal(404, "RevisionNotFound", "Invalid rev id")
        files = dict(repository.commits[head].files)
        title = ""
        for line in self.body.splitlines():
            entry = json.loads(line)
            key, value = entry["key"], entry["value"]
            if key == "header":
                title = value["summary"]
                if value.get("parentCommit") not in (None, head):
                    return self._refusal(412, "", "A commit has happened since")
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                if value["oid"] not in self.hub.store:
                    return self._refusal(400, "", "LFS pointer to a file that does not exist")
                files[value["path"]] = self.hub.store[value["oid"]]
            elif key == "deletedFile":
                if value["path"] not in files:
                    return self._refusal(
                        404, "EntryNotFound", "A file with this name doesn't exist"
                    )
                del files[value["path"]]
        sha = repository.add(branch, files, title)
        url = f"{self.hub.url}/{name}/commit/{sha}"
        return self._json({"success": True, "commitOid": sha, "commitUrl": url})


_NAME = r"([\w.-]+/[\w.-]+)"
_ROUTES: tuple[tuple[str, Callable[..., Callable[[], None]]], ...] = (
    (r"GET /portal", _Handler.portal),
    (r"GET /api/whoami-v2", _Handler.whoami),
    (rf"GET /api/models/{_NAME}", _Handler.info),
    (rf"GET /api/models/{_NAME}/refs", _Handler.refs),
    (rf"GET /api/models/{_NAME}/revision/(.+)", _Handler.info),
    (rf"GET /api/models/{_NAME}/tree/([^/]+)/?(.+)?", _Handler.tree),
    (rf"(?:GET|HEAD) /{_NAME}/resolve/([^/]+)/(.+)", _Handler.file),
    (r"(?:GET|HEAD) /cdn/(\w+)", _Handler.stored),
    (r"POST /api/repos/create", _Handler.create),
    (rf"POST /api/models/{_NAME}/branch/(.+)", _Handler.branch),
    (r"POST /api/validate-yaml", _Handler.validate),
    (rf"POST /api/models/{_NAME}/preupload/(.+)", _Handler.preupload),
    (rf"POST /{_NAME}\.git/info/lfs/objects/batch", _Handler.batch),
    (r"PUT /upload/(\w+)(?:/(\d+))?", _Handler.upload),
    (r"POST /finish/(\w+)", _Handler.join_parts),
    (r"POST /verify/.+", _Handler.verify),
    (rf"POST /api/models/{_NAME}/commit/(.+)", _Handler.commit),
)


def _git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _described(path: str, data: bytes, with_sizes: bool) -> dict[str, Any]:
    if not with_sizes:
        return {"rfilename": path}
    facts: dict[str, Any] = {"rfilename": path, "size": len(data), "blobId": _git_hash(data)}
    if path.endswith(LFS_ENDINGS):
        digest = hashlib.sha256(data).hexdigest()
        facts["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 130}
        facts["blobId"] = hashlib.sha1(b"pointer" + digest.encode()).hexdigest()
    return facts


@contextlib.contextmanager
def running() -> Iterator[HubServer]:
    """Start a hub with nothing in it."""
    with HubServer() as hub:
        yield hub


if __name__ == "__main__":
    with running() as by_hand:
        print(by_hand.url, by_hand.add("me/model", Path(sys.argv[1])), flush=True)
        time.sleep(86400)
