import re

import pytest

from miscript.script.explain import EXPLANATIONS, FAMILIES, explain


def test_an_explanation_is_title_text_and_two_scripts():
    assert (
        explain("E208")
        == """\
E208: empty route

A route needs at least one statement. If it is to do nothing, say so: `exit` ends the
script, `return` goes back to the caller. (Empty braces behind `if` or `else` are fine.)

Wrong:

    route {
    }

Right:

    route {
        exit;
    }
"""
    )


def test_case_and_blanks_around_a_code_do_not_matter():
    assert explain(" e208 ") == explain("E208")


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("W504", "there is no code 'W504'; did you mean 'W604'?\n"),
        ("E05", "there is no code 'E05'; did you mean 'E105', 'E205' or 'E305'?\n"),
        ("nonsense", f"there is no code 'nonsense'; they run from {min(EXPLANATIONS)} to {max(EXPLANATIONS)}\n"),
        ("\x1b", f"there is no code '\\x1b'; they run from {min(EXPLANATIONS)} to {max(EXPLANATIONS)}\n"),
    ],
)
def test_an_unknown_code_is_answered_with_near_ones(code, answer):
    assert explain(code) == answer


def test_a_code_with_a_known_beginning_is_answered_with_its_family():
    assert explain("E5").startswith("there is no code 'E5'; codes that begin so: E501, E502, ")


def test_explanations_stand_in_the_order_of_their_codes():
    assert list(EXPLANATIONS) == sorted(EXPLANATIONS)


@pytest.mark.parametrize("code", EXPLANATIONS)
def test_every_explanation_is_complete(code):
    explanation = EXPLANATIONS[code]
    assert re.fullmatch(r"(E[1-5]|W6)\d\d", code)
    assert code[:2] in FAMILIES
    assert explanation.title and not explanation.title.endswith(".")
    sentences = re.findall(r"[.)](?= |$)", explanation.text)
    assert 1 <= len(sentences) <= 6, explanation.text
    assert explanation.wrong != explanation.right
    for script in (explanation.wrong, explanation.right):
        assert script == script.strip("\n")
        assert "\t" not in script
        assert max(map(len, script.splitlines())) <= 80 or code == "E114"  # a variable cannot be broken up
