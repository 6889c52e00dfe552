"""A domain is left out whole, with all that belongs to its tickets, where both sides stay large enough."""

import numpy as np

from app.training.splitting.domains import domain_splits


def test_each_domain_that_is_neither_small_nor_most_of_all_is_left_out_once() -> None:
    domains = ["north"] * 300 + ["south"] * 150 + ["tiny"] * 99 + [""] * 200
    tickets = np.arange(len(domains))

    splits = {one.domain: one.split for one in domain_splits(domains, tickets, tickets)}

    assert list(splits) == ["north", "south"]
    for name, split in splits.items():
        assert {domains[i] for i in split.validation} == {name}
        assert name not in {domains[i] for i in split.train}
        assert len(split.train) + len(split.validation) == len(domains)


def test_a_domain_that_has_most_of_the_tickets_is_not_left_out() -> None:
    domains = ["north"] * 300 + ["south"] * 150

    assert [one.domain for one in domain_splits(domains, np.arange(450), np.arange(450))] == ["south"]


def test_tickets_that_belong_to_one_of_the_domain_are_not_learned_from_either() -> None:
    domains = ["north"] * 200 + ["south"] * 200
    groups = np.arange(400)
    groups[200:220] = groups[:20]

    by_name = {one.domain: one.split for one in domain_splits(domains, groups, np.arange(400))}

    assert set(by_name["north"].train.tolist()) == set(range(220, 400))


def test_only_the_tickets_asked_for_are_split() -> None:
    domains = ["north"] * 200 + ["south"] * 200
    even = np.arange(0, 400, 2)

    splits = domain_splits(domains, np.arange(400), even)

    assert [{*one.split.train.tolist(), *one.split.validation.tolist()} for one in splits] == [set(even)] * 2
