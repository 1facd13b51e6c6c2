"""The README and the pages promise nothing that is not there: examples run, links lead somewhere, options exist."""

import dataclasses
import re
import subprocess
import sys
from argparse import ArgumentParser, _SubParsersAction
from pathlib import Path

import pytest

import rhythmgan.cli
import rl_tuner.cli
from rhythmgan.midi_reader import read_midi
from rhythmgan.models.config import GANConfig, WordLSTMConfig
from rhythmgan.training.config import GANTrainingConfig, PriorTrainingConfig
from rl_tuner.commands.train import ENVS
from rl_tuner.commands.trainable import latent
from rl_tuner.config import (
    AGENT,
    LATENT_AGENT,
    AgentShape,
    DQNConfig,
    ReadOutConfig,
    SoftQConfig,
    StepwiseEnvConfig,
)

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
RESEARCHER = ROOT / "docs" / "researcher.md"
PAGES = sorted(
    path
    for folder in (".", "docs", "data", "rhythmgan/weights", ".github")
    for path in (ROOT / folder).glob("**/*.md" if folder == "docs" else "*.md")
)
COMMANDS = {"rhythmgan": rhythmgan.cli._parser(), "rl-tuner": rl_tuner.cli._parser()}


def _name(path):
    return path.relative_to(ROOT).as_posix() if isinstance(path, Path) else str(path)


def _text(path):
    return path.read_text(encoding="utf-8")


def _sections(text):
    """Heading → the lines below it up to the next heading, of a page; what looks like one in a code block is none."""
    sections, heading, in_code = {}, "", False
    for line in text.splitlines():
        in_code ^= line.startswith("```")
        if line.startswith("#") and not in_code:
            heading = line.lstrip("#").strip()
            assert heading not in sections, f"two headings are called {heading!r}"
            sections[heading] = []
        else:
            sections.setdefault(heading, []).append(line)
    return {heading: "\n".join(lines) for heading, lines in sections.items()}


def _blocks(text, language):
    """The code blocks of a language; "" for those without."""
    found, block = [], None
    for line in text.splitlines():
        if block is None and line.startswith("```"):
            block = (line[3:].strip(), [])
        elif line.startswith("```"):
            found.append(block)
            block = None
        elif block is not None:
            block[1].append(line)
    assert block is None, "a code block has no end"
    return ["\n".join(lines) + "\n" for kind, lines in found if kind == language]


def test_sections_and_blocks_are_read():
    text = "# A\nx\n```\n# no heading\n```\n## B\n```python\n1\n2\n```\n```python\n3\n```\n"
    assert list(_sections(text)) == ["A", "B"]
    assert _blocks(text, "python") == ["1\n2\n", "3\n"]
    assert _blocks(_sections(text)["A"], "") == ["# no heading\n"]


# --- Examples ----------------------------------------------------------------------------------------

# what else must hold after the example below a heading
HOLDS = {
    "Bars of seeds": "assert abs(calm.sum() / bars.sum() - 1) < 0.15 and (calm != bars).any()",
    "Latent points": "assert 0 < (near != mine).sum() < 30 and path.shape == (9, 16, 12)",
    "Likelihood": "assert (half[:, :8] == bars[0, :8]).all() and after.shape == (8, 16, 12)",
    "Features and percentiles": "assert len(everything) == len(FEATURES)",
    "Variations and phrases": "assert (around[:, locked] == bar[locked]).all() and songs.shape == (8, 4, 16, 12)",
    "Models of whole phrases": "assert phrases.shape == (8, 4, 12, 7) and (continued[:, :2] == phrases[0, :2]).all()",
    "A dump in Python": "assert len(bars) == 100 and (bars == rhythmgan.sample(done.tried)[seeds]).all()",
    "Steering": "assert result.bars.shape == (8, 16, 12) and result.success.sum() >= 6",
    "Steer a loop": "assert (versions.loop, versions.n_versions) == (4, 3) and versions.success.sum() >= 6",
    "Bars decided step by step": "assert info['terms']['success'].mean() > 0.3",
    "Performances": "assert (performance.bars == bars).all() and 0.15 < performance.offsets.max() < 0.25",
    "Songs": "assert len(before) == len(after.words)",
}


def _examples():
    for page in (README, RESEARCHER):
        for heading, section in _sections(_text(page)).items():
            for number, code in enumerate(_blocks(section, "python")):
                yield pytest.param(page, heading, code, id=f"{page.stem}-{heading}-{number}".replace(" ", "-"))


@pytest.mark.parametrize(("page", "heading", "code"), list(_examples()))
def test_example_runs(tmp_path, page, heading, code):
    more = HOLDS.get(heading, "") if page == RESEARCHER else ""
    script = tmp_path / "example.py"
    script.write_text(f"{code}{more}\n", encoding="utf-8")
    done = subprocess.run([sys.executable, "-W", "error", script], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path in tmp_path.glob("*.mid"):
        assert len(read_midi(path).beat) > 5, path.name


def test_what_holds_after_an_example_has_its_example():
    sections = _sections(_text(RESEARCHER))
    assert [heading for heading in HOLDS if not _blocks(sections.get(heading, ""), "python")] == []


def test_demo_morphs_there_and_back(tmp_path):
    script = ROOT / "demo" / "morph.py"
    done = subprocess.run([sys.executable, script, "3", "17", tmp_path / "m.mid"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "14 bars" in done.stdout
    assert 48 < read_midi(tmp_path / "m.mid").beat.max() < 56


# --- The README --------------------------------------------------------------------------------------


def test_readme_is_short():
    assert len(_text(README).split()) <= 1300


def _tree(block):
    """(folder, name) of everything that a tree names.

    A line that is not indented begins with folders; an indented one with what lies in the folder above it, with commas
    between. Two spaces divide names from what is said of them.
    """
    folder = ""
    for line in filter(None, block.splitlines()):
        if line.startswith(" "):
            for name in re.split(r"\s{2,}", line.strip())[0].split(", "):
                yield folder, name
        else:
            for name in re.split(r"\s{3,}", line)[0].split():
                yield "", name
                folder = name


def test_a_tree_is_read():
    block = "a/   the library\n  b, c   two of\n  d/     a folder\ne/  f/\n"
    assert list(_tree(block)) == [("", "a/"), ("a/", "b"), ("a/", "c"), ("a/", "d/"), ("", "e/"), ("", "f/")]


def test_the_tree_of_the_readme_is_short_and_true():
    (block,) = _blocks(_sections(_text(README))["Where things are"], "")
    assert len(block.splitlines()) <= 25
    missing = [
        f"{folder}{name}"
        for folder, name in _tree(block)
        if not any((ROOT / folder / f"{name}{suffix}").exists() for suffix in ("", ".py"))
    ]
    assert missing == []


def test_readme_has_one_test_command():
    commands = re.findall(r"^python3 -m venv .* -m pytest.*$", _text(README), re.M)
    assert len(commands) == 1
    assert "-c constraints.txt" in commands[0]


@pytest.mark.parametrize(
    ("file", "pattern"),
    [(".ci/run", r"sed -n 's/\^\\\((.*)\\\)\$/"), (".github/workflows/ci.yml", r"grep -x '(.*)' README\.md")],
)
def test_ci_finds_the_test_command(file, pattern):
    (searched,) = re.findall(pattern, _text(ROOT / file))
    assert len(re.findall(f"^{searched}$", _text(README), re.M)) == 1


# --- Links and names ---------------------------------------------------------------------------------


def _anchors(page):
    """The anchors of a page's headings, as GitHub names them."""
    for heading in _sections(_text(page)):
        plain = re.sub(r"[^\w\- ]", "", heading.lower())
        yield plain.replace(" ", "-")


def _links(page):
    """The relative links of a page, outside of code."""
    text = re.sub(r"```.*?```", "", _text(page), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page):
    broken = []
    for target in _links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        if not there.exists() or (anchor and anchor not in _anchors(there)):
            broken.append(target)
    assert broken == []


def test_every_page_is_linked_from_the_index():
    """Pages of reproductions are linked from theirs."""
    lists = [ROOT / "docs" / "index.md", ROOT / "docs" / "reproductions" / "README.md"]
    linked = {(path.parent / target.partition("#")[0]).resolve() for path in lists for target in _links(path)}
    pages = {path for path in PAGES if "docs" in path.parts[len(ROOT.parts) :] and path.name != "index.md"}
    assert sorted(_name(path) for path in pages - linked) == []


def test_every_benchmark_is_named_and_every_one_named_exists():
    named = set(re.findall(r"benchmarks/(\w+\.py)", _text(ROOT / "docs" / "benchmarks.md")))
    assert named == {path.name for path in (ROOT / "benchmarks").glob("*.py")}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_files_that_a_page_names_exist(page):
    folders = "benchmarks|data|demo|docs|recipes|rhythmgan|rl_tuner|tests"
    named = set(re.findall(rf"`((?:{folders})/[\w/.\-]+\.(?:py|sh|md|txt|safetensors|json))[`:]", _text(page)))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


# --- Options -----------------------------------------------------------------------------------------

# options of other programs that the pages name
OTHERS = {"--extra", "--help", "--index-url", "--logdir", "--python-version", "--require-hashes"}


def _subcommands(parser, name):
    """(name, parser) of a command and all that are below it."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            for word, below in action.choices.items():
                yield from _subcommands(below, f"{name} {word}")


def _options(parser: ArgumentParser):
    return {option for action in parser._actions for option in action.option_strings}


PARSERS = {name: parser for word, parser in COMMANDS.items() for name, parser in _subcommands(parser, word)}


def _scripts():
    """Options of the scripts that are run by themselves."""
    folders = ("benchmarks", "recipes", "tests/fuzz")
    sources = [_text(path) for folder in folders for path in (ROOT / folder).rglob("*.py")]
    return {option for source in sources for option in re.findall(r"\"(--[a-z][\w\-]*)\"", source)}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_options_that_a_page_names_exist(page):
    if page.name == "CHANGELOG.md":
        pytest.skip("it lists old names beside new ones")
    known = OTHERS | _scripts() | {option for parser in PARSERS.values() for option in _options(parser)}
    named = set(re.findall(r"(?<![\w\-])--[a-z][a-z0-9\-]*", _text(page)))
    assert sorted(named - known) == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_that_a_page_shows_take_the_options_that_it_gives_them(page):
    wrong = []
    lines = [
        line for language in ("", "bash") for block in _blocks(_text(page), language) for line in block.splitlines()
    ]
    for line in [*lines, *re.findall(r"`([^`\n]+)`", _text(page))]:
        for command in re.split(r"&&|\|\||;", line):
            words = command.strip().removeprefix(".venv/bin/").split()
            name = next((" ".join(words[:n]) for n in (3, 2) if " ".join(words[:n]) in PARSERS), None)
            if name:
                given = {word.partition("=")[0] for word in words if re.match(r"--[a-z]", word)}
                wrong += [f"{name} {option}" for option in given - _options(PARSERS[name]) - OTHERS]
    assert wrong == []


@pytest.mark.parametrize("config", [GANTrainingConfig, GANConfig, PriorTrainingConfig, WordLSTMConfig])
def test_every_option_of_training_is_explained_with_its_default(config):
    headings = {GANTrainingConfig: "Train the GAN", GANConfig: "Train the GAN"}
    section = _sections(_text(RESEARCHER))[headings.get(config, "Train the prior")]
    rows = dict(re.findall(r"^\| [^|]*\| `(\w+)` \| ([^|]+) \|", section, re.M))
    of_the_corpus = {"kit", "steps", "roles", "styles"}
    defaults = {field.name: str(field.default) for field in dataclasses.fields(config)}
    assert {name: rows.get(name) for name in defaults if name not in of_the_corpus} == {
        name: default for name, default in defaults.items() if name not in of_the_corpus
    }


@pytest.mark.parametrize(
    ("command", "heading"),
    [
        ("rhythmgan train gan", "Train the GAN"),
        ("rhythmgan train prior", "Train the prior"),
        ("rhythmgan prepare", "Prepare your songs"),
        ("rhythmgan sample", "Dumps"),
        ("rhythmgan vary", "Vary a loop, or fill it in"),
        ("rhythmgan fill", "Vary a loop, or fill it in"),
    ],
)
def test_every_option_of_a_command_is_explained(command, heading):
    section = _sections(_text(RESEARCHER))[heading]
    options = _options(PARSERS[command]) - {"-h", "--help"}
    assert sorted(option for option in options if not re.search(rf"`{option}\b", section)) == []


def test_every_option_of_training_agents_is_explained():
    """In the section of its environment."""
    sections = _sections(_text(RESEARCHER))
    text = "".join(sections[name] for name in sections if name.startswith("Train"))
    options = _options(PARSERS["rl-tuner train"]) - {"-h", "--help"}
    assert sorted(option for option in options if not re.search(rf"`{option}\b", text)) == []


def test_every_option_of_the_agents_training_is_explained_with_its_default():
    section = _sections(_text(RESEARCHER))["Train the agent"]
    rows = re.findall(r"^\| (?:`(--[\w-]+)`)? *\| `(\w+)` \| ([\w.,]+) \|", section, re.M)
    configs = (SoftQConfig, StepwiseEnvConfig, AgentShape)
    defaults = {field.name: field.default for config in configs for field in dataclasses.fields(config)}
    defaults["bars"] = ReadOutConfig.bars  # its other fields are of read-outs that the benchmark learns
    assert {name: default.replace(",", "") for _, name, default in rows} == {
        name: str(default) for name, default in defaults.items()
    }
    assert SoftQConfig() == AGENT
    options = _options(PARSERS["rl-tuner train"])
    wanted = {name: f"--{name.replace('_', '-')}" for name in defaults}
    assert {name: option for option, name, _ in rows} == {
        name: option if option in options else "" for name, option in wanted.items()
    }


def test_every_option_of_training_an_agent_of_whole_bar_moves_is_explained_with_its_defaults():
    section = _sections(_text(RESEARCHER))["Train an agent of whole-bar moves"]
    rows = re.findall(r"^\| (?:`(--[\w-]+)`)? *\| `(\w+)` \| ([\w.,]+) \| ([\w.,]+) \|", section, re.M)
    fields = [field.name for field in dataclasses.fields(DQNConfig)]
    assert [name for _, name, *_ in rows] == fields
    for option, name, *said in rows:
        values = tuple(value.replace(",", "") for value in said)
        assert values == (str(getattr(DQNConfig(), name)), str(getattr(LATENT_AGENT, name))), name
        assert option in ("", f"--{name.replace('_', '-')}")
    of_the_environment = {name for config, names in latent.FIELDS for name in names if config is not LATENT_AGENT}
    assert {option for option, *_ in rows if option} == {
        f"--{name.replace('_', '-')}" for config, names in latent.FIELDS for name in names
    } - {f"--{name.replace('_', '-')}" for name in of_the_environment}


def test_every_option_of_training_agents_of_others_is_explained_with_its_default_in_each_environment():
    section = _sections(_text(RESEARCHER))["Train the agents of others"]
    head, *rows = re.findall(r"^\| (.+) \|$", section, re.M)
    envs = [cell.strip(" `") for cell in head.split("|")[1:-1]]
    said = {
        (env, option.strip(" `")): value.strip().replace(",", "")
        for option, *values, _ in (row.split("|") for row in rows[1:])
        for env, value in zip(envs, values, strict=True)
        if value.strip()
    }
    assert envs == ["edit", "toggle", "append"]
    assert said == {
        (env, f"--{name.replace('_', '-')}"): str(getattr(config, name))
        for env in envs
        for config, fields in ENVS[env].FIELDS
        for name in fields
    }


# --- Words -------------------------------------------------------------------------------------------

# what the project once said, and what it says now
OLD_WORDS = {
    r"(?<!random )\bwalks?\b": "episodes, environments",
    r"--penalty": "--r1-gamma, --r2-gamma",
    r"\btold (?:at|from|apart)\b": "a classifier detects them at",
    r"\bwords files?\b": "corpus",
    r"\bbars\.npz\b(?= that| from `prepare)|--(?:data|out) bars\.npz": "corpus.npz",
    r"\bhangs? on\b": "depend on",
    r"\bgone on with\b|\bgo(?:es)? on (?:from|where|with)\b": "resume, continue",
    r"other metre": "other time signature",
    r"\b(?:restraint|effort)\b": "KL",
    r"\bthe game\b": "adversarial phase",
    r"\blabelled views\b|\bviews for\b": "augmentations",
    r"\bnobody knows\b": "have no labels",
    r"\bhead start\b": "discriminator warm-up",
}


def _found(old, texts):
    return [f"{name}: {match[0]!r}" for name, text in texts.items() for match in re.finditer(old, text)]


def _id(old):
    return re.sub(r"\W+", "-", old).strip("-")


@pytest.mark.parametrize("old", OLD_WORDS, ids=_id)
def test_no_page_has_an_old_word(old):
    pages = {_name(path): _text(path) for path in PAGES if path.name != "CHANGELOG.md"}
    assert _found(old, pages) == [], f"say {OLD_WORDS[old]}"


@pytest.mark.parametrize("old", OLD_WORDS, ids=_id)
def test_no_help_text_has_an_old_word(old):
    texts = {name: " ".join(parser.format_help().split()) for name, parser in PARSERS.items()}
    assert _found(old, texts) == [], f"say {OLD_WORDS[old]}"
