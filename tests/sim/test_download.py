"""Downloads from a local server that misbehaves end in whole files or in one line."""

import bz2
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from astropy.utils.data import get_cached_urls, is_url_in_cache
from click.testing import CliRunner

from npecat.commands.fields import fields
from npecat_sim.errors import NpecatError
from npecat_sim.surveys.sdss.download import ATTEMPTS, CACHE, download_fields
from npecat_sim.surveys.sdss.fields import import_fields
from tests.helpers.survey_files import photofield_data, write_frame, write_photofield

PHOTOFIELD = "/301/94/photoField-000094-1.fits"
FRAME = "/frames/301/94/1/frame-r-000094-1-0012.fits.bz2"


class Archive:
    """A server of the two files; faults: path -> what goes wrong at each request, in turn."""

    def __init__(self, content: dict[str, bytes]):
        self.content = content
        self.faults: dict[str, list[str]] = {}
        self.requests: Counter[str] = Counter()
        self.stopped = threading.Event()
        archive = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                archive.requests[self.path] += 1
                faults = archive.faults.get(self.path, [])
                archive.answer(self, faults.pop(0) if faults else "")

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))

    def answer(self, request: BaseHTTPRequestHandler, fault: str) -> None:
        content = self.content.get(request.path)
        if content is None or fault.isdigit():
            request.send_error(int(fault or 404))
            return
        if fault == "silent":
            self.stopped.wait(2)
            return
        if fault == "another file":
            content = self.content["another " + request.path]
        if fault == "page":
            content = b"<html>Please log in</html>" * 200
        if fault == "cut, unsaid":
            content = content[: len(content) // 2]
        request.send_response(200)
        if fault != "cut, unsaid":
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content[: len(content) // 2] if fault == "cut" else content)


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("content")
    other = photofield_data(run=95)
    return {
        PHOTOFIELD: write_photofield(folder).read_bytes(),
        FRAME: bz2.compress(write_frame(folder).read_bytes()),
        "another " + PHOTOFIELD: write_photofield(folder, other).read_bytes(),
        "another " + FRAME: bz2.compress(write_frame(folder, identity=(94, 1, 13)).read_bytes()),
    }


@pytest.fixture
def archive(content, tmp_path, monkeypatch):
    """A running server; astropy's cache is the test's own, as ports, thus addresses, come again."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = Archive(content)
    archive.thread.start()
    assert not get_cached_urls(CACHE, on_missing="ignore")
    yield archive
    archive.stopped.set()
    archive.server.shutdown()
    archive.server.server_close()
    archive.thread.join()


def download(archive, folder):
    return download_fields(
        folder, 94, camcol=1, fields=[12], archive=archive.address, pause=0.0, timeout=0.5
    )


def check_whole(archive, paths) -> None:
    assert [path.read_bytes() for path in paths] == [
        archive.content[PHOTOFIELD],
        archive.content[FRAME],
    ]


def test_files_arrive_under_their_names_and_can_be_imported(archive, tmp_path):
    paths = download(archive, tmp_path / "out" / "94")
    assert [path.name for path in paths] == [PHOTOFIELD.split("/")[-1], FRAME.split("/")[-1]]
    check_whole(archive, paths)
    table = import_fields(paths)
    assert len(table.sky_maps) == 1


def test_what_is_there_or_in_the_cache_is_not_fetched_again(archive, tmp_path):
    paths = download(archive, tmp_path / "out")
    download(archive, tmp_path / "out")
    paths[0].unlink()
    paths[1].write_bytes(paths[1].read_bytes()[:1000])
    check_whole(archive, download(archive, tmp_path / "out"))
    assert archive.requests == {PHOTOFIELD: 1, FRAME: 1}


@pytest.mark.parametrize("fault", ["cut", "cut, unsaid", "page", "another file", "503", "silent"])
@pytest.mark.parametrize("path", [PHOTOFIELD, FRAME])
def test_the_third_attempt_may_succeed(archive, tmp_path, path, fault):
    archive.faults[path] = [fault, fault]
    check_whole(archive, download(archive, tmp_path / "out"))
    assert archive.requests[path] == 3


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("cut", "bytes but"),
        ("cut, unsaid", "cannot be read as FITS"),
        ("page", "header"),
        ("another file", "it is the frame of (94, 1, 13), not (94, 1, 12)"),
        ("503", "the server answers 503"),
        ("silent", "timed out"),
        ("404", "the server answers 404"),
    ],
)
def test_a_fault_that_stays_is_told_and_leaves_nothing_behind(archive, tmp_path, fault, named):
    archive.faults[FRAME] = [fault] * ATTEMPTS
    with pytest.raises(NpecatError) as refused:
        download(archive, tmp_path / "out")
    message = str(refused.value)
    assert message.startswith(f"{archive.address}{FRAME}: ")
    assert named in message
    assert "\n" not in message
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photoField-000094-1.fits"]
    assert archive.requests[FRAME] == (1 if fault == "404" else ATTEMPTS)
    assert not is_url_in_cache(archive.address + FRAME, pkgname=CACHE)
    archive.faults.clear()
    check_whole(archive, download(archive, tmp_path / "out"))


def test_a_field_that_the_run_does_not_have_is_told(archive, tmp_path):
    with pytest.raises(NpecatError, match="it has fields 11 to 16 but no field 99"):
        download_fields(tmp_path, 94, camcol=1, fields=[12, 99], archive=archive.address, pause=0.0)


def test_offline_is_told(tmp_path):
    with pytest.raises(NpecatError) as refused:
        download_fields(tmp_path / "out", 94, camcol=1, archive="http://127.0.0.1:9", pause=0.0)
    assert "see that you are online" in str(refused.value)


def test_the_command_takes_the_archive_from_the_environment(archive, tmp_path):
    words = ["download", "--run", "94", "--camcol", "1", "--field", "12"]
    done = CliRunner().invoke(
        fields,
        [*words, "--out", str(tmp_path / "out")],
        env={"NPECAT_ARCHIVE": archive.address},
        catch_exceptions=False,
    )
    assert done.exit_code == 0
    names = [PHOTOFIELD.split("/")[-1], FRAME.split("/")[-1]]
    assert done.output.split() == [str(tmp_path / "out" / name) for name in names]
