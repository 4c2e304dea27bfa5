"""The result of one cell of the matrix: the one format everything in `reports` reads, one JSON object per line.

Belongs here: the record's schema, its version, reading and writing of `results.jsonl`.
Does not belong here: how a verdict is reached (`interop.runner`, `interop.judge`), or how it is shown (`html`, `junit`,
`markdown`).
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from io import BufferedIOBase
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from reports.place import OpenFile, Place, read_lines

SCHEMA_VERSION = 1
_AT_ONCE_BYTES = 1 << 18
"""How much of a file is read and written at once: a line takes ten thousand bytes."""


class Verdict(StrEnum):
    """What a cell came to; none is ever rewritten into another."""

    PASS = "pass"
    FAIL = "fail"
    WARN = "warn"
    OBSERVED = "observed"
    UNSUPPORTED = "unsupported"
    SETUP_FAILED = "setup-failed"
    HARNESS_ERROR = "harness-error"
    FLAKY = "flaky"

    @property
    def meaning(self) -> str:
        """One line for a legend."""
        return _MEANINGS[self]


_MEANINGS = {
    Verdict.PASS: "every expectation held and no rule was broken",
    Verdict.FAIL: "a MUST of the specification was broken",
    Verdict.WARN: "a SHOULD of the specification was not followed",
    Verdict.OBSERVED: "the specification leaves it open; what happened is recorded",
    Verdict.UNSUPPORTED: "the implementation says it cannot do this",
    Verdict.SETUP_FAILED: "the case could not be brought to its start",
    Verdict.HARNESS_ERROR: "the harness or an adapter broke; nothing is said about the implementation",
    Verdict.FLAKY: "failed, then passed when tried again",
}


def _well_formed(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


Text = Annotated[str, AfterValidator(_well_formed)]
"""Text that others wrote (logs, errors, names): a lone surrogate becomes `?`, because no file could hold it."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class TraceEntry(_Model):
    """One thing that happened on one link, as the recording proxy saw it."""

    at: float = Field(description="seconds since the cell began")
    began_at: float | None = Field(
        None, description="seconds since the cell began when its first byte came, where that was earlier than `at`"
    )
    link: str = Field(description="name of the actor whose link it is")
    connection: int = Field(description="1 for the link's first network connection, 2 for the next, ...")
    kind: Literal["open", "packet", "malformed", "close", "fault", "frame", "gap"] = Field(
        description="`gap` stands where some entries of a very long trace were left out, of whatever link"
    )
    sender: Literal["client", "broker", "harness"]
    receiver: Literal["client", "broker"] | None = Field(
        None, description="who it was sent to; none when that is simply the sender's peer (an injected packet names it)"
    )
    fate: Literal[
        "forwarded", "dropped", "held", "released", "injected", "duplicated", "rewritten", "delayed", "lost"
    ] = Field(
        "forwarded",
        description="what the proxy did with it; what was held or delayed stands again as `released` when it went on, "
        "what was rewritten as `injected`; `lost` when its link was cut or frozen first",
    )
    packet: str | None = Field(None, description="PUBLISH, PUBACK, ...; none unless kind is packet")
    summary: Text = Field(
        "", description="one line, e.g. `PUBLISH q2 id 7 dup t 4 bytes`, `closed by broker (FIN)`, `cut`"
    )
    fields: dict[str, Any] = Field(
        default_factory=dict, description="the decoded packet, by the specification's field names"
    )
    hex: str = Field("", description="the first bytes on the wire, in hexadecimal")
    size_bytes: int = 0


class StepResult(_Model):
    """One line of the scenario and how it went."""

    number: int = Field(description="1-based")
    text: Text = Field(description="the step as it is written in the scenario file")
    line: int | None = Field(None, description="line in the scenario file")
    status: Literal["passed", "failed", "skipped", "not-run"]
    at: float | None = Field(None, description="seconds since the cell began when the step started")
    seconds: float | None = None
    window: tuple[float, float] | None = Field(
        None, description="allowed time for the observation: after, within (seconds since the last action)"
    )
    observed_at: float | None = Field(None, description="when it was observed, on the same clock as the window")


class Finding(_Model):
    """One thing that was wrong: a step's expectation that did not hold, or a rule of the judge that a trace broke."""

    source: Literal["step", "judge"]
    rule: str = Field(description="name of the judge's rule, or the step's verb")
    level: Literal["must", "should", "may"]
    blame: Literal["client", "broker", "unknown"]
    cites: tuple[str, ...] = Field((), description="statement ids of the cell's version, e.g. MQTT-3.3.1-1")
    message: Text = Field(description="one line: what was expected and what happened")
    expected: Text = ""
    observed: Text = ""
    step: int | None = Field(None, description="1-based number of the step it came from")
    trace_index: int | None = Field(None, description="0-based index into the trace of the entry that diverges")
    window_seconds: float | None = Field(
        None, description="the time there was for it, where it is one: something came too late, too early, or never"
    )


class KnownFailure(_Model):
    """Why a failure was expected."""

    reason: Text
    link: str | None = None
    evidence: tuple[Text, ...] = Field((), description="links to, or files with, what shows it")
    readings: tuple[Text, ...] = Field(
        (), description="where the specification can be read in more ways than one: each of them; then nobody is blamed"
    )

    @property
    def is_ambiguous(self) -> bool:
        """Whether it depends on how the specification is read."""
        return bool(self.readings)


class PlayedAgain(_Model):
    """The first time of a cell that came out red while this machine was too busy, and so was played again, alone."""

    lag_seconds: float = Field(description="how late the harness ran then at worst")
    lost_seconds: float = Field(description="how late it ran then in all, each delay counted")
    cpu_pressure: float = Field(description="share of that time in which somebody on the machine waited for a CPU")
    withheld: bool = Field(
        description="this machine was too busy the second time as well: that verdict is withheld, too (setup-failed)"
    )


class Record(_Model):
    """One cell: a scenario, played by a client against a broker, in one version over one transport."""

    schema_version: int = SCHEMA_VERSION
    scenario: Text = Field(description="area/name, with [case] for a row of a table, e.g. `qos2/resume_after_pubrec`")
    title: Text
    about: Text = ""
    file: Text = Field("", description="the scenario's file, from where the run was started if it is in there")
    area: str
    client: str
    broker: str
    mqtt: Literal["3.1", "3.1.1", "5.0"]
    transport: str
    verdict: Verdict
    reason: Text = Field("", description="one line: why it is not a pass (empty for pass)")
    cites: tuple[str, ...] = Field(
        (), description="statement ids: those that were broken, else those the scenario is about"
    )
    covered: dict[Literal["client", "broker"], tuple[str, ...]] = Field(
        default_factory=dict,
        description="statement ids that steps which ran put to the test, by whose behaviour; evidence if it was judged",
    )
    judged: dict[Literal["client", "broker"], tuple[str, ...]] = Field(
        default_factory=dict,
        description="statement ids the judge held packets of the trace against, by who sent them",
    )
    level: Literal["must", "should", "may"] = "must"
    blame: Literal["client", "broker", "both", "unknown", "none"] = "none"
    seconds: float = Field(description="wall time of the cell")
    waiting_seconds: float = Field(
        0.0, description="of these, spent waiting because the scenario demands that time passes"
    )
    overhead_seconds: float = Field(0.0, description="the rest: processes, connections, proxy, judge")
    lag_seconds: float = Field(0.0, description="how late the harness itself ran at worst")
    cpu_pressure: float = Field(0.0, description="share of the time in which somebody on the machine waited for a CPU")
    started_at: str = Field("", description="UTC, ISO 8601")
    findings: tuple[Finding, ...] = ()
    steps: tuple[StepResult, ...] = ()
    trace: tuple[TraceEntry, ...] = ()
    known_failure: KnownFailure | None = None
    unexpected_pass: bool = Field(False, description="a known failure is listed for this cell, but it passed")
    attempts: int = Field(1, description="how many times it was played; all else is of the last time")
    played_again: PlayedAgain | None = Field(
        None, description="why it was played again, if this machine was to blame; none in results of earlier versions"
    )
    implementations: dict[str, str] = Field(
        default_factory=dict, description="versions of everything: client, broker, harness, python"
    )
    log: Text = Field("", description="what the adapter and the broker wrote to their logs (stderr)")
    network: str = Field(
        "", description="the network it was played behind, as `--network` takes it; empty: none but what is there"
    )
    rerun: Text = Field("", description="the command that runs just this cell again")

    @property
    def cell_id(self) -> str:
        """The cell's identity: `scenario client broker mqtt transport`."""
        return f"{self.scenario} {self.client} {self.broker} {self.mqtt} {self.transport}"

    @property
    def line(self) -> bytes:
        """Its line of `results.jsonl`, without the end."""
        return self.model_dump_json().encode()

    @property
    def kept(self) -> bytes | Place:
        """Its line, or where that is."""
        return self.line

    @property
    def whole(self) -> Record:
        """With steps, trace and log, wherever they are."""
        return self

    @property
    def outline(self) -> Record | Outline:
        """What tells where it went wrong, wherever that is."""
        return self


class StepOutline(BaseModel):
    """When a step began."""

    number: int
    line: int | None = None
    at: float | None = None


class EntryOutline(BaseModel):
    """What came when."""

    at: float
    link: str
    kind: str
    packet: str | None = None
    hex: str = ""


class Outline(BaseModel):
    """Steps and trace, but for what is only shown: read in less than half the time that the whole record takes."""

    steps: tuple[StepOutline, ...] = ()
    trace: tuple[EntryOutline, ...] = ()


class _InItsFile:
    """A field that is read from the record's file whenever it is asked for."""

    def __set_name__(self, owner: type[BriefRecord], name: str) -> None:
        self._name = name

    def __get__(self, record: BriefRecord | None, owner: type[BriefRecord]) -> Any:
        return self if record is None else getattr(record.whole, self._name)


class BriefRecord(Record):
    """A cell as its file has it: steps, trace and log stay there; who needs more than one of them asks for `whole`."""

    __slots__ = ("kept",)  # of a model's own private attributes each takes a dictionary, and a search
    model_config = ConfigDict(frozen=True, extra="ignore")

    kept: ClassVar[Place]  # of each its own: where its line is
    steps: ClassVar[Any] = _InItsFile()  # type: ignore[misc]  # no field here, so that none of it is parsed and kept
    trace: ClassVar[Any] = _InItsFile()  # type: ignore[misc]
    log: ClassVar[Any] = _InItsFile()  # type: ignore[misc]

    @property
    def line(self) -> bytes:
        """Its line of `results.jsonl`, without the end."""
        return self.kept.read()

    @property
    def whole(self) -> Record:
        """With steps, trace and log; raises BadResults where these are not as they should be."""
        return self._read_as(Record)

    @property
    def outline(self) -> Outline:
        """Its steps and trace in short; raises BadResults where these are not as they should be."""
        return self._read_as(Outline)

    def _read_as(self, kind: type[AnyModel]) -> AnyModel:
        try:
            return kind.model_validate_json(self.line)
        except ValidationError as error:
            raise BadResults.of(f"{self.kept.file.path}: {self.cell_id}", error) from error


_ALL_FIELDS = set(BriefRecord.model_fields)


class BadResults(Exception):
    """A results file that cannot be read; the message says which line and why."""

    @classmethod
    def of(cls, where: str, error: ValidationError) -> BadResults:
        """What stands there is no record."""
        first = error.errors()[0]
        return cls(f"{where}: not a result record: {'.'.join(map(str, first['loc']))}: {first['msg']}")


AnyModel = TypeVar("AnyModel", bound=BaseModel)


_PACKED: dict[str, Callable[[Path], BufferedIOBase]] = {".gz": gzip.GzipFile, ".xz": lzma.LZMAFile}


def read_records(path: Path) -> Iterator[Record]:
    """The records of a `results.jsonl`, packed (`.xz`, `.gz`) or not; raises BadResults naming file and line."""
    try:
        with _PACKED[path.suffix](path) if path.suffix in _PACKED else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _parse(Record, line, path, number)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise BadResults(f"{path}: {getattr(error, 'strerror', None) or error}") from error


def read_in_brief(path: Path) -> Iterator[Record]:
    """The same of a `results.jsonl`, in a tenth of the room, as BriefRecords: for whoever counts cells.

    The file may be replaced, not written to.
    """
    if path.suffix in _PACKED:
        yield from read_records(path)
        return
    begin = 0
    try:
        file = OpenFile(path)
        with path.open("rb", _AT_ONCE_BYTES) as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _in_brief(line, path, number, Place(file, begin, begin + len(line.rstrip())))
                begin += len(line)
    except OSError as error:
        raise BadResults(f"{path}: {error.strerror or error}") from error


# What is between these, in the order of a record's fields, need not be read. No text has them: its quotes are escaped.
_STEPS, _AFTER_THE_TRACE = b',"steps":[', b',"known_failure":'


def _in_brief(line: bytes, path: Path, number: int, place: Place) -> Record:
    begin, end = line.find(_STEPS), line.rfind(_AFTER_THE_TRACE)
    short = line[: begin + 1] + line[end + 1 :] if 0 < begin < end else line
    record = _parse(BriefRecord, short, path, number)
    object.__setattr__(record, "kept", place)
    object.__setattr__(record, "__pydantic_fields_set__", _ALL_FIELDS)  # of its own takes more room than all its values
    return record


def merge_records(paths: Iterable[Path]) -> list[Record]:
    """The records of several `results.jsonl`, in brief; of a cell that is in more than one, the last.

    Raises BadResults.
    """
    return list({record.cell_id: record for path in paths for record in read_in_brief(path)}.values())


def _parse(kind: type[AnyModel], line: bytes, path: Path, number: int) -> AnyModel:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise BadResults.of(f"{path}:{number}", error) from error


def write_records(path: Path, records: Iterable[Record]) -> None:
    """Write `results.jsonl`, one record per line, sorted by cell so that two runs compare line by line."""
    with path.open("wb") as out:
        for _, lines in in_pieces(sorted(records, key=lambda r: r.cell_id), _AT_ONCE_BYTES):
            out.writelines((lines, b"\n"))


def in_pieces(records: Iterable[Record], piece_bytes: int) -> Iterator[tuple[list[Record], bytes]]:
    """Records and their lines, as often as these are more than so many bytes."""
    some: list[Record] = []
    lines: list[bytes | Place] = []
    size_bytes = 0
    for record in records:
        some.append(record)
        lines.append(record.kept)
        size_bytes += len(lines[-1])
        if size_bytes > piece_bytes:
            yield some, read_lines(lines)
            some, lines, size_bytes = [], [], 0
    if some:
        yield some, read_lines(lines)


def write_packed(path: Path, records: Iterable[Record]) -> None:
    """Write a `.jsonl.xz`, sorted by cell, without defaults; the same records give the same bytes."""
    lines = (r.model_dump_json(exclude_defaults=True) + "\n" for r in sorted(records, key=lambda r: r.cell_id))
    path.write_bytes(lzma.compress("".join(lines).encode()))
