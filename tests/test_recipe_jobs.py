"""What the recipes share: a run is not made twice, what is cut short goes on, and tables by hand."""

import argparse
import json

import pytest

import jobs


@pytest.fixture
def setting(tmp_path):
    (tmp_path / "jobs").mkdir()
    return jobs.Setting(tmp_path / "corpus.npz", tmp_path, False)


def options_of(setting, *arguments):
    parser = argparse.ArgumentParser()
    jobs.add_options(parser, seeds=3)
    return parser.parse_args(["--data", str(setting.data), "--out", str(setting.out), *arguments])


def test_a_run_that_has_a_file_is_not_made_again(setting):
    calls = []
    runs = {"kind": lambda setting, job: calls.append(job) or {"rows": {}}}
    job = jobs.Job("a-run", "kind", 3)
    assert jobs.run_job(runs, setting, job).startswith("a-run: 0.0 minutes")
    assert jobs.run_job(runs, setting, job) == "a-run: was there"
    assert calls == [job]
    assert json.loads((setting.out / "jobs" / "a-run.json").read_text(encoding="utf-8"))["rows"] == {}


def test_a_run_that_is_not_whole_goes_on(setting):
    job = jobs.Job("a-run", "kind")

    def run(setting, job):
        done = setting.found(job).get("done", 0) + 1
        return {"done": done, "is_whole": done == 2}

    for done in (1, 2, 2):
        jobs.run_job({"kind": run}, setting, job)
        assert setting.found(job)["done"] == done


def test_the_minutes_of_earlier_calls_are_added(setting):
    job = jobs.Job("a-run", "kind")
    jobs.write_found(setting, job, {"minutes": 5.0}, began=jobs.time.perf_counter() - 60)
    assert setting.found(job)["minutes"] == pytest.approx(6, abs=0.1)
    assert setting.found(job)["is_whole"] is False


def test_only_the_named_jobs_run_and_then_no_report_is_made(setting, capsys):
    names = []
    runs = {"kind": lambda setting, job: names.append(job.name) or {}}
    asked = [jobs.Job(name, "kind") for name in ("one-0", "two-0", "two-1", "three")]
    jobs.run_and_report(options_of(setting, "--only", "two", "three"), runs, setting, asked, lambda _: "table\n")
    assert names == ["two-0", "two-1", "three"]
    assert capsys.readouterr().out == ""
    jobs.run_and_report(options_of(setting), runs, setting, asked, lambda _: "table\n")
    assert names == ["two-0", "two-1", "three", "one-0"]
    printed = capsys.readouterr().out
    assert printed == (setting.out / "tables.md").read_text(encoding="utf-8")
    assert printed.startswith("table\n4 runs on ")


def test_a_report_runs_nothing(setting):
    jobs.run_and_report(options_of(setting, "--report"), {}, setting, [jobs.Job("one", "kind")], lambda _: "table\n")
    assert (setting.out / "tables.md").read_text(encoding="utf-8") == "table\n\n"


def test_without_a_report_the_jobs_run_alone(tmp_path, capsys):
    """In a folder that is not there yet."""
    setting = jobs.Setting(tmp_path / "corpus.npz", tmp_path / "new" / "out", False)
    asked, runs = [jobs.Job("one", "kind"), jobs.Job("two", "kind")], {"kind": lambda setting, job: {"seed": job.seed}}
    jobs.run_and_report(options_of(setting, "--no-report"), runs, setting, asked, lambda _: "table\n")
    assert sorted(path.name for path in (setting.out / "jobs").iterdir()) == ["one.json", "two.json"]
    assert not (setting.out / "tables.md").exists()
    out, error = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in error.splitlines()] == ["one", "two"]


def test_a_recipe_has_its_own_number_of_seeds(setting):
    options = options_of(setting)
    assert (options.seeds, options.jobs, options.only, options.quick) == (3, 1, [""], False)


def test_the_minutes_of_each_machine_are_added(setting):
    for name, machine, minutes in (("a", "two cores", 60.0), ("b", "old one", 7.6), ("c", "two cores", 31.5)):
        (setting.out / "jobs" / f"{name}.json").write_text(
            json.dumps({"machine": machine, "minutes": minutes}), encoding="utf-8"
        )
    said = jobs.how_long(setting, [jobs.Job(name, "kind") for name in "abcd"])  # of d nothing is there
    assert said == "2 runs on two cores: 92 core-minutes\n1 runs on old one: 8 core-minutes\n"


def test_what_one_seed_alone_has_measured_has_no_deviation():
    rows = {"two": [{"run": 1.0}, {"run": 3.0, "nats": 0.5}]}
    table = jobs.table(rows, {"run": ("run", "{:.1f}"), "nats": ("nats", "{:.1f}")})
    assert table.splitlines()[-1] == "| two | 2 | 2.0 ± 1.0 | 0.5 |"


def test_a_figure_says_nothing_of_the_program_that_drew_it(tmp_path):
    from matplotlib.figure import Figure

    jobs.save_figure(Figure((1, 1)), tmp_path / "figure.png")
    data = (tmp_path / "figure.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert b"Software" not in data


def test_a_table_has_means_with_deviations_over_seeds():
    columns = {"run": ("longest run", "{:.2f}"), "c2st": ("C2ST", "{:.3f}")}
    rows = {"one": [{"run": 3.0}], "two": [{"run": 1, "c2st": 0.5}, {"run": 2, "c2st": 0.7}]}
    assert jobs.table(rows, columns, "loops").splitlines() == [
        "| loops | seeds | longest run | C2ST |",
        "|---|---:|---:|---:|",
        "| one | 1 | 3.00 |  |",
        "| two | 2 | 1.50 ± 0.50 | 0.600 ± 0.100 |",
    ]
