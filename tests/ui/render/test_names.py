"""Names of languages: those people know, for every language the index can tell or a model is said to read."""

from __future__ import annotations

import pytest

from ui.render.names import language_name

NAMES = (
    "af:Afrikaans am:Amharic an:Aragonese ar:Arabic as:Assamese az:Azerbaijani be:Belarusian bg:Bulgarian bn:Bengali"
    " br:Breton bs:Bosnian ca:Catalan cs:Czech cy:Welsh da:Danish de:German dz:Dzongkha el:Greek en:English"
    " eo:Esperanto es:Spanish et:Estonian eu:Basque fa:Persian fi:Finnish fo:Faroese fr:French ga:Irish gl:Galician"
    " gu:Gujarati he:Hebrew hi:Hindi hr:Croatian ht:Haitian_Creole hu:Hungarian hy:Armenian id:Indonesian is:Icelandic"
    " it:Italian ja:Japanese jv:Javanese ka:Georgian kk:Kazakh km:Khmer kn:Kannada ko:Korean ku:Kurdish ky:Kyrgyz"
    " la:Latin lb:Luxembourgish lo:Lao lt:Lithuanian lv:Latvian mg:Malagasy mk:Macedonian ml:Malayalam mn:Mongolian"
    " mr:Marathi ms:Malay mt:Maltese my:Burmese nb:Norwegian_Bokmål ne:Nepali nl:Dutch nn:Norwegian_Nynorsk no:Norwegian"
    " oc:Occitan or:Odia pa:Punjabi pl:Polish ps:Pashto pt:Portuguese qu:Quechua ro:Romanian ru:Russian rw:Kinyarwanda"
    " se:Northern_Sami si:Sinhala sk:Slovak sl:Slovenian sq:Albanian sr:Serbian sv:Swedish sw:Swahili ta:Tamil te:Telugu"
    " th:Thai tl:Tagalog tr:Turkish ug:Uyghur uk:Ukrainian ur:Urdu vi:Vietnamese vo:Volapük wa:Walloon xh:Xhosa"
    " yi:Yiddish zh:Chinese zu:Zulu"
)


@pytest.mark.parametrize("pair", NAMES.split())
def test_every_language_has_the_name_people_know(pair: str) -> None:
    code, _, name = pair.partition(":")
    assert language_name(code) == name.replace("_", " ")


@pytest.mark.parametrize(("code", "name"), [("", "unknown language"), ("xx", "xx"), ("?", "?")])
def test_what_is_no_language_is_shown_as_it_is(code: str, name: str) -> None:
    assert language_name(code) == name
