"""Downloads from servers that behave and servers that do not, and archives that would escape."""

from __future__ import annotations

import http.server
import io
import re
import stat
import tarfile
import threading
import zipfile
from hashlib import md5, sha256

import pytest

from gradstone.vision import _progress
from gradstone.vision._download import fetch
from gradstone.vision._extract import extract
from gradstone.vision.datasets import read_image_tar

CONTENT = bytes(range(256)) * 1000
MD5 = md5(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """/plain knows no ranges, /cut ends each answer early, /wrong sends other bytes, /lies begins
    elsewhere than it is asked to, /stuck ends before the first byte."""

    asked: list[tuple[str, str | None]] = []

    def do_GET(self):
        wanted = self.headers.get("Range")
        Server.asked.append((self.path, wanted))
        content = CONTENT[::-1] if self.path == "/wrong" else CONTENT
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.path == "/plain":
            start = 0
        if start >= len(content):
            self.send_error(416)
            return
        ranged = wanted and self.path != "/plain"
        self.send_response(206 if ranged else 200)
        begin = 0 if self.path == "/lies" else start
        if ranged:
            self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        sent = {"/cut": 100_000, "/stuck": 0}.get(self.path, len(content))
        self.wfile.write(content[begin : begin + sent])

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def address():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.fixture
def server(address):
    Server.asked = []
    return address


def test_a_file_comes_whole_with_either_checksum(server, tmp_path):
    fetch([f"{server}/file"], tmp_path / "a", MD5)
    fetch([f"{server}/file"], tmp_path / "b", sha256(CONTENT).hexdigest())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == CONTENT
    with pytest.raises(ValueError, match="MD5 or a SHA-256"):
        fetch([f"{server}/file"], tmp_path / "c", "abc")


def test_a_started_file_is_gone_on_with(server, tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    fetch([f"{server}/file"], tmp_path / "file", MD5)
    assert Server.asked == [("/file", "bytes=1000-")]
    assert (tmp_path / "file").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["/plain", "/lies"])
def test_servers_that_do_not_go_on_start_again(server, tmp_path, path):
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    fetch([server + path], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert Server.asked == [(path, "bytes=1000-")]  # and once is enough


def test_connections_that_break_are_taken_up_again(server, tmp_path):
    fetch([f"{server}/cut"], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert [wanted for _, wanted in Server.asked] == [None, "bytes=100000-", "bytes=200000-"]


def test_a_connection_that_gives_nothing_ends(server, tmp_path):
    with pytest.raises(RuntimeError, match="ended after 0 of 256000 bytes"):
        fetch([f"{server}/stuck"], tmp_path / "file", MD5)
    assert len(Server.asked) == 1


def test_what_came_is_kept_for_another_time(server, tmp_path, monkeypatch):
    from gradstone.vision import _download

    def once(url, part, name):
        part.write_bytes(CONTENT[:5000])
        raise TimeoutError("timed out")

    with monkeypatch.context() as patched:
        patched.setattr(_download, "_transfer", once)
        with pytest.raises(RuntimeError, match="timed out"):
            fetch([f"{server}/file"], tmp_path / "file", MD5)
    fetch([f"{server}/file"], tmp_path / "file", MD5)
    assert Server.asked == [("/file", "bytes=5000-")]


def test_wrong_bytes_are_thrown_away_and_the_next_address_asked(server, tmp_path):
    fetch([f"{server}/wrong", f"{server}/file"], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    with pytest.raises(RuntimeError, match=rf"(?s)/wrong: the file's MD5 is .*, not {MD5}"):
        fetch([f"{server}/wrong"], tmp_path / "other", MD5)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_wrong_beginning_is_fetched_again_once(server, tmp_path):
    (tmp_path / "file.part").write_bytes(b"wrong" * 100)
    fetch([f"{server}/file"], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT
    (tmp_path / "other.part").write_bytes(CONTENT + b"more")  # the server answers 416
    fetch([f"{server}/file"], tmp_path / "other", MD5)
    assert (tmp_path / "other").read_bytes() == CONTENT


def test_a_complete_part_needs_no_network(tmp_path):
    (tmp_path / "file.part").write_bytes(CONTENT)
    fetch(["http://127.0.0.1:9/file"], tmp_path / "file", MD5)
    assert (tmp_path / "file").read_bytes() == CONTENT


def test_no_network_says_what_to_do(tmp_path):
    with pytest.raises(RuntimeError) as error:
        fetch(["http://127.0.0.1:9/a", "http://127.0.0.1:9/b"], tmp_path / "file", MD5)
    text = str(error.value)
    assert "is there a network?" in text and ":9/a" in text and ":9/b" in text
    assert f"put the file into {tmp_path} yourself" in text


def test_lines_of_progress(capsys, monkeypatch):
    monkeypatch.setattr(_progress, "_SECONDS_BETWEEN_LINES", 0)
    with _progress.DownloadProgress("data.gz", 4_000_000, 1_000_000) as progress:
        progress.add(1_000_000)
    assert capsys.readouterr().err.splitlines() == [
        "downloading data.gz (4.0 MB), going on at 1.0 MB",
        "  data.gz: 2.0 MB, 50 %",
    ]


def test_a_bar_on_a_terminal(capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    with _progress.DownloadProgress("data.gz", 4_000_000) as progress:
        progress.add(4_000_000)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().err)
    assert "data.gz" in text and "4.0/4.0 MB" in text and "downloading" not in text


# ----------------------------------------------------------------------------------------- archives


def tarred(path, members):
    """members: name -> bytes, or a TarInfo to add as it is."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_archives_are_unpacked(tmp_path):
    where = tmp_path / "out"
    extract(tarred(tmp_path / "a.tar.gz", {"d/one": b"1", "./two": b"22"}), where)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr("e/three", b"333")
    assert extract(tmp_path / "b.zip", where) == [where / "e" / "three"]
    found = {
        p.relative_to(where).as_posix(): p.read_bytes() for p in where.rglob("*") if p.is_file()
    }
    assert found == {"d/one": b"1", "two": b"22", "e/three": b"333"}


@pytest.mark.parametrize(
    "name", ["../out", "/etc/x", "a/../../out", "C:/x", "..\\out", "a/b/../../../x"]
)
def test_names_that_lead_out_are_refused(tmp_path, name):
    archive = tarred(tmp_path / "a.tar.gz", {"good": b"1", name: b"2"})
    with pytest.raises(RuntimeError, match="outside the folder"):
        extract(archive, tmp_path / "in")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr(name, b"2")
    with pytest.raises(RuntimeError, match="outside the folder"):
        extract(tmp_path / "b.zip", tmp_path / "in")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar.gz", "b.zip"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(tmp_path, kind):
    members = {"good": b"1", "way": link("way", "/elsewhere", kind), "way/x": b"2"}
    with pytest.raises(RuntimeError, match="'way' is a link or a device"):
        extract(tarred(tmp_path / "a.tar.gz", members), tmp_path / "in")
    assert not (tmp_path / "in").exists()


def test_links_in_zips_and_links_that_were_there(tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        info = zipfile.ZipInfo("way")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(info, "/elsewhere")
    with pytest.raises(RuntimeError, match="'way' is a link"):
        extract(tmp_path / "b.zip", tmp_path / "in")
    (tmp_path / "in").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "in" / "way").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RuntimeError, match="leads out"):
        extract(tarred(tmp_path / "a.tar.gz", {"way/x": b"2"}), tmp_path / "in")
    assert not list((tmp_path / "elsewhere").iterdir())


def test_damaged_archives(tmp_path):
    archive = tarred(tmp_path / "a.tar.gz", {"one": bytes(range(256)) * 100})
    archive.write_bytes(archive.read_bytes()[:-60])
    with pytest.raises(RuntimeError, match="could not be unpacked"):
        extract(archive, tmp_path / "in")
    (tmp_path / "b.tar").write_bytes(b"nonsense")
    with pytest.raises(RuntimeError, match="could not be unpacked"):
        extract(tmp_path / "b.tar", tmp_path / "in")


def test_zips_with_members_of_no_name_or_a_password(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("a", b"1")
    data = file.getvalue()
    cases = {
        "could not be unpacked": data.replace(b"a", b"\0"),
        "'a' is encrypted": data.replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"),
        "could not be unpacked.*version": data.replace(b"PK\1\2\x14\3\x14", b"PK\1\2\x14\3\xff"),
    }
    for message, changed in cases.items():
        assert changed != data
        (tmp_path / "x.zip").write_bytes(changed)
        with pytest.raises(RuntimeError, match=rf"x\.zip.*{message}"):
            extract(tmp_path / "x.zip", tmp_path / "in")
    assert not list((tmp_path / "in").glob("*"))


def test_damaged_streams_are_named(tmp_path):
    for ending in ("gz", "bz2", "xz"):
        path = tmp_path / f"a.tar.{ending}"
        with tarfile.open(path, f"w:{ending}") as tar:
            info = tarfile.TarInfo("x")
            info.size = 5000
            tar.addfile(info, io.BytesIO(bytes(range(250)) * 20))
        data = path.read_bytes()
        for place in range(len(data) // 2, len(data)):
            changed = bytearray(data)
            changed[place] ^= 0xFF
            path.write_bytes(changed)
            try:
                extract(path, tmp_path / "in")
            except RuntimeError as error:
                assert path.name in str(error)


def test_sizes_that_only_a_header_says(tmp_path):
    path = tmp_path / "x.tar"
    info = tarfile.TarInfo("train/a/1.png")
    info.size = 1 << 40
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    with pytest.raises(RuntimeError, match=r"x\.tar.*'train/a/1\.png' has 1099511627776 bytes"):
        read_image_tar(path)
    with pytest.raises(RuntimeError, match=r"x\.tar could not be unpacked: unexpected end"):
        extract(path, tmp_path / "in")
    assert not [p for p in (tmp_path / "in").rglob("*") if p.is_file()]
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        info.type = kind
        path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
        with pytest.raises(RuntimeError, match=r"x\.tar could not be read: \w"):
            read_image_tar(path)


def test_files_with_holes_are_refused(tmp_path):
    info = tarfile.TarInfo("train/a/1.png")
    info.size, info.type = 512, tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"00000000000\000000001000\0"  # one piece of 512 bytes
    header[483:495] = b"\x80" + (1 << 40).to_bytes(11, "big")  # of a terabyte
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    (tmp_path / "x.tar").write_bytes(bytes(header) + bytes(512 + 1024))
    for read in (read_image_tar, lambda path: extract(path, tmp_path / "in")):
        with pytest.raises(RuntimeError, match="only plain files"):
            read(tmp_path / "x.tar")
    assert not (tmp_path / "in").exists()
