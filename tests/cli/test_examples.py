"""The examples for pipelines: what is a program is run here, what is for Azure is held to the feed's columns."""

import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.data.tables import TableClient
from azure.monitor.ingestion import LogsIngestionClient

from docs.examples.fabric_notebook import SCHEMA, NotebookIdentity, consume
from docs.examples.send_to_sentinel import BATCH_BYTES, STREAM, send
from shared.cli.columns import FEED_COLUMNS
from tests.cli.feed_rows import append, event, events, let_second_pass
from tests.infra.kusto import read_queries

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
SENTINEL, FACTORY = EXAMPLES / "sentinel", EXAMPLES / "data-factory"
SENT = {**FEED_COLUMNS, "AppendedAt": datetime}
KUSTO_NAMES = {str: "string", int: "int", datetime: "datetime"}


def load(path: Path) -> Any:
    """Return what a JSON file holds."""
    return json.loads(path.read_text())


# --- Sentinel -------------------------------------------------------------------------------------------------------


@dataclass
class Ingestion:
    """The ingestion endpoint of a rule: the calls it took, and what it answers to the next ones."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    records: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    answers_lost: int = 0


@contextmanager
def ingestion() -> Iterator[Ingestion]:
    """Run the endpoint on a free port."""
    rule = Ingestion()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
            refusal = rule.refusals.pop(0) if rule.refusals else 204
            if refusal == 204:
                rule.paths.append(self.path)
                rule.sizes.append(len(body))
                rule.records += json.loads(body)
            if rule.answers_lost:
                rule.answers_lost -= 1
                refusal = 503
            self.send_response(refusal)
            if refusal == 429:
                self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        rule.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield rule
        finally:
            server.shutdown()
            thread.join()


class Nobody:
    """A credential that is never asked."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Fail: the endpoint here is no place for a token."""
        raise AssertionError


def send_to(rule: Ingestion, connection: str, cursor: Path) -> None:
    """Run the example once against the endpoint."""
    with (
        TableClient.from_connection_string(connection, "outcomelog") as feed,
        LogsIngestionClient(rule.url, Nobody(), authentication_policy=SansIOHTTPPolicy[Any, Any]()) as logs,
    ):
        send(feed, logs, "dcr-1", cursor)


def ids(rule: Ingestion) -> list[str]:
    """Return the row keys that arrived, in their order."""
    return [record["RowKey"] for record in rule.records]


def test_sentinel_gets_each_change_in_calls_of_less_than_a_megabyte(storage_connection: str, tmp_path: Path) -> None:
    """To the rule's stream, in calls that stay below the limit, once over several runs; times are text in UTC."""
    long = {"state_detail": "\u00e9" * 1000, "subject": "\u00e9" * 1000, "error_message": "x" * 1000}
    first = datetime.now(UTC) - timedelta(hours=1)
    written = append(storage_connection, [event(one, first + timedelta(seconds=one), **long) for one in range(400)])
    let_second_pass()
    with ingestion() as rule:
        send_to(rule, storage_connection, tmp_path / "cursor")
        send_to(rule, storage_connection, tmp_path / "cursor")
        written += append(storage_connection, [event(999, datetime.now(UTC))])
        let_second_pass()
        send_to(rule, storage_connection, tmp_path / "cursor")
    assert sorted(ids(rule)) == written
    assert set(rule.paths) == {f"/dataCollectionRules/dcr-1/streams/{STREAM}?api-version=2023-01-01"}
    assert len(rule.sizes) > 3
    assert max(rule.sizes) <= BATCH_BYTES < 1_000_000
    assert all(datetime.fromisoformat(record["AppendedAt"]).tzinfo is not None for record in rule.records)
    assert set(rule.records[0]) <= set(SENT)


def test_sentinel_loses_nothing_that_is_refused(storage_connection: str, tmp_path: Path) -> None:
    """429 that says when, and 503, are repeated; 403 ends the run before the cursor moves, the next sends all."""
    written = append(storage_connection, events(datetime.now(UTC) - timedelta(hours=1), 5))
    let_second_pass()
    with ingestion() as rule:
        rule.refusals = [403]
        with pytest.raises(HttpResponseError):
            send_to(rule, storage_connection, tmp_path / "cursor")
        assert ids(rule) == []
        rule.refusals = [429, 503]
        send_to(rule, storage_connection, tmp_path / "cursor")
    assert sorted(ids(rule)) == written


def test_sentinel_may_get_a_change_twice(storage_connection: str, tmp_path: Path) -> None:
    """A lost answer: the call was taken and is repeated. The same change has the same id, which the queries count."""
    written = append(storage_connection, events(datetime.now(UTC) - timedelta(hours=1), 2))
    let_second_pass()
    with ingestion() as rule:
        rule.answers_lost = 1
        send_to(rule, storage_connection, tmp_path / "cursor")
    assert sorted(ids(rule)) == sorted(written * 2)


def test_the_rule_declares_the_columns_that_are_sent() -> None:
    """Name and type of each; what is not declared would be dropped."""
    (stream,) = load(SENTINEL / "rule.json")["properties"]["streamDeclarations"].items()
    assert stream[0] == STREAM
    assert {one["name"]: one["type"] for one in stream[1]["columns"]} == {
        name: KUSTO_NAMES[kind] for name, kind in SENT.items()
    }


def test_the_transformation_gives_the_tables_columns() -> None:
    """Microsoft's parser makes of it exactly the columns of the table, whose names Azure takes."""
    rule, table = load(SENTINEL / "rule.json"), load(SENTINEL / "table.json")["properties"]["schema"]
    declared = rule["properties"]["streamDeclarations"][STREAM]["columns"]
    source = ", ".join(f"{one['name']}: {one['type']}" for one in declared)
    (flow,) = rule["properties"]["dataFlows"]
    reading = read_queries({"transform": flow["transformKql"]}, {"source": source})["transform"]
    assert reading.problems == ()
    assert dict(reading.columns) == {one["name"]: one["type"].lower() for one in table["columns"]}
    assert flow["outputStream"] == f"Custom-{table['name']}"
    reserved = {"_ResourceId", "id", "_SubscriptionId", "TenantId", "Type", "UniqueId", "Title"}
    assert all(re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,44}", name) and name not in reserved for name in reading.columns)


@pytest.mark.parametrize("file", sorted(SENTINEL.glob("*.kql")), ids=lambda file: file.name)
def test_the_queries_know_their_columns(file: Path) -> None:
    """Microsoft's parser finds nothing wrong, with the table as it is declared."""
    table = load(SENTINEL / "table.json")["properties"]["schema"]
    columns = ", ".join(f"{one['name']}: {one['type'].lower()}" for one in table["columns"])
    assert read_queries({file.name: file.read_text()}, {table["name"]: columns})[file.name].problems == ()


# --- Fabric ---------------------------------------------------------------------------------------------------------


@dataclass
class Spark:
    """Of a Spark session what the cell uses: a Delta table that takes rows by their keys."""

    kept: dict[tuple[str, str], tuple[Any, ...]] = field(default_factory=dict)
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    view: str = ""

    def createDataFrame(self, rows: list[tuple[Any, ...]], schema: str) -> "Spark":  # noqa: N802 - Spark's name
        """Take rows, of the schema's length and of classes that Spark takes as they are."""
        assert schema == SCHEMA
        assert all(len(row) == len(SENT) for row in rows)
        assert {type(value) for row in rows for value in row} <= {str, int, datetime, type(None)}
        self.rows = rows
        return self

    def createOrReplaceTempView(self, name: str) -> None:  # noqa: N802 - Spark's name
        """Give the rows a name."""
        self.view = name

    def sql(self, text: str) -> None:
        """Add the rows that are not there yet, as MERGE does."""
        if "MERGE INTO" in text:
            assert f"USING {self.view} AS" in text
            self.kept = {(row[0], row[1]): row for row in self.rows} | self.kept


def test_the_fabric_cell_keeps_each_change_once(storage_connection: str, tmp_path: Path) -> None:
    """Over several runs, and after a stop that left rows without their cursor; nobody ran it in Fabric itself."""
    cursor, spark = tmp_path / "cursor", Spark()
    written = append(storage_connection, events(datetime.now(UTC) - timedelta(hours=1), 3))
    let_second_pass()
    with TableClient.from_connection_string(storage_connection, "outcomelog") as feed:
        consume(feed, spark, cursor)
        consume(feed, spark, cursor)
        cursor.unlink()
        consume(feed, spark, cursor)
        written += append(storage_connection, [event(99, datetime.now(UTC))])
        let_second_pass()
        consume(feed, spark, cursor)
    assert sorted(key for _, key in spark.kept) == sorted(written)


def test_the_fabric_cell_signs_in_as_the_notebook() -> None:
    """The token is the notebook's own for storage, and is soon asked for anew."""

    class Credentials:
        def getToken(self, audience: str) -> str:  # noqa: N802 - Fabric's name
            return f"token for {audience}"

    token = NotebookIdentity(Credentials()).get_token("https://storage.azure.com/.default")
    assert token.token == "token for storage"
    assert 0 < token.expires_on - datetime.now(UTC).timestamp() <= 300


# --- Data Factory ---------------------------------------------------------------------------------------------------


def named(folder: str) -> dict[str, Any]:
    """Return the resources of a folder by the name that each gives itself."""
    return {load(path)["name"]: load(path)["properties"] for path in sorted((FACTORY / folder).glob("*.json"))}


def references(value: Any) -> Iterator[tuple[str, str]]:
    """Yield each reference to another resource as (type, name)."""
    if isinstance(value, dict):
        if "referenceName" in value:
            yield value["type"], value["referenceName"]
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_data_factory_names_what_is_there() -> None:
    """Each file is named as its resource; each reference leads to one; no secret is anywhere."""
    folders = {"LinkedServiceReference": "linkedService", "DatasetReference": "dataset"}
    for folder in ("linkedService", "dataset", "pipeline"):
        assert {path.stem for path in (FACTORY / folder).glob("*.json")} == set(named(folder))
        for kind, name in references(named(folder)):
            assert name in named(folders[kind])
    assert not re.search(r"key|secret|password|sas", json.dumps(named("linkedService")), re.IGNORECASE)


def test_data_factory_copies_every_column() -> None:
    """Each is mapped by name and type, since an absent one in the first row would be missed; the table has them all."""
    copy = named("pipeline")["CopySubmissionChanges"]["activities"][1]["typeProperties"]["activities"][0]
    mapped = {
        one["sink"]["name"]: (one["source"]["name"], one["source"]["type"])
        for one in copy["typeProperties"]["translator"]["mappings"]
    }
    kinds = {str: "String", int: "Int32", datetime: "DateTime"}
    expected = {name: (name, kinds[kind]) for name, kind in FEED_COLUMNS.items()}
    assert mapped == {**expected, "AppendedAt": ("Timestamp", "DateTime")}
    sql = (FACTORY / "warehouse.sql").read_text().partition("CREATE TABLE dbo.SubmissionChanges (")[2]
    assert re.findall(r"^    (\w+) (?:char|nvarchar|int|datetime2)", sql.partition("CONSTRAINT")[0], re.MULTILINE) == [
        *SENT
    ]
    assert copy["typeProperties"]["sink"]["upsertSettings"]["keys"] == ["PartitionKey", "RowKey"]


def test_data_factory_asks_as_the_feed_is_read() -> None:
    """Its filter is that of the consumers here: one range of keys in one day; its place moves after the last day."""
    copying = named("pipeline")["CopySubmissionChanges"]["activities"]
    asked = copying[1]["typeProperties"]["activities"][0]["typeProperties"]["source"]["azureTableSourceQuery"]["value"]
    assert asked == "PartitionKey eq '@{item().Day}' and RowKey ge '@{item().FromKey}'"
    assert copying[2]["dependsOn"] == [{"activity": "EachDay", "dependencyConditions": ["Succeeded"]}]
    assert copying[1]["typeProperties"]["isSequential"] is True
