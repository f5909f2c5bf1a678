"""Fetching against a real HTTP server on this machine."""

import hashlib
import io
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from crossover.data import catalogue
from crossover.data.catalogue import DataFile, Dataset, locate
from crossover.data.fetch import download, get
from crossover.errors import DataError

ROWS = b"date,value\n" + b"".join(b"2024-01-01 %02d:00,%d\n" % (i % 24, i) for i in range(20_000))
TRAIN, TEST = b"train rows\n", b"test rows\n"


def sha(content):
    return hashlib.sha256(content).hexdigest()


def archive(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(f"inner/{name}.txt", content)
    return stream.getvalue()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.files`; a path in `server.cut` breaks off half-way, once."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers.get("Range")))
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if wanted := self.headers.get("Range"):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.path in self.server.cut:
            self.server.cut.remove(self.path)
            self.wfile.write(content[start : len(content) // 2])
            self.close_connection = True
            return
        self.wfile.write(content[start:])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running.files, running.cut, running.requests = {}, set(), []
    running.address = f"http://127.0.0.1:{running.server_port}"
    thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.delenv("CROSSOVER_DATA", raising=False)
    monkeypatch.setenv("CROSSOVER_CACHE", str(tmp_path / "cache"))
    for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache" / "data"


@pytest.fixture
def one(server, cache, monkeypatch):
    """A data set of one file, `demo/rows`, and its server."""
    server.files["/rows.csv"] = ROWS
    add(
        monkeypatch,
        "demo/rows",
        "demo/rows.csv",
        [DataFile("demo/rows.csv", f"{server.address}/rows.csv", sha(ROWS))],
    )
    return server


@pytest.fixture
def two(server, cache, monkeypatch):
    """A restricted data set of two files in one archive, `demo/split`, and its server."""
    server.files["/both.zip"] = archive(train=TRAIN, test=TEST)
    url = f"{server.address}/both.zip"
    files = [DataFile(f"demo/split/{n}.txt", url, None, f"inner/{n}.txt") for n in ("train", "test")]
    add(monkeypatch, "demo/split", "demo/split", files, restricted=True)
    return server


def add(monkeypatch, name, path, files, *, restricted=False):
    entry = Dataset(name, "made for tests", path, tuple(files), "https://example.org", "CC BY-NC-SA 3.0", restricted)
    monkeypatch.setitem(catalogue.CATALOGUE, name, entry)


def leftovers(cache):
    return [path for path in cache.rglob("*") if path.is_file()]


def refused(name, **request):
    with pytest.raises(DataError) as caught:
        get(name, **request)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_fetched_checked_and_found(one, cache):
    seen = []
    path = get("demo/rows", progress=lambda *told: seen.append(told))
    assert path.read_bytes() == ROWS
    assert path == locate("demo/rows") == cache / "demo" / "rows.csv"
    assert leftovers(cache) == [path]
    assert seen[-1] == ("rows.csv", len(ROWS), len(ROWS))


def test_what_is_there_is_not_fetched_again(one):
    get("demo/rows")
    get("demo/rows")
    assert len(one.requests) == 1


def test_a_damaged_copy_is_fetched_again(one, cache):
    get("demo/rows").write_bytes(b"damaged")
    assert get("demo/rows").read_bytes() == ROWS


def test_a_wrong_checksum_keeps_nothing(one, cache):
    one.files["/rows.csv"] = b"other content"
    message = refused("demo/rows")
    assert sha(ROWS) in message
    assert sha(b"other content") in message
    assert leftovers(cache) == []


def test_an_absent_file_is_named_with_its_place(one, cache):
    one.files.clear()
    message = refused("demo/rows")
    assert "HTTP 404" in message
    assert f"put rows.csv at {cache / 'demo' / 'rows.csv'}" in message
    assert leftovers(cache) == []


def test_without_a_network_the_file_and_its_place_are_named(one, cache, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/rows.csv"
        add(monkeypatch, "demo/rows", "demo/rows.csv", [DataFile("demo/rows.csv", url, sha(ROWS))])
        message = refused("demo/rows")
    assert url in message
    assert "refused" in message
    assert f"put rows.csv at {cache / 'demo' / 'rows.csv'}" in message


def test_an_interrupted_transfer_goes_on_where_it_stopped(one, cache):
    one.cut.add("/rows.csv")
    message = refused("demo/rows")
    assert f"the transfer ended after {len(ROWS) // 2} of {len(ROWS)} bytes" in message
    assert not (cache / "demo" / "rows.csv").exists()
    assert get("demo/rows").read_bytes() == ROWS
    assert one.requests[-1] == ("/rows.csv", f"bytes={len(ROWS) // 2}-")


def test_a_transfer_that_was_whole_but_not_renamed_needs_no_request(one, cache):
    (cache / "demo").mkdir(parents=True)
    (cache / "demo" / "rows.csv.part").write_bytes(ROWS)
    assert get("demo/rows").read_bytes() == ROWS
    assert one.requests == []


def test_a_partial_file_of_something_else_is_dropped(one, cache):
    (cache / "demo").mkdir(parents=True)
    (cache / "demo" / "rows.csv.part").write_bytes(b"x" * (len(ROWS) + 5))
    refused("demo/rows")
    assert get("demo/rows").read_bytes() == ROWS


def test_a_server_that_stalls_is_given_up(cache, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/rows.csv"
        with pytest.raises(DataError, match="timed out"):
            download(url, tmp_path / "rows.csv", timeout=0.2)


def test_a_restricted_licence_must_be_accepted(two, cache):
    message = refused("demo/split")
    assert "CC BY-NC-SA 3.0" in message
    assert "--accept-licence" in message
    assert two.requests == []
    folder = get("demo/split", accept_licence=True)
    assert (folder / "train.txt").read_bytes() == TRAIN
    assert (folder / "test.txt").read_bytes() == TEST
    assert len(two.requests) == 1


def test_an_archive_without_the_member_or_damaged(two, cache):
    two.files["/both.zip"] = archive(train=TRAIN)
    assert "holds no test.txt" in refused("demo/split", accept_licence=True)
    two.files["/both.zip"] = b"PK\x03\x04 not a zip"
    assert "is damaged" in refused("demo/split", accept_licence=True)


def test_other_sources(two, cache, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "train.txt").write_bytes(TRAIN)
    assert "test.txt does not exist" in refused("demo/split", source=folder, accept_licence=True)
    (folder / "test.txt").write_bytes(TEST)
    packed = tmp_path / "both.zip"
    packed.write_bytes(archive(train=TRAIN, test=TEST))
    two.files |= {"/mine/train.txt": TRAIN, "/mine/test.txt": TEST}
    for source in (folder, str(folder), packed, f"{two.address}/mine/", f"{two.address}/both.zip"):
        fetched = get("demo/split", source=source, accept_licence=True)
        assert (fetched / "test.txt").read_bytes() == TEST
        (fetched / "test.txt").write_bytes(b"older")
    one_file = folder / "train.txt"
    assert "has 2 files (train.txt, test.txt)" in refused("demo/split", source=one_file, accept_licence=True)


def test_a_local_copy_is_checked_too(one, cache, tmp_path):
    (tmp_path / "copy.csv").write_bytes(ROWS[:-1])
    assert sha(ROWS) in refused("demo/rows", source=tmp_path / "copy.csv")
    (tmp_path / "copy.csv").write_bytes(ROWS)
    assert get("demo/rows", source=tmp_path / "copy.csv").read_bytes() == ROWS


def test_another_protocol_is_refused(one):
    assert "no http or https" in refused("demo/rows", source="ftp://example.org/rows.csv")


def test_unknown_names():
    with pytest.raises(DataError, match="unknown data set"):
        get("demo/none")
