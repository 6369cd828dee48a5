"""`submissions export` as a process, on its files and its exit code, against rows in Azurite that the app wrote."""

import asyncio
import csv
import io
import json
import signal
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import pyarrow.parquet
import pytest

from local.azurite import Azurite
from shared.cli.columns import OUTCOME_COLUMNS
from shared.domain.model import Outcome
from shared.domain.text import clean
from tests.cli.tenant_rows import open_rows, row, rows
from tests.support.command_line import COMMAND, Done, environment, run
from tests.support.counting_proxy import counting_proxy

FORMULAS = ('=HYPERLINK("https://evil.example","pay")', "+1", "-1", "@SUM(1)", "\uff1d1", " \t=1")


def export(connection: str, *arguments: str | Path) -> Done:
    """Run it to its end."""
    return run(connection, "--local", "export", *map(str, arguments))


async def _fill(connection: str, outcomes: list[Outcome]) -> None:
    async with open_rows(connection) as tenant:
        await tenant.write(*outcomes)


@pytest.fixture(scope="module")
def tenant(azurite: Azurite) -> tuple[str, list[Outcome]]:
    """Return an account with five rows, of three days and of a month ago, and the rows by day and id."""
    connection, outcomes = azurite.new_account(), rows(datetime.now(UTC))
    asyncio.run(_fill(connection, outcomes))
    return connection, sorted(outcomes, key=lambda one: (one.key.partition, one.key.submission_id))


@pytest.fixture(scope="module")
def formulas(azurite: Azurite) -> str:
    """Return an account whose rows a spreadsheet would run."""
    connection = azurite.new_account()
    asyncio.run(_fill(connection, [row(one, datetime.now(UTC), subject=text) for one, text in enumerate(FORMULAS)]))
    return connection


def ids(outcomes: list[Outcome]) -> list[str]:
    """Return their submission ids."""
    return [one.key.submission_id for one in outcomes]


# --- What stands in the file ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_tables_are_whole(tenant: tuple[str, list[Outcome]], tmp_path: Path, form: str, delimiter: str) -> None:
    """The form is told by the file's name; every column, a line a row, by day and id; text is one line."""
    connection, outcomes = tenant
    target = tmp_path / f"outcomes.{form}"
    done = export(connection, "--since", "40d", "--to", target)
    assert (done.code, done.out) == (0, "")
    text = target.read_text()
    found = list(csv.DictReader(io.StringIO(text), delimiter=delimiter))
    assert list(found[0]) == list(OUTCOME_COLUMNS)
    assert [one["RowKey"] for one in found] == ids(outcomes)
    assert len(text.splitlines()) == 1 + len(outcomes)
    assert not set("\x1b\x07\r\u202e") & set(text)
    assert datetime.fromisoformat(found[0]["ReceivedAt"]) == outcomes[0].received_at
    assert f"{len(outcomes)} rows" in done.err


def test_csv_for_excel_begins_with_the_mark_of_utf8_and_is_else_the_same(
    tenant: tuple[str, list[Outcome]], tmp_path: Path
) -> None:
    """Excel takes CSV for the machine's old code page without it; who reads today's CSV notices nothing."""
    written = {}
    for name, words in {"plain": [], "excel": ["--excel"]}.items():
        target = tmp_path / f"{name}.csv"
        assert export(tenant[0], "--since", "40d", "--to", target, *words).code == 0
        written[name] = target.read_bytes()
    assert written["excel"] == b"\xef\xbb\xbf" + written["plain"]
    assert not written["plain"].startswith(b"\xef")


def test_only_csv_is_for_excel(storage_connection: str) -> None:
    """The mark would break what is no CSV."""
    done = export(storage_connection, "--format", "jsonl", "--excel")
    assert (done.code, done.out) == (2, "")
    assert "--excel is for CSV, not jsonl" in done.err


def test_json_lines_lose_nothing(tenant: tuple[str, list[Outcome]]) -> None:
    """Plain ASCII, one object a row, without the columns that do not apply; on standard output where no file is."""
    connection, outcomes = tenant
    done = export(connection, "--since", "40d", "--format", "jsonl")
    found = [json.loads(line) for line in done.lines]
    assert [one["RowKey"] for one in found] == ids(outcomes)
    assert done.out.isascii()
    assert [one.get("FileName") for one in found] == [one.file_name for one in outcomes]
    assert "Verdict" not in found[0]


def test_parquet_has_types(tenant: tuple[str, list[Outcome]], tmp_path: Path) -> None:
    """Text, 32-bit numbers and UTC times to the microsecond; null where a column does not apply."""
    connection, outcomes = tenant
    target = tmp_path / "outcomes.parquet"
    assert export(connection, "--since", "40d", "--to", target).code == 0
    table = pyarrow.parquet.read_table(target)
    names = {str: "string", int: "int32", datetime: "timestamp[us, tz=UTC]"}
    assert {field.name: str(field.type) for field in table.schema} == {
        column: names[kind] for column, kind in OUTCOME_COLUMNS.items()
    }
    assert table["RowKey"].to_pylist() == ids(outcomes)
    assert table["ReceivedAt"].to_pylist() == [one.received_at for one in outcomes]
    assert table["Verdict"].to_pylist() == [None] * len(outcomes)
    assert table["Subject"].to_pylist() == [one.subject and clean(one.subject) for one in outcomes]


def test_formulas_are_defused_unless_asked_for_raw(formulas: str) -> None:
    """An apostrophe stands before each in CSV and TSV; `--raw` leaves them; JSON lines never change them."""

    def subjects(*arguments: str, delimiter: str = ",") -> set[str]:
        out = export(formulas, "--columns", "Subject", *arguments).out
        return {one["Subject"] for one in csv.DictReader(io.StringIO(out), delimiter=delimiter)}

    shown = {text.replace("\t", " ") for text in FORMULAS}
    assert subjects() == subjects("--format", "tsv", delimiter="\t") == {"'" + text for text in shown}
    assert subjects("--raw") == shown
    lines = export(formulas, "--columns", "Subject", "--format", "jsonl").lines
    assert {json.loads(line)["Subject"] for line in lines} == shown


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_no_row_is_no_error(storage_connection: str, tmp_path: Path, form: str) -> None:
    """An account without rows gives a file without rows, which its readers take; one without tables is told."""
    target = tmp_path / f"outcomes.{form}"
    missing = export(storage_connection, "--to", target)
    assert (missing.code, target.exists()) == (4, False)
    asyncio.run(_fill(storage_connection, []))
    assert export(storage_connection, "--to", target).code == 0
    if form == "parquet":
        assert pyarrow.parquet.read_table(target).num_rows == 0
    else:
        assert len(target.read_text().splitlines()) == int(form != "jsonl")


# --- Which rows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "numbers"),
    [
        ([], {1, 2, 3, 4}),
        (["--since", "40d"], {1, 2, 3, 4, 5}),
        (["--since", "3d", "--until", "12h"], {3, 4}),
        (["--since", "15m"], {1}),
        (["--since", "40d", "--kind", "url", "--kind", "file"], {3, 4}),
        (["--reporter", "anna@contoso.example"], {1}),
        (["--state", "settled"], set()),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_ranges_and_filters(tenant: tuple[str, list[Outcome]], arguments: list[str], numbers: set[int]) -> None:
    """As for `list`: since when, until when, and whatever is asked of a row."""
    done = export(tenant[0], *arguments, "--columns", "RowKey")
    assert done.code == 0, done.err
    every = ids(rows(datetime.now(UTC)))
    assert sorted(done.lines[1:]) == sorted(every[number - 1] for number in numbers)


def test_columns_in_the_order_that_is_asked_for(tenant: tuple[str, list[Outcome]], tmp_path: Path) -> None:
    """These and no others, in every form; a name that is none is named before anything is read or written."""
    connection, _ = tenant
    assert export(connection, "--columns", "Sender, RowKey").lines[0] == "Sender,RowKey"
    target = tmp_path / "two.parquet"
    assert export(connection, "--columns", "State,ReceivedAt", "--to", target).code == 0
    assert pyarrow.parquet.read_table(target).column_names == ["State", "ReceivedAt"]
    wrong = export(connection, "--columns", "RowKey,Verdicts", "--to", tmp_path / "none.csv")
    assert (wrong.code, wrong.out, (tmp_path / "none.csv").exists()) == (2, "", False)
    assert "no column Verdicts" in wrong.err


# --- What becomes of the file ---------------------------------------------------------------------------------------


def test_a_file_that_exists_is_replaced_whole(tenant: tuple[str, list[Outcome]], tmp_path: Path) -> None:
    """By a good end only: wrong use and a service that fails leave it as it was, and nothing beside it."""
    target = tmp_path / "outcomes.csv"
    target.write_text("kept\n")
    assert export(tenant[0], "--state", "done", "--to", target).code == 2
    nowhere = tenant[0].replace("TableEndpoint=http://127.0.0.1", "TableEndpoint=http://127.0.0.1:1/x")
    assert export(nowhere, "--to", target).code == 1
    assert target.read_text() == "kept\n"
    assert export(tenant[0], "--to", target).code == 0
    assert target.read_text().startswith("PartitionKey,")
    assert [file.name for file in tmp_path.iterdir()] == ["outcomes.csv"]
    folder = export(tenant[0], "--to", tmp_path / "none" / "outcomes.csv")
    assert (folder.code, "none" in folder.err, "Traceback" in folder.err) == (1, True, False)


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_an_export_that_is_stopped_leaves_no_half(
    tenant: tuple[str, list[Outcome]], tmp_path: Path, sent: signal.Signals, code: int
) -> None:
    """Stopped between two days: the file is as it was; Ctrl-C leaves nothing else, a kill one hidden file."""
    target = tmp_path / "outcomes.csv"
    target.write_text("kept\n")
    with counting_proxy(tenant[0]) as proxy:
        proxy.answers = 2
        process = subprocess.Popen(
            [*COMMAND, "--local", "export", "--to", str(target)],
            env=environment(proxy.connection),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            deadline_s = monotonic() + 100
            while len(proxy.requests) <= proxy.answers:
                assert monotonic() < deadline_s
                sleep(0.02)
            process.send_signal(sent)
            _, err = process.communicate(timeout=100)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, target.read_text()) == (code, "kept\n")
    assert b"Traceback" not in err
    left = [file.name for file in tmp_path.iterdir() if file != target]
    assert len(left) == int(sent == signal.SIGKILL)
    assert all(name.startswith(".outcomes.csv.") for name in left)


def test_a_reader_that_has_enough_ends_it(tenant: tuple[str, list[Outcome]]) -> None:
    """A closed pipe is 141, as for any program, without a word."""
    command = " ".join([*COMMAND, "--local", "export", "--since", "40d"])
    done = subprocess.run(
        ["/bin/bash", "-c", f"{command} | true; exit ${{PIPESTATUS[0]}}"],
        env=environment(tenant[0]),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, b"", b"")
