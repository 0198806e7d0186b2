"""The pages for readers: links lead somewhere, and what is copied from the code agrees with it."""

import re
from pathlib import Path

import pytest

from api.__main__ import main as serve
from api.errors import DEFECT, KINDS
from model.command_line import main as run_model
from tests.soak.__main__ import SCENARIOS
from tests.test_layers import LAYERS
from training.command_line import main as run_training

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "weights" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# A path in the repository, in a sentence or a command; capitals stand for a name of the reader's own.
PATH = re.compile(
    r"(?<![\w/.-])(?:(?:api|deploy|docs|examples|model|requirements|tests|training|weights)/[\w./*-]*|requirements[\w-]*\.txt)"
)
COMMAND = re.compile(r"python -m (api|model|training)( [a-z][a-z-]+\b)?([^`\n|;#]*)")
OPTION = re.compile(r"--[a-z][a-z-]*")
PROGRAMS = {"api": serve, "model": run_model, "training": run_training}
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def read_prose(page: Path) -> str:
    """The text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def list_anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives a page's headings: lower case, no punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.+)$", read_prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    for link in LINK.findall(read_prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.is_file(), link
        assert not anchor or anchor in list_anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_in_the_text_exists(page):
    if page.stem == "CHANGELOG":
        return  # it names what has gone
    for path in set(PATH.findall(page.read_text(encoding="utf-8"))):
        assert re.search("NAME|DIR|RECIPE|FILE", path) or list(ROOT.glob(path.rstrip("./"))), path


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_in_the_text_exists_with_its_options(program, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")  # no option is cut
    texts = [page.read_text(encoding="utf-8").replace("\\\n", " ") for page in PAGES if page.stem != "CHANGELOG"]
    found = [match for text in texts for match in COMMAND.findall(text) if match[0] == program]
    for command in {command.strip() for _, command, _ in found}:
        with pytest.raises(SystemExit) as ended:
            PROGRAMS[program]([*command.split(), "--help"])
        assert ended.value.code == 0, command
        options = {option for _, other, rest in found if other.strip() == command for option in OPTION.findall(rest)}
        assert options <= set(OPTION.findall(capsys.readouterr().out)), command


@pytest.mark.parametrize("package", LAYERS)
def test_the_page_of_development_shows_the_layers(package):
    table = (ROOT / "docs" / "development.md").read_text(encoding="utf-8").partition(f"| `{package}` |")[2]
    rows = [re.findall(r"`(\w+)`", row.split("|")[1]) for row in table.partition("\n\n")[0].splitlines()[2:]]
    assert list(map(sorted, rows)) == [sorted(line.split()) for line in LAYERS[package].strip().splitlines()]


def test_the_page_of_development_lists_the_scenarios_of_the_soak():
    table = (ROOT / "docs" / "development.md").read_text(encoding="utf-8").partition("| scenario | does |")[2]
    assert re.findall(r"^\| `(\w+)` \|", table.partition("\n\n")[0], re.MULTILINE) == list(SCENARIOS)


def test_every_page_is_linked_from_the_readme():
    linked = {link.partition("#")[0] for link in LINK.findall(read_prose(README))}
    assert {str(page.relative_to(ROOT)) for page in PAGES if page != README} <= linked


def test_the_readme_is_short_and_shows_how_to_start_at_once():
    lines = README.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 150
    start = "\n".join(lines[:40])
    assert all(text in start for text in ("make serve", "curl", "](docs/images/"))


def test_the_settings_page_holds_the_table_of_the_settings(capsys):
    assert serve(["--settings-table"]) == 0
    table = capsys.readouterr().out
    assert table in (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), "python -m api --settings-table"


def test_the_page_of_the_api_lists_every_error():
    section = read_prose(ROOT / "docs" / "http-api.md").partition("## Errors")[2].partition("\n## ")[0]
    shown = {
        (int(status), code)
        for statuses, codes in re.findall(r"^\| (\d{3}[^|]*) \| (.*) \|$", section, re.MULTILINE)
        for status in re.findall(r"\d{3}", statuses)
        for code in re.findall(r"`([a-z_]+)`", codes)
    }
    of_the_framework = {(404, "not_found"), (405, "method_not_allowed")}
    assert shown == {(int(kind.status), kind.code) for kind in (*KINDS.values(), DEFECT)} | of_the_framework
