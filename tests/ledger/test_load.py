"""claims.toml: what is read, and how a mistake is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.claims import load_claims
from bench.errors import UserError

SHARED = """
[[table]]
place = "Table 1"
quantity = "accuracy"
unit = "%"
evidence = "table, quoted"
source = "NOTE-X"
tolerance = 0.5
basis = "two standard errors"
conditions = { T = 6, batch = 128 }
measure = { rule = "within", select = { probe = "training", metric = "best", T = 6 } }
"""
ONE = """
[[table.claim]]
id = "one"
statement = "it is so"
printed = "90.1"
value = 90.1
conditions = { batch = 1 }
measure = { select = { algorithm = "bptt" } }
"""


def write(folder: Path, text: str) -> Path:
    paper = folder / "made-up"
    paper.mkdir(exist_ok=True)
    (paper / "claims.toml").write_text(text)
    return paper


def test_claim_inherits_from_its_table_key_by_key(tmp_path: Path) -> None:
    (claim,) = load_claims(write(tmp_path, SHARED + ONE))
    assert (claim.paper, claim.id, claim.place, claim.value, claim.tolerance) == (
        "made-up",
        "one",
        "Table 1",
        90.1,
        0.5,
    )
    assert claim.conditions == {"T": 6, "batch": 1}
    assert claim.scale == "full"  # unless said otherwise nothing small decides
    assert claim.parts == ({"rule": "within", "select": {"probe": "training", "metric": "best", "T": 6, "algorithm": "bptt"}},)


def test_claims_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = SHARED + ONE + ONE.replace('"one"', '"a"') + SHARED + ONE.replace('"one"', '"0"')
    assert [claim.id for claim in load_claims(write(tmp_path, text))] == ["one", "a", "0"]


def test_over_and_parts_inherit_from_the_measure(tmp_path: Path) -> None:
    measure = """measure = { rule = "ratio", low = 2, high = 3, select = { options = { k = 1 } }, parts = [
      { select = { T = 4 }, over = { algorithm = "sltt" } }, { high = 9, over = { options = { k = 2 } } } ] }"""
    text = SHARED + ONE.replace("measure = { select", measure + "\n#")
    (claim,) = load_claims(write(tmp_path, text))
    first, second = claim.parts
    shared = {"probe": "training", "metric": "best", "options": {"k": 1}}
    assert first == {"rule": "ratio", "low": 2, "high": 3, "select": {**shared, "T": 4},
                     "over": {**shared, "T": 4, "algorithm": "sltt"}}  # fmt: skip
    assert second == {"rule": "ratio", "low": 2, "high": 9, "select": {**shared, "T": 6},
                      "over": {**shared, "T": 6, "options": {"k": 2}}}  # fmt: skip


def test_undecidable_claim_needs_no_rule_and_has_none(tmp_path: Path) -> None:
    (claim,) = load_claims(write(tmp_path, SHARED + ONE + 'undecidable = "no learning rate is given"'))
    assert (claim.undecidable, claim.parts) == ("no learning rate is given", ())


RULE = '"within"'
SELECT = 'probe = "training", metric = "best", T = 6'


@pytest.mark.parametrize(
    ("old", "new", "field", "told"),
    [
        ("value = 90.1", "valeu = 90.1", "valeu", "unknown; known are"),
        ("value = 90.1", 'value = "90.1"', "value", "a number is required"),
        ("value = 90.1", "", "value", "rule within needs it"),
        ("tolerance = 0.5", "", "tolerance", "rule within needs it"),
        ('statement = "it is so"', "", "statement", "a text is required"),
        ('statement = "it is so"', 'statement = ""', "statement", "a text is required"),
        ('printed = "90.1"', "printed = 90.1", "printed", "a text is required"),
        ('basis = "two standard errors"', "", "basis", "state where the bounds"),
        (
            '"table, quoted"',
            '"hearsay"',
            "evidence",
            "known are abstract; table, quoted; authors' notebook; code; checked; own goal",
        ),
        ('unit = "%"', 'unit = "%"\nscale = "huge"', "scale", "known are smoke; laptop; night; full"),
        ("NOTE-X", "[MEM]", "source", "is not a report of the paper; leave the number out"),
        ("NOTE-X", "NOTE-X; MEM", "source", "is not a report of the paper"),
        ("NOTE-X", "DERIVED from NOTE-X", "source", "is not a report of the paper"),
        ("NOTE-X", "an unverified note", "source", "is not a report of the paper"),
        (RULE, '"withn"', "measure.rule", "did you mean within?"),
        ("rule = " + RULE + ",", "", "measure.rule", "unknown rule ''"),
        ("rule = " + RULE, 'rule = "ratio", low = 1, high = 2', "measure.over", "rule ratio needs it"),
        ("rule = " + RULE, "rule = " + RULE + ", low = 1", "measure.low", "rule within does not know it"),
        (RULE, '"flat_in_T"', "measure.from_T", "rule flat_in_T needs it"),
        (SELECT, SELECT + ', colour = "red"', "measure.select.colour", "is not a field of a case"),
        (SELECT, SELECT + ', scale = "full"', "measure.select.scale", "is not a field of a case"),
        (SELECT, 'probe = "training"', "measure.select", "names no metric and probe"),
        (SELECT, 'metric = "best", probe = "trainin"', "measure.select", "names no metric and probe"),
        (SELECT, SELECT + ', backend = ["native", "snntorch"]', "measure.select.backend", "a text is required"),
        (
            'select = { algorithm = "bptt" }',
            'over = { backend = ["native", 3] }',
            "measure.over.backend",
            "a list of texts of which each is compared is required",
        ),
        ('select = { algorithm = "bptt" }', "over = { backend = [] }", "measure.over.backend", "is []; a text, or a list"),
        (
            'select = { algorithm = "bptt" }',
            'over = { colour = "red" }',
            "measure.over.colour",
            "is not a field of a case",
        ),
        (
            f"measure = {{ rule = {RULE}, select = {{ {SELECT} }} }}\n" + ONE,
            ONE.replace("measure", "#"),
            "measure",
            "give one of them",
        ),
    ],
)
def test_mistake_in_a_claim_is_reported_with_file_claim_and_field(
    tmp_path: Path, old: str, new: str, field: str, told: str
) -> None:
    text = SHARED + ONE
    assert old in text
    paper = write(tmp_path, text.replace(old, new))
    with pytest.raises(UserError) as error:
        load_claims(paper)
    said = str(error.value)
    assert said.startswith(f"{paper / 'claims.toml'}, claim one, field {field}: ")
    assert told in said


def test_rule_equal_requires_a_printed_number(tmp_path: Path) -> None:
    text = (SHARED + ONE).replace(RULE, '"equal"').replace('printed = "90.1"', 'printed = "many"')
    with pytest.raises(UserError, match=r"claim one, field printed: 'many' does not begin with a number"):
        load_claims(write(tmp_path, text))


def test_claim_without_an_id_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"claim \(no id\), field id: .* a text is required"):
        load_claims(write(tmp_path, SHARED + ONE.replace('id = "one"', "")))


def test_two_claims_of_the_same_id_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"claims\.toml: id one occurs twice"):
        load_claims(write(tmp_path, SHARED + ONE + SHARED + ONE))


def test_load_names_a_file_that_is_missing_or_not_toml(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"made-up/claims\.toml: No such file"):
        load_claims(tmp_path / "made-up")
    paper = write(tmp_path, "[[table")
    with pytest.raises(UserError, match=r"claims\.toml is not valid TOML"):
        load_claims(paper)
    (paper / "claims.toml").write_bytes(b'place = "\xff"')
    with pytest.raises(UserError, match=r"claims\.toml is not valid TOML"):
        load_claims(paper)
