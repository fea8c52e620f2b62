"""What the published readers' cards show: questions, their texts, and the output a card states for its model.

The answers are copied from the cards of the models, and for BERT from Spark NLP's documentation and FARM's own test.
"""

from __future__ import annotations

from dataclasses import dataclass

MANUEL = "Manuel Romero has been working hardly in the repository hugginface/transformers lately"
WHO = "Who has been working hard for hugginface/transformers lately?"
CONVERSION = "Why is model conversion important?"
FREEDOM = (
    "The option to convert models between FARM and transformers gives freedom to the user and let people easily switch"
    " between frameworks."
)


@dataclass(frozen=True, slots=True)
class Shown:
    """One example of a card. answer: its output, "" where none is stated; start: where the card says it begins.

    certain: the card's output is that of the trained model. That of `xlm-xquad` comes with scores of 0.00009 and 0.00012,
    which is what a head that was never trained gives: the pipeline of that time loaded the simple head for weights that
    have the beam head. Such an answer is shown in the docs, but not expected of the model.
    """

    reader: str
    language: str
    question: str
    context: str
    answer: str = ""
    start: int = 0
    certain: bool = True


CARDS = (
    Shown(
        "mbert-xquad",
        "hi",
        "कोरोनावायरस घबराहट कहां है?",
        "कोरोनावायरस पश्चिम में आतंक बो रहा है क्योंकि यह इतनी तेजी से फैलता है।",
        "पश्चिम",
        12,
    ),
    Shown("mbert-xquad", "en", WHO, MANUEL, "Manuel Romero"),
    Shown(
        "mbert-xquad",
        "fr",
        "Pour quel référentiel a travaillé Manuel Romero récemment?",
        "Manuel Romero a travaillé à peine dans le référentiel hugginface / transformers ces derniers temps",
        "hugginface / transformers",
        54,
    ),
    Shown("xlm-xquad", "en", WHO, MANUEL, "Manuel", certain=False),
    Shown(
        "xlm-xquad",
        "ru",
        "Кто в последнее время усердно работал над обнимашками / трансформерами?",
        "Мануэль Ромеро в последнее время почти не работал в репозитории hugginface / transformers",
        "работал в репозитории hugginface /",
        42,
        certain=False,
    ),
    Shown("xlmr-squad2", "en", CONVERSION, FREEDOM),
    Shown("xlmr-large-squad2", "en", CONVERSION, FREEDOM),
    Shown("bert-squad2", "en", "What's my name?", "My name is Clara and I live in Berkeley.", "Clara", 11),
    Shown("bert-squad2", "en", CONVERSION, FREEDOM, "gives freedom to the user", 59),
)

READERS = ("mbert-xquad", "xlm-xquad", "distilbert-tydiqa", "xlmr-squad2", "xlmr-large-squad2", "bert-squad2")
