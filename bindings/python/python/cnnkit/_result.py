"""What a command returns."""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _native

if TYPE_CHECKING:
    import pandas


#: What a module was given, and what it returned: sizes, elements in f32, and the error of each output in f32.
Computed: TypeAlias = "tuple[list[tuple[list[int], bytes]], list[tuple[list[int], bytes, float]]]"


class Section(Mapping[str, Any]):
    """A part of a result: its entries are attributes as well."""

    def __init__(self, entries: dict[str, Any]) -> None:
        self._entries = entries

    def __getattr__(self, name: str) -> Any:
        try:
            return _shown(self._entries[name])
        except KeyError:
            raise AttributeError(f"there is no `{name}` here; there are {', '.join(self._entries)}") from None

    def __getitem__(self, name: str) -> Any:
        return _shown(self._entries[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._entries]

    def __repr__(self) -> str:
        return json.dumps(self._entries, indent=2)

    def to_dict(self) -> dict[str, Any]:
        """Returns the entries as plain dictionaries, lists and numbers."""
        return self._entries


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return Section(value)
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return value


class Result:
    """What a command reports.

    Every key of the command's JSON (``docs/json.md``) is an attribute; those of ``totals`` are attributes of the result
    itself. ``repr`` is the table of the terminal.
    """

    #: Whether the command's own check passed: no finding, no broken budget, every claim verified.
    ok: bool
    #: Whether a figure is partial because an operator was not analysed.
    partial: bool
    #: How the network was read, where there were several ways: what was tried before, and why it failed.
    remarks: list[str]

    def __init__(self, called: tuple[str, str, str, bool, bool], remarks: list[str] | None = None) -> None:
        self._json, self._text, self._markdown, self.ok, self.partial = called
        self._entries: dict[str, Any] = json.loads(self._json)
        self.remarks = remarks or []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        for entries in (self._entries, self._entries.get("totals")):
            if isinstance(entries, dict) and name in entries:
                return _shown(entries[name])
        names = [*self._entries, *self._entries.get("totals", {})]
        raise AttributeError(f"the result has no `{name}`; it has {', '.join(names)}")

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._entries, *self._entries.get("totals", {})]

    def __repr__(self) -> str:
        text = self._text.rstrip("\n")
        return "\n".join([text, *self.remarks])

    def __bool__(self) -> bool:
        return self.ok

    def to_dict(self) -> dict[str, Any]:
        """Returns the command's JSON as plain dictionaries, lists and numbers.

        >>> import cnnkit
        >>> cnnkit.summary("zoo:resnet18").to_dict()["totals"]["params"]
        11689512
        """
        entries: dict[str, Any] = json.loads(self._json)
        return entries

    def to_json(self) -> str:
        """Returns the command's JSON."""
        return self._json

    def to_markdown(self) -> str:
        """Returns the report as Markdown."""
        return self._markdown

    def to_pandas(self) -> pandas.DataFrame:
        """Returns the longest list of the result (layers, findings, claims) as a data frame; needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise ImportError("to_pandas() needs pandas: pip install pandas") from error
        lists = [value for value in self._entries.values() if isinstance(value, list)]
        rows = max(lists, key=len, default=[])
        return pandas.json_normalize([row for row in rows if isinstance(row, dict)])

    def _repr_html_(self) -> str:
        return _html(self._markdown, self.remarks)


def _html(markdown: str, remarks: list[str]) -> str:
    """The report of a command as HTML: headings, tables and paragraphs are all the Markdown that there is."""
    parts: list[str] = []
    rows: list[str] = []
    code: list[str] | None = None

    def close() -> None:
        if rows:
            parts.append("<table>" + "".join(rows) + "</table>")
            rows.clear()

    for line in [*markdown.splitlines(), *remarks]:
        if line.startswith("```"):
            close()
            if code is None:
                code = []
            else:
                parts.append("<pre>" + html.escape("\n".join(code)) + "</pre>")
                code = None
        elif code is not None:
            code.append(line)
        elif line.startswith("|"):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            if all(set(cell.strip()) <= set("-: ") and cell.strip() for cell in cells):
                continue
            tag = "td" if rows else "th"
            rows.append("<tr>" + "".join(f"<{tag}>{_inline(cell.strip())}</{tag}>" for cell in cells) + "</tr>")
        else:
            close()
            heading = re.match(r"(#+) (.*)", line)
            if heading:
                parts.append(f"<h4>{_inline(heading[2])}</h4>")
            elif line.strip():
                parts.append(f"<p>{_inline(line)}</p>")
    close()
    return "<div>" + "".join(parts) + "</div>"


def _inline(text: str) -> str:
    text = html.escape(re.sub(r"\\([|*_`\\<>\[\]#])", r"\1", text))
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)


def call(
    arguments: list[str],
    models: dict[str, bytes],
    remarks: list[str] | None = None,
    computed: Computed | None = None,
) -> Result:
    """Runs a command; ``verify`` compares with what PyTorch computed."""
    width = shutil.get_terminal_size((100, 24)).columns
    return Result(_native.call(arguments, models, computed, width), remarks)
