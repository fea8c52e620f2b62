"""Span boundaries: an answer keeps the sign, currency and unit of its number, and ends with whole words.

A reader chooses tokens, so its span may read "18.5" where the text says "−18.5 °C". `whole_span` is the one function
that adjusts spans. `verdict.candidates` calls it once for each, so every reply, row and figure has adjusted spans.
FARMReader's own interface keeps FARM's spans. The rules, in the order in which they apply:

* A number is not cut: the reader's "1" of "1,250 km" is "1,250 km", and "10" of "10:30" is "10:30".
* Powers and tolerances: "4 × 10⁶" for "4", and "5 ± 0.1 mm" for "5".
* Magnitude, percentage, currency, unit and counter: "4.2 million €" for "4.2", and "三百人" for "三百".
* In right-to-left text, a minus behind the number: "20- درجة" for "20".
* Words and clusters (`word_boundaries`): "Tilde Marrow3" for "Tilde Marrow".
* Currency, sign and comparison in front: "−$5" and "≥ 5 mm" for "5", "US$ 30" for "30".
* Parentheses of a negative number: "(4.2) million" for "4.2".

A dash is no sign: in a range (2010–2014), in a word or code (GPT-4, ב-20), before a space, in front of a list's items.
Parentheses are none either around a year, a reference ("equation (4.2)") or a remark ("thin walls (5 mm)").
`number_affixes` has the tables of currencies and units, `number_patterns` the patterns made from them.
"""

from __future__ import annotations

from qa_pipeline.answering.number_measures import whole_number, with_measure
from qa_pipeline.answering.number_signs import with_sign
from qa_pipeline.answering.word_boundaries import whole_words


def whole_span(text: str, start: int, end: int) -> tuple[int, int]:
    """The boundaries of an answer for a reader's span text[start:end]; offsets in code points.

    The result contains the span, without the white space at its ends. A blank or empty span is returned as it is.

    >>> text = "The lowest storage temperature is −18.5 °C."
    >>> text[slice(*whole_span(text, 35, 39))]
    '−18.5 °C'
    """
    piece = text[start:end]
    if not piece.strip():
        return start, end
    start, end = start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
    start, end = whole_number(text, start)[0], whole_number(text, end)[1]
    end = with_measure(text, start, end)
    start, end = whole_words(text, start, end)
    return with_sign(text, start, end)
