"""Sample: loops of seeds, the textbook and files of visitors, and what the page says of them."""

import math

import mido
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("streamlit", reason="the page needs Streamlit")

from visiting import ANYTHING, TABS, cells_of, drawn, go, held, press, send, shown, visit

from page import asking, dials, models, sample, songs
from page.loop import KIT, Loop
from rhythmgan.conditions import Condition
from rhythmgan.features import measure
from rhythmgan.generate.phrases import phrases
from rhythmgan.midi import midi_bytes
from rhythmgan.models.catalogue import load_phrase_prior
from rhythmgan.models.gan import load_gan
from rhythmgan.performance import Performance, Playback
from rhythmgan.reference import load_reference

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def gan():
    return load_gan()


# -- what the models say -------------------------------------------------------------------------


def test_a_loop_begins_with_the_bar_of_its_seed_and_has_a_form(gan):
    four, eight = models.sampled((5, 900))[1], models.sampled((900,), 8)[0]
    np.testing.assert_array_equal(four.cells[0], gan.sample(1, seed=900)[0])
    for loop, form in ((four, "AAAF"), (eight, "AAAVAAAF")):
        for bar, letter in zip(loop.cells, form, strict=True):
            assert ((bar == loop.cells[0]).all()) == (letter == "A")
    assert (eight.cells[3] != eight.cells[7]).any()  # a variation is no fill
    np.testing.assert_array_equal(four.cells, models.sampled((900,))[0].cells)  # in any company
    (one,) = models.sampled((900,), 1)
    np.testing.assert_array_equal(one.cells, four.cells[:1])
    assert (four.name, one.name) == ("seed 900", "seed 900")


def test_two_bars_are_the_bar_of_the_seed_and_a_variation_of_it(gan):
    (two,) = models.sampled((900,), 2)
    expected, _ = phrases(gan.with_condition("groove", "any"), load_phrase_prior(), [900], 2, form="AV")
    np.testing.assert_array_equal(two.cells, expected[0])
    assert (two.cells[0] != two.cells[1]).any()


def test_a_loop_has_the_role_style_grid_and_temperature_that_are_asked_for(gan):
    asked = Condition("fill", "funk")
    (loop,) = models.sampled((3,), 4, 0.7, asked)
    fills, _ = phrases(gan.with_condition("fill", "funk"), load_phrase_prior(), [3], 4, 0.7, form="AAAF")
    np.testing.assert_array_equal(loop.cells, fills[0])
    assert (loop.name, loop.asked) == ("seed 3, Funk fill", asked)
    (cool,) = models.sampled((3,), 1, 0.5)
    np.testing.assert_array_equal(cool.cells, gan.with_condition("groove").draw([3], 0.5)[1])
    assert cool != models.sampled((3,), 1)[0]
    (triplets,) = models.sampled((3,), 2, steps=12)
    assert (triplets.steps, triplets.n_bars, triplets.name) == (12, 2, "seed 3, triplets")


def test_a_note_counts_onsets_by_hand():
    cells = np.zeros((2, 16, 12), bool)
    cells[0, 0, 0] = True
    one, both = Loop.of(cells[:1], "x"), Loop.of(cells, "x")
    assert models.note(one) == "1 onset · syncopation 0"
    assert models.note(both) == "0 onsets a bar · syncopation 0"  # half a one, to the even
    cells[1, [0, 4, 8], 0] = True
    assert models.note(Loop.of(cells, "x")) == "2 onsets a bar · syncopation 0"


def test_the_numbers_of_a_loop_are_means_of_its_bars(gan):
    bars = gan.sample(3, seed=40)
    loop = Loop.of(bars, "x", models.UNASKED)
    numbers = models.numbers(loop)
    values = measure(bars, KIT, ["density", "syncopation"])
    assert numbers.density == pytest.approx(values["density"].double().mean().item())
    assert numbers.syncopation == pytest.approx(values["syncopation"].double().mean().item())
    assert numbers.realism == pytest.approx(gan.logits(bars).mean().item(), abs=1e-5)
    among = load_reference(None, "as_played", "groove", 16, KIT)
    assert numbers.percentile["density"] == among.percentile("density", numbers.density)


def test_a_loop_stands_among_bars_of_its_own_role(gan):
    bars = gan.sample(1, seed=40)
    alike = [models.numbers(Loop.of(bars, "x", Condition(role))) for role in ("groove", "fill")]
    for role, numbers in zip(("groove", "fill"), alike, strict=True):
        among = load_reference(None, "as_played", role, 16, KIT)
        assert numbers.percentile["density"] == among.percentile("density", numbers.density)
    assert alike[0].percentile["density"] != alike[1].percentile["density"]
    assert alike[0].likelihood != alike[1].likelihood


def test_loops_of_the_model_stand_in_the_middle_of_loops_of_the_model(gan):
    bars = gan.sample(400, seed=77).reshape(50, 8, 16, 12)
    found = [models.numbers(Loop.of(loop, "x", models.UNASKED)).percentile for loop in bars]
    for name in ("likelihood", "realism"):
        assert 44 < np.mean([each[name] for each in found]) < 56


def test_of_silence_nobody_says_that_it_is_real():
    numbers = models.numbers(Loop.of(np.zeros((2, 16, 12), bool), "silence"))
    assert set(numbers.percentile) == {"density", "syncopation"}
    assert math.isnan(numbers.realism)
    assert math.isnan(numbers.likelihood)


def test_styles_are_called_as_people_call_them(gan):
    names = {style: asking.style_name(style) for style in gan.styles}
    assert names["pop_rock"] == "Pop rock"
    assert names["rnb"] == "R&B"
    assert len(set(names.values())) == len(gan.styles)


# -- dials ---------------------------------------------------------------------------------------


def test_roles_and_styles_are_told_by_hand():
    told = {
        Condition("groove", "any"): ("", "real grooves"),
        Condition("groove", "half_time"): (", Half time groove", "real grooves"),
        Condition("fill", "any"): (", fill", "real fills"),
        Condition("any", "any"): (", any role", "real bars"),
        Condition("any", "rnb"): (", R&B any role", "real bars"),
    }
    for condition, (name, real) in told.items():
        assert (asking.told(condition, 16), asking.real(condition)) == (name, real)
    assert asking.told(Condition("fill"), 12) == ", fill, triplets"


@given(ANYTHING)
def test_dials_read_anything(sent):
    known = {"a": dials.Dial("a", "A", 0, 10, 1, 5)}
    for value in dials._readable(sent, known).values():
        assert 0 <= value <= 10


@given(st.floats() | st.integers())
def test_a_dial_has_a_number_in_its_range_or_none(value):
    known = {"a": dials.Dial("a", "A", -1, 2, 1, 0)}
    found = dials._readable({"a": value, "b": 1}, known)
    assert found == ({} if value != value else {"a": min(max(float(value), -1.0), 2.0)})


# -- the panel -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_opens(tab):
    visit(tab=tab)


def test_the_first_screen_has_a_loop_and_others(gan):
    app = visit()
    assert held(app) == sample.first() == models.sampled((33,))[0]
    assert shown(app, "stage")["loop"]["code"] == held(app).code
    others = shown(app, "gallery")["loops"]
    assert [loop["name"] for loop in others] == [f"seed {seed}" for seed in range(34, 40)]
    np.testing.assert_array_equal(cells_of(others[2])[0], gan.sample(1, seed=36)[0])


def test_the_address_says_which_loop():
    app = visit(seed="7", bars="2", role="Fill", style="Funk", temperature="0.7")
    assert held(app) == models.sampled((7,), 2, 0.7, Condition("fill", "funk"))[0]
    assert shown(app, "stage")["loop"] == held(app).sent  # at once: nothing else is seen or played before
    assert shown(app, "controls")["loop"] == held(app).sent
    triplets = visit(seed="7", grid="Triplets")
    assert held(triplets) == models.sampled((7,), steps=12)[0]


@pytest.mark.parametrize(("said", "temperature"), [("0.45", 1), ("0.5", 0.5), ("1.2", 1.2), ("1.25", 1), ("inf", 1)])
def test_a_temperature_in_the_address_lies_on_its_dial(said, temperature):
    app = visit(seed="7", bars="1", temperature=said)
    assert held(app) == models.sampled((7,), 1, temperature)[0]
    assert shown(app, "sample-dials")["dials"][0]["value"] == temperature


def test_the_loop_of_an_address_is_the_only_one_of_the_session():
    app = visit(seed="7", bars="2")
    visitor = app.session_state.visitor
    assert visitor.history == [held(app)] == models.sampled((7,), 2)
    assert visitor.past == []


def test_a_style_that_the_model_of_triplets_does_not_know_is_any_style():
    app = visit(style="Reggae", seed="4")
    assert held(app).name == "seed 4, Reggae groove"
    app.segmented_control(key="grid").set_value(12)
    app = drawn(app.run())
    assert held(app).name == "seed 4, triplets"


def test_what_is_asked_for_comes_in_hand_at_once():
    app = visit(seed="7")
    app.segmented_control(key="role").set_value("variation")
    app = drawn(app.run())
    assert held(app) == models.sampled((7,), condition=Condition("variation"))[0]
    app.segmented_control(key="bars").set_value(8)
    app = drawn(app.run())
    assert held(app).n_bars == 8
    app.number_input(key="seed").set_value(12)
    app = drawn(app.run())
    assert held(app) == models.sampled((12,), 8, condition=Condition("variation"))[0]
    visitor = app.session_state.visitor
    assert [loop.n_bars for loop in visitor.past] == [4, 4, 8]


def test_the_temperature_is_one_step_to_undo():
    app = visit(seed="7")
    first = held(app)
    for number, value in ((1, 0.8), (2, 0.6)):
        app = send(app, "sample-dials", "moved", {"number": number, "values": {"temperature": value}})
        assert held(app) == models.sampled((7,), 4, value)[0]
    assert app.session_state.visitor.past == [first]
    assert shown(app, "sample-dials")["dials"][0]["value"] == 0.6
    assert app.query_params["temperature"] in ("0.6", ["0.6"])
    others = models.sampled(tuple(range(8, 14)), 4, 0.6)
    assert [loop["code"] for loop in shown(app, "gallery")["loops"]] == [loop.code for loop in others]


def test_more_goes_on_where_the_gallery_ends_and_the_address_says_so():
    app = press(visit(seed="7"), "More")
    assert held(app).name == "seed 14"
    assert shown(app, "gallery")["loops"][0]["name"] == "seed 15"
    assert app.query_params["seed"] in ("14", ["14"])


def test_a_surprise_is_another_seed():
    app = press(visit(seed="7"), "Surprise me")
    assert held(app).name not in ("seed 7", "seed 33")


def test_a_card_that_is_played_is_in_hand_and_its_neighbours_stay():
    app = visit(seed="60")
    first, others = held(app), shown(app, "gallery")["loops"]
    app = send(app, "gallery", "taken", [others[2]["code"]])
    assert (held(app).code, held(app).name) == (others[2]["code"], "seed 63")
    assert shown(app, "gallery")["loops"] == others
    assert shown(app, "gallery")["chosen"] == others[2]["code"]
    assert app.session_state.visitor.past == [first]


def test_of_quick_clicks_the_last_is_in_hand():
    app = visit(seed="60")
    codes = [loop["code"] for loop in shown(app, "gallery")["loops"]]
    app = send(app, "gallery", "taken", [codes[4], codes[1]])
    assert held(app).name == "seed 62"


def test_nobody_sees_what_another_holds():
    one, other = visit(seed="60"), visit(seed="60")
    codes = [loop["code"] for loop in shown(one, "gallery")["loops"]]
    one = send(send(one, "gallery", "taken", [codes[3]]), "gallery", "kept", [[codes[2], True]])
    assert held(one).name == "seed 64"
    other = drawn(other.run())
    assert held(other).name == "seed 60"
    assert other.session_state.visitor.favourites == []


def test_a_loop_in_the_address_is_in_hand_and_a_broken_one_is_said():
    shared = models.sampled((5,), 2)[0]
    app = visit(loop=shared.code)
    assert (held(app).code, held(app).name) == (shared.code, "a shared loop")
    broken = visit(loop="2.nonsense")
    assert held(broken) == sample.first()
    assert "no loop" in broken.toast[0].value


@pytest.mark.parametrize(
    "address",
    [
        {"seed": "x"},
        {"seed": "-1"},
        {"seed": str(10**12)},
        {"bars": "3"},
        {"role": "solo"},
        {"style": "polka"},
        {"grid": "7"},
        {"tab": "Phrase"},
        {"begin": "nowhere"},
        {"temperature": "nan"},
        {"temperature": "x"},
        {"bpm": "x", "swing": "1e9"},
        {"density": "x", "tab": "Steer"},
        {"density": "99999999", "tab": "Steer"},
    ],
    ids=str,
)
def test_nonsense_in_the_address_is_no_exception(address):
    app = visit(**address)
    assert held(app).n_bars == 4


@pytest.mark.parametrize("event", ["taken", "kept"])
def test_nonsense_from_cards_is_no_exception(event):
    app = visit()
    hand = held(app)
    for value in (None, 5, ["A" * 24], {"a": 1}, "xyz", [[1, 2]]):
        app = send(app, "gallery", event, value)
    assert held(app) == hand
    assert app.session_state.visitor.favourites == []


def test_the_textbook_is_there_by_style_and_name():
    app = visit(begin="Textbook")
    styles = songs.presets()
    first = next(iter(styles))
    assert [loop["name"] for loop in shown(app, "textbook")["loops"]] == list(styles[first])
    app.selectbox(key="textbook-style").set_value("Funk")
    app = drawn(app.run())
    loops = shown(app, "textbook")["loops"]
    np.testing.assert_array_equal(cells_of(loops[0])[0], styles["Funk"][loops[0]["name"]])
    app = send(app, "textbook", "taken", [loops[0]["code"]])
    assert held(app).name == loops[0]["name"]


def test_favourites_are_shown_when_asked_for():
    app = visit(seed="60")
    code = shown(app, "gallery")["loops"][0]["code"]
    app = send(app, "gallery", "kept", [[code, True]])
    assert "Favourites (1)" in [shelf.label for shelf in app.expander]
    assert [loop.code for loop in app.session_state.visitor.favourites] == [code]


def test_a_shelf_that_is_open_stays_open_when_it_holds_another_number():
    app = visit(seed="60")
    codes = [loop["code"] for loop in shown(app, "gallery")["loops"]]
    app = send(app, "gallery", "kept", [[codes[0], True]])
    app.session_state["was-open-favourites"] = True
    app = drawn(app.run())
    for code, number in ((codes[1], 2), (codes[2], 3)):
        app = send(app, "gallery", "kept", [[code, True]])
        assert f"Favourites ({number})" in [shelf.label for shelf in app.expander]
        assert len(shown(app, "favourites")["loops"]) == number


def test_the_seed_is_that_of_the_loop_in_hand():
    app = visit(seed="60")
    app = send(app, "gallery", "taken", [shown(app, "gallery")["loops"][2]["code"]])
    assert app.number_input(key="seed").value == 63
    app.segmented_control(key="role").set_value("fill")
    app = drawn(app.run())
    assert held(app) == models.sampled((63,), condition=Condition("fill"))[0]
    assert [loop["name"] for loop in shown(app, "gallery")["loops"]][:2] == ["seed 61, fill", "seed 62, fill"]
    app.session_state.visitor.undo()
    app.session_state.visitor.undo()
    app = drawn(app.run())
    assert app.number_input(key="seed").value == 60


def test_another_tab_forgets_nothing_that_was_asked_for():
    app = visit(seed="60", role="Fill")
    hand = held(app)
    app = go(go(app, "Edit"), "Sample")
    assert held(app) == hand
    assert app.segmented_control(key="role").value == "fill"
    assert app.number_input(key="seed").value == 60


# -- a file --------------------------------------------------------------------------------------


def _upload(app, name, content):
    app.file_uploader(key="file").set_value((name, content, "audio/midi"))
    return drawn(app.run())


@pytest.fixture(scope="module")
def long_loop(gan):
    """Eleven bars, softly, at 93.5 beats a minute."""
    bars = gan.sample(11, seed=2)
    return bars, midi_bytes(Performance.of(bars, KIT, np.where(bars, 40, 0)), Playback(93.5))


def test_a_file_of_many_bars_is_heard_eight_at_a_time(long_loop):
    bars, content = long_loop
    app = visit(begin="Your file")
    app.session_state.visitor.swing = 0.56
    app = _upload(app, "My Loop.mid", content)
    np.testing.assert_array_equal(held(app).cells, bars[:8])
    assert (held(app).name, held(app).performance.velocities.max()) == ("My Loop", 40)
    visitor = app.session_state.visitor
    assert (visitor.bpm, visitor.swing) == (pytest.approx(93.5, abs=0.01), 0.5)
    app.slider(key="file-first").set_value(4)
    app = drawn(app.run())
    np.testing.assert_array_equal(held(app).cells, bars[3:])
    assert "bars 4 to 11" in " ".join(line.value for line in app.caption)


def test_a_file_that_cannot_be_read_leaves_all_as_it_is(long_loop):
    _, content = long_loop
    app = _upload(visit(begin="Your file"), "a.mid", content)
    hand = held(app)
    app = _upload(app, "b.mid", b"nonsense")
    assert held(app) == hand
    (line,) = [warning.value for warning in app.warning]
    assert line.startswith("b.mid")
    assert line.endswith("Another file?")
    app = _upload(app, "c.mid", bytes(4_500_000))
    assert ["less than 4" in warning.value for warning in app.warning] == [True]
    app = _upload(app, "d.mid", content)
    assert not app.warning


def test_a_shuffle_in_twelve_eighths_is_read_in_triplets_by_itself(save_midi):
    metre = mido.MetaMessage("time_signature", numerator=12, denominator=8)
    ride = [(tick, mido.Message("note_on", note=51, velocity=90, channel=9)) for tick in range(0, 2880, 240)]
    content = save_midi("shuffle.mid", [(0, metre), *ride]).read_bytes()
    app = _upload(visit(begin="Your file"), "shuffle.mid", content)
    assert held(app).steps == 12
    assert held(app).cells[0, :, 7].all()
    assert app.segmented_control(key="file-grid").value == 12
    assert "triplets" in app.info[0].value
    assert not app.warning


def test_the_name_of_a_file_is_no_markdown(long_loop):
    app = _upload(visit(begin="Your file"), "_a_ *b* [c](d).mid", long_loop[1])
    (said,) = [line.value for line in app.caption if "in hand" in line.value]
    assert said.startswith(r"**\_a\_ \_b\_ \_c\_\(d\)**")


def test_a_tempo_that_the_page_cannot_play_is_said(long_loop):
    content = midi_bytes(Performance.of(long_loop[0][:2], KIT), Playback(400))
    app = _upload(visit(begin="Your file"), "fast.mid", content)
    assert "at 400 bpm, played at 300: 2 bars" in " ".join(line.value for line in app.caption)
    assert app.session_state.visitor.bpm == 300


def test_a_file_is_read_again_on_another_grid(long_loop):
    app = _upload(visit(begin="Your file"), "a.mid", long_loop[1])
    app.session_state.visitor.bpm = 77
    app.segmented_control(key="file-grid").set_value(12)
    app = drawn(app.run())
    assert held(app).steps == 12
    assert app.session_state.visitor.bpm == 77  # it was taken over once


def test_another_file_begins_at_its_first_bar(long_loop, gan):
    app = _upload(visit(begin="Your file"), "a.mid", long_loop[1])
    app.slider(key="file-first").set_value(4)
    app = drawn(app.run())
    other = gan.sample(10, seed=40)
    app = _upload(app, "b.mid", midi_bytes(Performance.of(other, KIT), Playback(120)))
    np.testing.assert_array_equal(held(app).cells, other[:8])
    assert app.slider(key="file-first").value == 1


@pytest.mark.parametrize(("bpm", "taken"), [(22, 30), (333, 300)])
def test_the_tempo_of_a_file_is_brought_into_the_pages_range(gan, bpm, taken):
    content = midi_bytes(Performance.of(gan.sample(2, seed=3), KIT), Playback(bpm))
    app = _upload(visit(begin="Your file"), "a.mid", content)
    assert app.session_state.visitor.bpm == taken
