"""Display names of texts and languages."""

from __future__ import annotations

import re


def plain(text: str, *, isolate: bool = False) -> str:
    """Text that Streamlit's Markdown shows as it is, on one line. isolate: keep its writing direction to itself.

    >>> plain("a*b_[c](d) :red[x]")
    'a\\\\*b\\\\_\\\\[c\\\\]\\\\(d\\\\) \\\\:red\\\\[x\\\\]'
    """
    shown = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
    return f"\u2068{shown}\u2069" if isolate else shown


def language_name(code: str) -> str:
    """The English name of a language, or its code.

    >>> language_name("de"), language_name("xx"), language_name("")
    ('German', 'xx', 'unknown language')
    """
    return LANGUAGES.get(code, code) or "unknown language"


LANGUAGES = dict(
    pair.split(":")
    for pair in (
        "af:Afrikaans am:Amharic an:Aragonese ar:Arabic as:Assamese az:Azerbaijani be:Belarusian bg:Bulgarian bn:Bengali"
        " br:Breton bs:Bosnian ca:Catalan cs:Czech cy:Welsh da:Danish de:German dz:Dzongkha el:Greek en:English"
        " eo:Esperanto es:Spanish et:Estonian eu:Basque fa:Persian fi:Finnish fo:Faroese fr:French ga:Irish gl:Galician"
        " gu:Gujarati he:Hebrew hi:Hindi hr:Croatian ht:Haitian hu:Hungarian hy:Armenian id:Indonesian is:Icelandic"
        " it:Italian ja:Japanese jv:Javanese ka:Georgian kk:Kazakh km:Khmer kn:Kannada ko:Korean ku:Kurdish ky:Kyrgyz"
        " la:Latin lb:Luxembourgish lo:Lao lt:Lithuanian lv:Latvian mg:Malagasy mk:Macedonian ml:Malayalam mn:Mongolian"
        " mr:Marathi ms:Malay mt:Maltese my:Burmese nb:Norwegian ne:Nepali nl:Dutch nn:Norwegian no:Norwegian oc:Occitan"
        " or:Odia pa:Punjabi pl:Polish ps:Pashto pt:Portuguese qu:Quechua ro:Romanian ru:Russian rw:Kinyarwanda se:Sami"
        " si:Sinhala sk:Slovak sl:Slovenian sq:Albanian sr:Serbian sv:Swedish sw:Swahili ta:Tamil te:Telugu th:Thai"
        " tl:Tagalog tr:Turkish ug:Uyghur uk:Ukrainian ur:Urdu vi:Vietnamese vo:Volapük wa:Walloon xh:Xhosa yi:Yiddish"
        " zh:Chinese zu:Zulu"
    ).split()
)
