"""What tells tickets from texts that are none, learned from both and from titles alone."""

import numpy as np

from app.models.features import BlockSpec, FeatureSpec
from app.training.fitting.design import TermCounts
from app.training.fitting.ticket_teller import TicketTeller, read_no_tickets

TITLES = ["Server down", "Refund please", "Printer jams", ""] * 5
TEXTS = ["our server is down", "please refund the invoice", "the printer jams again", "no refund came"] * 5
OTHERS = ["the cat sleeps", "a cat eats the fish", "fish and chips", "the fish sleeps"]
ALL = np.arange(len(TITLES))


def test_it_tells_texts_with_the_words_of_tickets_from_others_and_a_title_alone_too() -> None:
    counts, teller = TermCounts(TITLES, TEXTS), TicketTeller(OTHERS, TITLES)
    words = np.array(["cat", "fish", "sleeps"])
    fitted = counts.fit(FeatureSpec((BlockSpec("word"),)), ALL, extra_words=words)

    column = teller.column(fitted, counts.features(fitted, ALL), ALL, None)

    terms = fitted.blocks[0].terms.tolist()
    assert column[terms.index("fish")] < 0 < column[terms.index("refund")]
    titles = teller.of_titles(column, fitted, ALL)
    assert np.isnan(titles[3])
    others = TermCounts(OTHERS, [""] * 4).features(fitted, np.arange(4)) @ column
    assert others.max() < min(titles[:3].min(), (counts.features(fitted, ALL) @ column).min())


def test_the_texts_that_come_with_the_project_are_different_ones_and_none_is_blank() -> None:
    texts = read_no_tickets()
    assert len(set(texts)) == len(texts) >= 200
    assert all(text.strip() for text in texts)
