"""The reservoir: a uniform sample, the same however the stream is cut, in bounded memory."""

import gc

import pytest
import scipy.stats
import torch

from symtorch.recording.reservoir import Reservoir


def sampled(size, seed, cuts):
    """The sample of the stream 0, 1, 2, ... cut into batches of these sizes."""
    reservoir, start = Reservoir(size, seed), 0
    for cut in cuts:
        batch = torch.arange(start, start + cut, dtype=torch.float64)[:, None]
        rows = reservoir.offer(cut)
        reservoir.keep(rows, batch[rows], -batch[rows])
        start += cut
    return reservoir.sample()


CUTS = {
    "at once": [100],
    "one by one": [1] * 100,
    "tens": [10] * 10,
    "uneven, with empty ones": [0, 3, 50, 0, 7, 39, 1, 0],
}


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS)
@pytest.mark.parametrize("size", [1, 7, 30, 99, 100, 500, None])
def test_the_sample_does_not_depend_on_how_the_stream_is_cut(size, cuts):
    index, (table, negated) = sampled(size, 3, cuts)
    expected, _ = sampled(size, 3, [100])
    assert index.tolist() == expected.tolist()
    assert len(index) == min(100, size or 100)
    assert table[:, 0].tolist() == index.tolist() == negated.neg()[:, 0].tolist()


def test_rows_stay_in_order_of_arrival_and_occur_once():
    index, _ = sampled(20, 0, [9] * 10)
    assert index.tolist() == sorted(set(index.tolist()))


def test_another_seed_gives_another_sample():
    assert sampled(10, 0, [100])[0].tolist() != sampled(10, 1, [100])[0].tolist()


@pytest.mark.parametrize("cuts", [[50], [1] * 50, [20, 30]], ids=str)
def test_every_row_is_equally_likely(cuts):
    seeds = 400
    counts = torch.zeros(50)
    for seed in range(seeds):
        counts[sampled(10, seed, cuts)[0]] += 1
    # Each row is in a sample with p = 0.2; counts vary a little less than a binomial's,
    # because each sample holds exactly 10.
    statistic = float(((counts - seeds * 0.2) ** 2).sum() / (seeds * 0.2 * 0.8)) * 49 / 50
    low, high = scipy.stats.chi2.ppf([1e-4, 1 - 1e-4], 49)
    assert low < statistic < high


def test_every_pair_of_rows_is_equally_likely():
    pairs = torch.zeros(6, 6)
    for seed in range(3000):
        first, second = sampled(2, seed, [2, 2, 2])[0].tolist()
        pairs[first, second] += 1
    observed = pairs[pairs > 0]
    assert len(observed) == 15
    assert scipy.stats.chisquare(observed).pvalue > 1e-4


def test_memory_does_not_grow_with_the_stream():
    def held():
        gc.collect()
        return sum(o.numel() for o in gc.get_objects() if type(o) is torch.Tensor)

    before, most = held(), 0
    reservoir = Reservoir(50, 0)
    for batch in range(300):
        rows = reservoir.offer(40)
        reservoir.keep(rows, torch.full((len(rows), 10), float(batch)))
        if batch % 90 == 0:
            most = max(most, held() - before)
    assert most <= 2 * 50 * 10 + 40 * 11
    assert reservoir.seen == 300 * 40


def test_calls_may_nest():
    reservoir = Reservoir(None, 0)
    outer = reservoir.offer(2)
    inner = reservoir.offer(3)
    reservoir.keep(inner, torch.tensor([[2.0], [3.0], [4.0]]))
    reservoir.keep(outer, torch.tensor([[0.0], [1.0]]))
    index, (table,) = reservoir.sample()
    assert table[:, 0].tolist() == index.tolist() == [0, 1, 2, 3, 4]


def test_an_empty_stream_gives_an_empty_sample():
    assert len(Reservoir(5, 0).sample()[0]) == 0


def test_handing_other_rows_than_asked_for_is_an_error():
    reservoir = Reservoir(None, 0)
    reservoir.offer(3)
    with pytest.raises(ValueError, match="offered 3 rows, handed 2"):
        reservoir.keep(torch.arange(2), torch.zeros(2, 1))
