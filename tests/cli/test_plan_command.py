from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from support.vision.one_mode import without_mode

from uhd_edge.cli.commands.plan import budget_line, plan
from uhd_edge.cli.main import exit_code
from uhd_edge.cli.printing import too_noisy
from uhd_edge.runtime.answer import Plan


@pytest.fixture(scope="module", autouse=True)
def measured(tmp_path_factory: pytest.TempPathFactory) -> object:
    """One cache for all: the machine is measured by whoever comes first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pictures") / "grey.png"
    Image.new("RGB", (640, 480), "grey").save(file)
    return file


def run(*arguments: object) -> Result:
    return CliRunner().invoke(plan, [*map(str, arguments)], catch_exceptions=False)


def test_the_table_has_a_line_for_every_way_to_look(picture: Path) -> None:
    table = run(picture)
    assert table.exit_code == 0
    head, *lines = table.stdout.splitlines()
    assert head.split("  ")[0].strip() == "mode"
    assert head.endswith("  first token  95 of 100 within")
    assert all(float(line.split()[-4]) <= float(line.split()[-2]) for line in lines)
    assert len(lines) == 8  # 1, 2, 4 and 6 slices, in both modes
    assert not any(line.startswith(">") for line in lines)
    assert run(picture).stderr == ""  # what was measured is remembered


def test_a_budget_marks_one_way_and_says_whether_it_keeps_it(picture: Path) -> None:
    for budget, said in (
        ("60000", "the most detail within 60000 ms"),
        ("0.01", "0.01 ms cannot be met: this is the fastest"),
    ):
        lines = run(picture, "--budget-ms", budget).stdout.splitlines()
        assert sum(line.startswith(">") for line in lines[:-1]) == 1
        assert said in lines[-1]


def test_images_with_modes_of_their_own_keep_them_in_every_line(picture: Path) -> None:
    def vision_tokens(*images: str) -> dict[tuple[str, str], int]:
        lines = [line.split() for line in run(*images, "--max-slices", "2").stdout.splitlines()[1:]]
        return {(line[0], line[1]): int(line[3]) for line in lines}

    fine, coarse = f"{picture}@4x", f"{picture}@16x"
    alone = vision_tokens(str(picture))
    assert vision_tokens(fine) == {key: count for key, count in alone.items() if key[0] == "4x"}
    assert vision_tokens(fine, str(picture)) == {
        (mode, slices): alone["4x", slices] + alone[mode, slices] for mode, slices in alone
    }
    assert vision_tokens(fine, coarse) == {
        ("own", slices): alone["4x", slices] + alone["16x", slices] for slices in ("1", "2")
    }


def test_an_image_with_a_mode_of_its_own_is_drawn_in_it(picture: Path, tmp_path: Path) -> None:
    drawn = {}
    for name in (f"{picture}@4x", f"{picture}@16x", f"{picture}"):
        assert run(name, "--picture", tmp_path / "plan.png", "--max-slices", "1").exit_code == 0
        drawn[name[-3:]] = (tmp_path / "plan.png").read_bytes()
    assert drawn["@4x"] != drawn["16x"] == drawn["png"]


def test_the_json_object_has_the_plans_and_the_chosen_one(picture: Path) -> None:
    printed = json.loads(run(picture, "--json", "--budget-ms", "60000", "--mode", "16x", "--max-slices", "2").stdout)
    assert printed["budget_ms"] == 60000
    assert [plan["views"] for plan in printed["plans"]] == [1, 3]
    assert printed["chosen"] == printed["plans"][1]
    assert printed["chosen"]["within_budget"] is True


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_context_that_nothing_fits_into_is_an_error(
    picture: Path, form: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["plan", str(picture), "--context", "20", *form]) == 1
    printed = capsys.readouterr()
    said = "uhd: nothing fits into the context of 20 tokens; raise --context, or use fewer images"
    assert printed.err.splitlines()[-1] == said  # the machine may be measured before
    assert json.loads(printed.out)["plans"] == [] if form else printed.out == ""


@pytest.mark.parametrize("wrong", ["0", "-5", "nan"])
def test_a_senseless_budget_is_one_line(picture: Path, wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["plan", str(picture), "--budget-ms", wrong]) == 1
    assert "budget_ms is" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ask", "plan"])
@pytest.mark.parametrize("wrong", ["missing.png: no such file", "text.png: not an image"])
def test_what_is_no_image_is_said_before_the_machine_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str, wrong: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "text.png").write_text("no picture")
    image = tmp_path / wrong.partition(":")[0]
    question = ["What?"] if command == "ask" else []
    assert exit_code([command, str(image), *question, "--budget-ms", "100"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert wrong in line


@pytest.mark.parametrize("command", [["plan"], ["ask", "--budget-ms", "100"], ["chat", "--budget-ms", "100"]])
def test_a_mode_that_the_bundle_lacks_is_refused_before_the_machine_is_measured(
    picture: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: list[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    coarse = without_mode("4x", tmp_path / "coarse")
    question = ["What?"] if command[0] == "ask" else []
    assert exit_code([*command, "--bundle", str(coarse), str(picture), f"{picture}@4x", *question]) == 1
    assert capsys.readouterr().err == (
        f"uhd: {picture}@4x: {coarse} has no 4x graphs for it; the bundle has 16x (fp32, fp16)\n"
    )


def test_a_share_changes_what_is_promised_and_how_it_is_called(picture: Path) -> None:
    strict, lax = (
        run(picture, "--budget-ms", 60000, "--budget-share", share, "--json").stdout for share in ("0.99", "0.5")
    )
    assert json.loads(strict)["chosen"]["upper_ms"] > json.loads(lax)["chosen"]["upper_ms"]
    assert "  80 of 100 within" in run(picture, "--budget-share", "0.8").stdout.splitlines()[0]


def test_a_machine_that_is_too_noisy_for_a_promise_is_told_with_both_times() -> None:
    noisy = Plan("16x", 1, 1, 64, 16, 38, 51.2, 90.4, within_budget=False, too_noisy=True)
    reason = (
        "60 ms cannot be promised: this machine is too noisy; half of such questions take up to 51 ms, "
        "95 of 100 up to 90 ms"
    )
    assert budget_line(noisy, 60.0, 0.95) == f"> the fastest; {reason}"
    assert too_noisy(noisy, 60.0, 0.95) == reason


def test_asking_within_a_budget_says_what_was_chosen(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(["ask", str(picture), "Why?", "--budget-ms", "60000", "--max-slices", "2", "--json"]) == 0
    asked = json.loads(capsys.readouterr().out)
    assert asked["plan"]["within_budget"] is True
    assert (asked["plan"]["max_slices"], len(asked["views"])) == (2, 3)


def test_asking_within_a_budget_keeps_to_the_mode_that_was_named(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["ask", str(picture), "Why?", "--budget-ms", "60000", "--mode", "16x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["plan"]["mode"] == "16x"


def test_a_budget_that_cannot_be_kept_is_said_beside_the_answer(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["ask", str(picture), "Why?", "--budget-ms", "0.01"]) == 0
    printed = capsys.readouterr()
    assert printed.out.strip()
    assert "uhd: the budget cannot be met; the fastest setting was used, predicted at" in printed.err
