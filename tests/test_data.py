"""What the loaders lay out: nothing lost, right cuts, clear refusals (how they resume: tests/test_loaders.py)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.small_dataset import dataset_of, read_file, with_content
from tests.training_data import tokenizer_place, write_curriculum, write_preference
from tokenizer.encoder import Encoder
from trainers.data.curriculum import CurriculumLoader
from trainers.data.groups import PreferenceData
from trainers.data.preference import Branch, Lengths, PreferenceLoader, count_cuts, pair_batches, parts_of, plan_parts
from trainers.data.rows import NO_TARGET, GlobalBatch, PairBatch, Row, SequenceBatch, best_fit, check_state, pad, share
from transforms.datasets.manifest import DatasetSpec, load_manifest
from transforms.datasets.schema import preference_schema

SEQUENCES, GLOBAL = 26, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("data")
    encoder = Encoder.load(tokenizer_place(place))
    write_curriculum(place / "curriculum", encoder, SEQUENCES, num_shards=3)
    write_preference(place / "pairs", encoder, groups=80, answers=5)
    return place


@pytest.fixture(scope="module")
def encoder(folder: Path) -> Encoder:
    return Encoder.load(str(folder / "tokenizer"))


def curriculum(folder: Path, encoder: Encoder) -> CurriculumLoader:
    return CurriculumLoader(str(folder / "curriculum"), GLOBAL, 3, encoder.pad, encoder.vocab_size)


def preference(
    folder: Path, encoder: Encoder, seed: int = 0, lengths: Lengths | None = None, split: str = "train"
) -> PreferenceLoader:
    data = PreferenceData(str(folder / "pairs"), split, encoder.end_of_text, encoder.vocab_size)
    return PreferenceLoader(data, lengths or Lengths(128, 256), 16, 2, epochs=2, seed=seed, pad_token=encoder.pad)


def rows_of(batch: GlobalBatch) -> list[tuple[int, ...]]:
    """The non-empty rows of a rank's micro-batches, without padding."""
    found = []
    for micro in batch.micro_batches:
        for tokens, groups in zip(micro.rows.tokens, micro.rows.groups, strict=True):
            if (groups >= 0).any():
                found.append(tuple(tokens[groups >= 0].tolist()))
    return found


def test_the_curriculum_is_read_in_order_whole_and_once(folder: Path, encoder: Encoder) -> None:
    loader = curriculum(folder, encoder)
    assert loader.steps == 4
    seen = [row for step in range(4) for row in rows_of(loader.batch(step, 0, 1))]
    manifest = load_manifest(str(folder / "curriculum"))
    stored = [
        tuple(tokens)
        for file in manifest.data_files
        for tokens in read_file(str(folder / "curriculum"), file.path).column("tokens").to_pylist()
    ]
    assert seen == stored
    with pytest.raises(IndexError, match="4 steps"):
        loader.batch(4, 0, 1)


def test_the_state_names_the_next_sequence_up_to_the_end(folder: Path, encoder: Encoder) -> None:
    loader = curriculum(folder, encoder)
    assert [loader.state(step)["next_sequence"] for step in range(loader.steps + 1)] == [0, 8, 16, 24, SEQUENCES]


def test_labels_are_the_next_token_of_the_same_document(folder: Path, encoder: Encoder) -> None:
    loader = curriculum(folder, encoder)
    batch = loader.batch(0, 0, 1)
    targets = 0
    for micro in batch.micro_batches:
        assert isinstance(micro, SequenceBatch)
        rows, labels = micro.rows, micro.labels
        for b, t in np.ndindex(*labels.shape):
            inside = t + 1 < labels.shape[1] and rows.groups[b, t] >= 0
            if inside and rows.groups[b, t] == rows.groups[b, t + 1]:
                assert labels[b, t] == rows.tokens[b, t + 1]
                assert rows.positions[b, t + 1] == rows.positions[b, t] + 1
                targets += 1
            else:
                assert labels[b, t] == NO_TARGET
    assert targets == batch.count


def test_every_pair_of_an_epoch_is_in_one_batch_of_about_the_asked_size(folder: Path, encoder: Encoder) -> None:
    loader = preference(folder, encoder)
    for epoch in range(2):
        seen = []
        for number in range(loader.steps_per_epoch):
            batch = loader.batch(epoch * loader.steps_per_epoch + number, 0, 1)
            pairs = [
                (int(m.groups[c]), int(m.responses[c]), int(m.responses[r]))
                for m in batch.micro_batches
                if isinstance(m, PairBatch)
                for c, r in zip(m.chosen, m.rejected, strict=True)
            ]
            assert len(pairs) == batch.count
            assert batch.count <= 16 + int(loader.data.num_pairs.max())
            seen += pairs
        wanted = [(g, c, r) for g in range(len(loader.data)) for c, r in loader.data.pairs_of(g)]
        assert sorted(seen) == sorted(wanted)


def test_groups_of_one_pair_are_dealt_evenly(encoder: Encoder, tmp_path: Path) -> None:
    write_preference(tmp_path / "pairs", encoder, groups=60, answers=2)
    data = PreferenceData(str(tmp_path / "pairs"), "train", encoder.end_of_text, encoder.vocab_size)
    assert set(data.num_pairs.tolist()) == {1}
    for asked in (1, 4, 7):
        loader = PreferenceLoader(data, Lengths(128, 256), asked, 2, epochs=1, seed=0, pad_token=encoder.pad)
        sizes = [len(loader.groups_of(step)) for step in range(loader.steps)]
        assert sum(sizes) == len(data)
        assert asked >= max(sizes) >= min(sizes) >= max(sizes) - 1


def test_the_order_depends_on_seed_and_epoch_alone(folder: Path, encoder: Encoder) -> None:
    def order(seed: int) -> list[list[int]]:
        loader = preference(folder, encoder, seed)
        return [loader.groups_of(step).tolist() for step in range(loader.steps)]

    assert order(0) == order(0)
    assert order(0) != order(1)
    half = len(order(0)) // 2
    assert order(0)[:half] != order(0)[half:]


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (Lengths(64, 256), "sequence_tokens: 128 there, 64 here"),
        (Lengths(128, 512), "row_tokens: 256 there, 512 here"),
    ],
)
def test_other_lengths_make_other_rows_and_are_refused(
    folder: Path, encoder: Encoder, lengths: Lengths, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_state(preference(folder, encoder).state(3), preference(folder, encoder, lengths=lengths).state(3), "here")


def test_a_row_of_a_group_is_its_prompt_and_its_answers_as_branches(folder: Path, encoder: Encoder) -> None:
    loader = preference(folder, encoder)
    parts = plan_parts(loader.data, [0], Lengths(128, 256))
    (batch,) = pair_batches(loader.data, parts, Lengths(128, 256), 0, 1, 2, encoder.pad)
    group = loader.data.group(0)
    ids = batch.rows.tokens[0]
    size = len(group.prompt)
    assert ids[:size].tolist() == group.prompt.tolist()
    for branch, response in enumerate(group.responses, start=1):
        at = np.flatnonzero(batch.rows.branches[0] == branch)
        assert ids[at].tolist() == response.tolist()
        assert batch.rows.positions[0, at].tolist() == list(range(size, size + len(response)))
        assert batch.score_places[branch - 1] == at[-1]
        assert ids[at[-1]] == encoder.end_of_text


def test_over_long_groups_are_cut_and_split_without_losing_a_pair(folder: Path, encoder: Encoder) -> None:
    tight = Lengths(24, 48)
    loader = preference(folder, encoder, lengths=tight)
    parts = plan_parts(loader.data, range(len(loader.data)), tight)
    cuts = count_cuts(loader.data, tight)
    assert cuts.prompts_cut
    assert cuts.responses_cut
    assert cuts.groups_split == sum(count > 1 for count in Counter(part.group for part in parts).values()) > 0
    pairs = sorted((part.group, number) for part in parts for number in part.pairs)
    assert pairs == [(g, n) for g in range(len(loader.data)) for n in range(int(loader.data.num_pairs[g]))]
    for batch in pair_batches(loader.data, parts, tight, 0, 1, 4, encoder.pad):
        ends = batch.rows.tokens.reshape(-1)[batch.score_places]
        assert (ends == encoder.end_of_text).all(), "the score token must survive every cut"
        assert batch.rows.positions.max() < tight.sequence_tokens
        assert batch.rows.tokens.shape[1] <= tight.row_tokens


def test_each_response_is_cut_with_the_prompt_for_itself_and_what_is_lost_is_counted(
    folder: Path, encoder: Encoder
) -> None:
    limit, quarter = 64, 16
    tight = Lengths(limit, 2 * limit)
    data = preference(folder, encoder).data
    lost = [0, 0, 0]
    for batch in pair_batches(data, plan_parts(data, range(len(data)), tight), tight, 0, 1, 4, encoder.pad):
        rows, width = batch.rows, batch.rows.tokens.shape[1]
        for number, response, place in zip(batch.groups, batch.responses, batch.score_places, strict=True):
            row, end = divmod(int(place), width)
            group = data.group(int(number))
            whole = group.responses[response].tolist()
            prompt = rows.tokens[row, (rows.groups[row] == rows.groups[row, end]) & (rows.branches[row] == 0)].tolist()
            own = (rows.groups[row] == rows.groups[row, end]) & (rows.branches[row] == rows.branches[row, end])
            size = min(len(whole), max(limit - len(group.prompt), limit - quarter))
            assert rows.tokens[row, own].tolist() == [*whole[: size - 1], whole[-1]]
            assert prompt == group.prompt.tolist()[-min(len(group.prompt), limit - size) :]
            assert rows.positions[row, own].tolist() == list(range(len(prompt), len(prompt) + size))
    for number in range(len(data)):
        prompt_tokens, responses = data.lengths(number)
        for response in responses.tolist():
            size = min(response, max(limit - prompt_tokens, limit - quarter))
            losses = (prompt_tokens - min(prompt_tokens, limit - size), response - size)
            lost = [lost[0] + (losses[0] > 0), lost[1] + (losses[1] > 0), lost[2] + sum(losses)]
    cuts = count_cuts(data, tight)
    assert [cuts.prompts_cut, cuts.responses_cut, cuts.tokens_cut] == lost
    assert 0 < cuts.responses_cut < cuts.prompts_cut < data.num_responses


def test_equal_cuts_share_a_trunk_and_others_have_one_of_their_own() -> None:
    branches = [Branch(9, 0, 3), Branch(4, 1, 8), Branch(9, 2, 1), Branch(4, 3, 8)]
    pairs = [(0, 1), (2, 3), (0, 2)]
    (part,) = parts_of(5, branches, pairs, 33)
    assert part.branches == [branches[1], branches[3], branches[0], branches[2]]
    assert (part.tokens, list(part.pairs)) == (4 + 8 + 8 + 9 + 3 + 1, [0, 1, 2])
    first, second = parts_of(5, branches, pairs, 32)  # a token too many: the last pair adds nothing to the first part
    assert (first.branches, list(first.pairs)) == ([branches[1], branches[0], branches[2]], [0, 2])
    assert (second.branches, list(second.pairs)) == ([branches[3], branches[2]], [1])
    assert (first.tokens, second.tokens) == (4 + 8 + 9 + 3 + 1, 4 + 8 + 9 + 1)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_parts_hold_every_pair_once_and_every_response(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 8))
    sizes = data.draw(st.lists(st.integers(1, 15), min_size=count, max_size=count))
    branches = [Branch(data.draw(st.integers(0, 20 - size)), i, size) for i, size in enumerate(sizes)]
    every = [(i, j) for i in range(count) for j in range(count) if i != j]
    pairs = data.draw(st.lists(st.sampled_from(every), max_size=12, unique=True))
    parts = parts_of(7, branches, pairs, 40)
    assert sorted(n for part in parts for n in part.pairs) == list(range(len(pairs)))
    assert {branch for part in parts for branch in part.branches} == set(branches)
    for part in parts:
        inside = [branch.response for branch in part.branches]
        trunks = {branch.trunk for branch in part.branches}
        assert part.tokens == sum(trunks) + sum(branch.size for branch in part.branches) <= 40
        assert all(set(pairs[n]) <= set(inside) for n in part.pairs)
        assert len(set(inside)) == len(inside)


@given(st.lists(st.integers(1, 64), max_size=60))
@settings(max_examples=100, deadline=None)
def test_best_fit_places_everything_once_within_the_rows(lengths: list[int]) -> None:
    rows = best_fit(lengths, 64)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in row) <= 64 for row in rows)
    assert sum(sum(lengths[i] for i in row) <= 32 for row in rows) <= 1, "two rows would fit one"


def plain_best_fit(lengths: list[int], capacity: int) -> list[list[int]]:
    """The rule item by item: longest first, each into the fullest row with room; ties to the earlier."""
    rows: list[list[int]] = []
    for item in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        free = [capacity - sum(lengths[i] for i in row) for row in rows]
        fitting = [number for number, room in enumerate(free) if room >= lengths[item]]
        if fitting:
            rows[min(fitting, key=lambda number: (free[number], number))].append(item)
        else:
            rows.append([item])
    return rows


@given(st.lists(st.integers(1, 20), max_size=40))
def test_best_fit_is_the_fullest_row_with_room(lengths: list[int]) -> None:
    assert best_fit(lengths, 20) == plain_best_fit(lengths, 20)


def test_best_fit_refuses_what_fits_no_row() -> None:
    with pytest.raises(ValueError, match="65 tokens does not fit a row of 64"):
        best_fit([65], 64)


@given(st.integers(0, 40), st.integers(1, 6), st.integers(1, 5))
def test_ranks_share_all_rows_in_as_many_micro_batches(rows: int, world: int, micro: int) -> None:
    shares = [share(rows, rank, world, micro) for rank in range(world)]
    assert len({len(mine) for mine in shares}) == 1
    assert sorted(row for mine in shares for part in mine for row in part) == list(range(rows))
    assert all(len(part) <= micro for mine in shares for part in mine)


def test_a_rank_without_rows_gets_an_empty_one() -> None:
    rows = pad([], pad_token=4)
    assert rows.tokens.tolist() == [[4] * 8]
    assert (rows.groups < 0).all()
    one = np.arange(3)
    assert pad([Row(one, one, one * 0, one * 0)], 4).tokens.tolist() == [[0, 1, 2, 4, 4, 4, 4, 4]]


def test_data_of_another_tokenizer_is_refused(folder: Path, encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="does not end with the score token"):
        PreferenceData(str(folder / "pairs"), "train", encoder.pad, encoder.vocab_size)
    with pytest.raises(ValueError, match="made with another tokenizer"):
        PreferenceData(str(folder / "pairs"), "train", encoder.end_of_text, 50)
    with pytest.raises(ValueError, match="made with another tokenizer"):
        CurriculumLoader(str(folder / "curriculum"), GLOBAL, 3, encoder.pad, 50).batch(0, 0, 1)


def test_the_vocabulary_ends_before_its_size(folder: Path, encoder: Encoder) -> None:
    """Ids are counted from 0: a model of N entries has no token N."""
    data = PreferenceData(str(folder / "pairs"), "train", encoder.end_of_text, encoder.vocab_size)
    groups = [data.group(index) for index in range(len(data))]
    highest = max(int(tokens.max()) for group in groups for tokens in (group.prompt, *group.responses))
    PreferenceData(str(folder / "pairs"), "train", encoder.end_of_text, highest + 1)
    with pytest.raises(ValueError, match=f"holds token {highest}, the model has {highest}"):
        PreferenceData(str(folder / "pairs"), "train", encoder.end_of_text, highest)
    batch = curriculum(folder, encoder).batch(0, 0, 1)
    highest = max(int(micro.rows.tokens.max()) for micro in batch.micro_batches)
    CurriculumLoader(str(folder / "curriculum"), GLOBAL, 3, encoder.pad, highest + 1).batch(0, 0, 1)
    with pytest.raises(ValueError, match=f"holds token {highest}, the model has {highest}"):
        CurriculumLoader(str(folder / "curriculum"), GLOBAL, 3, encoder.pad, highest).batch(0, 0, 1)


def with_first_response(folder: Path, place: Path, encoder: Encoder, every: bool = False, **change: object) -> Path:
    """The preference data of the tests with something else in one response, or in every one."""
    path = "data/train-00000-of-00001.arrow"
    schema = preference_schema(encoder.token_type)
    rows = read_file(str(folder / "pairs"), "data/train-00000-of-00002.arrow").to_pylist()
    for response in [answer for row in rows for answer in row["responses"]][: None if every else 1]:
        response |= change
    spec = DatasetSpec("preference", {"made": "here"})
    dataset_of(place, spec, {path: pa.Table.from_pylist(rows, schema)}, None)
    return place


def test_one_response_without_the_score_token_is_refused(folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    place = with_first_response(folder, tmp_path / "pairs", encoder, tokens=[encoder.end_of_text, encoder.pad])
    with pytest.raises(ValueError, match="does not end with the score token"):
        PreferenceData(str(place), "train", encoder.end_of_text, encoder.vocab_size)


@pytest.mark.parametrize("every", [False, True])
def test_responses_without_a_token_are_refused(folder: Path, encoder: Encoder, every: bool, tmp_path: Path) -> None:
    place = with_first_response(folder, tmp_path / "pairs", encoder, every, tokens=[])
    with pytest.raises(ValueError, match="does not end with the score token"):
        PreferenceData(str(place), "train", encoder.end_of_text, encoder.vocab_size)


def test_the_state_names_the_split(folder: Path, encoder: Encoder) -> None:
    states = [preference(folder, encoder, split=split).state(0) for split in ("train", "validation")]
    with pytest.raises(ValueError, match="split: 'train' there, 'validation' here"):
        check_state(states[0], states[1], "a checkpoint")


def test_an_unknown_time_is_told_from_every_known_one(folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    place = with_first_response(folder, tmp_path / "pairs", encoder, created=None)
    data = PreferenceData(str(place), "train", encoder.end_of_text, encoder.vocab_size)
    times = data.group(0).created_ms
    assert times[0] == -1
    assert (times[1:] > 0).all()


def test_data_of_another_kind_and_an_empty_split_are_refused(folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="curriculum"):
        PreferenceData(str(folder / "curriculum"), "train", encoder.end_of_text, encoder.vocab_size)
    write_preference(tmp_path / "few", encoder, groups=1)
    data = PreferenceData(str(tmp_path / "few"), "holdout", encoder.end_of_text, encoder.vocab_size)
    with pytest.raises(ValueError, match="no pair to train on"):
        PreferenceLoader(data, Lengths(128, 256), 16, 2, 1, 0, encoder.pad)


def test_shards_in_another_order_are_refused(folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    place = tmp_path / "curriculum"
    write_curriculum(place, encoder, 12, num_shards=2)
    first, second = (place / file.path for file in load_manifest(str(place)).data_files)
    kept = first.read_bytes(), second.read_bytes()
    for path, data in zip((second, first), kept, strict=True):
        with_content(place, str(path.relative_to(place)), data)
    with pytest.raises(ValueError, match="agora verify"):
        CurriculumLoader(str(place), 4, 2, encoder.pad, encoder.vocab_size).batch(0, 0, 1)


def test_a_shard_with_fewer_sequences_than_the_manifest_says_is_refused(encoder: Encoder, tmp_path: Path) -> None:
    for name, sequences in (("whole", 12), ("short", 11)):
        write_curriculum(tmp_path / name, encoder, sequences, num_shards=1)
    (file,) = load_manifest(str(tmp_path / "whole")).data_files
    with_content(tmp_path / "whole", file.path, (tmp_path / "short" / file.path).read_bytes())
    with pytest.raises(ValueError, match="holds 11 sequences from position 0; the manifest wants 12 from 0"):
        CurriculumLoader(str(tmp_path / "whole"), 4, 2, encoder.pad, encoder.vocab_size).batch(0, 0, 1)
