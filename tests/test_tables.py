"""Tables come back from disk as they were."""

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from anna import tables


def test_round_trip_keeps_types_and_what_is_missing(cells, tmp_path):
    assert cells["subject"].isna().any()
    path = tables.write(cells, tmp_path / "csv" / "cells.csv")
    assert_frame_equal(tables.read(path), cells, check_dtype=True)


def test_subjects_stay_text_and_labels_whole_numbers(tmp_path):
    table = pd.DataFrame({"subject": ["07", "H3"], "label": [1, None], "probability": [0.5, None]})
    table["label"] = table["label"].astype("Int64")
    found = tables.read(tables.write(table, tmp_path / "some.csv"))
    assert found["subject"].tolist() == ["07", "H3"]
    assert found["label"].dtype == "Int64"
    assert found["label"][0] == 1
    assert found["label"].isna().tolist() == [False, True]
    assert found["probability"].dtype == "float64"


def test_columns_of_other_tables_are_left_as_they_are(tmp_path):
    path = tables.write(pd.DataFrame({"images": [3], "share": [0.25]}), tmp_path / "counts.csv")
    assert tables.read(path).to_dict("list") == {"images": [3], "share": [0.25]}


def test_a_hash_that_looks_like_a_number_stays_text(tmp_path):
    table = pd.DataFrame({"network": ["12e4567890123456", "0123456789012345"]})
    path = tables.write(table, tmp_path / "judged.csv")
    assert tables.read(path)["network"].tolist() == table["network"].tolist()


def test_a_table_not_made_yet_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"notebook before.*predictions\.csv$"):
        tables.read(tmp_path / "predictions.csv")


def test_missing_text_is_never_spelt_out():
    table = pd.DataFrame({"subject": ["57", None], "label": [None, 0], "bytes": [3, 4]})
    found = tables.typed(table, {"subject": "str", "label": "Int64", "bytes": "int64"})
    assert found["subject"].isna().tolist() == [False, True]
    assert found["label"].isna().tolist() == [True, False]
    assert found["bytes"].dtype == "int64"
    assert tables.typed(table["subject"], "str").isna().tolist() == [False, True]
    assert tables.typed(pd.Series([None, None]), "str").isna().all()
