"""Words that write numbers: months, cardinal numbers, powers of ten, and words around numbers, by language.

Month and number words are those of the Unicode CLDR conventions. A language without an entry writes them as digits only.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

MONTHS = {
    "ar": "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
    "cs": (
        "ledna/leden února/únor března/březen dubna/duben května/květen června/červen července/červenec srpna/srpen "
        "září října/říjen listopadu/listopad prosince/prosinec"
    ),
    "da": (
        "januar/jan februar/feb marts/mar april/apr maj juni/jun juli/jul august/aug september/sep oktober/okt "
        "november/nov december/dec"
    ),
    "de": (
        "januar/jan februar/feb märz/mär april/apr mai juni/jun juli/jul august/aug september/sept/sep oktober/okt "
        "november/nov dezember/dez"
    ),
    "el": (
        "ιανουαρίου/ιαν/ιανουάριος φεβρουαρίου/φεβ/φεβρουάριος μαρτίου/μαρ/μάρτιος/μάρ απριλίου/απρ/απρίλιος "
        "μαΐου/μαΐ/μάιος/μάι ιουνίου/ιουν/ιούνιος/ιούν ιουλίου/ιουλ/ιούλιος/ιούλ αυγούστου/αυγ/αύγουστος/αύγ "
        "σεπτεμβρίου/σεπ/σεπτέμβριος οκτωβρίου/οκτ/οκτώβριος νοεμβρίου/νοε/νοέμβριος/νοέ δεκεμβρίου/δεκ/δεκέμβριος"
    ),
    "en": (
        "january/jan february/feb march/mar april/apr may june/jun july/jul august/aug september/sep/sept october/oct "
        "november/nov december/dec"
    ),
    "es": (
        "enero/ene febrero/feb marzo/mar abril/abr mayo/may junio/jun julio/jul agosto/ago septiembre/sept "
        "octubre/oct noviembre/nov diciembre/dic"
    ),
    "fa": "ژانویه فوریه مارس آوریل مه ژوئن ژوئیه اوت سپتامبر اکتبر نوامبر دسامبر",
    "fi": (
        "tammikuuta/tammi/tammikuu helmikuuta/helmi/helmikuu maaliskuuta/maalis/maaliskuu huhtikuuta/huhti/huhtikuu "
        "toukokuuta/touko/toukokuu kesäkuuta/kesäkuu heinäkuuta/heinä/heinäkuu elokuuta/elokuu syyskuuta/syyskuu "
        "lokakuuta/lokakuu marraskuuta/marras/marraskuu joulukuuta/joulu/joulukuu"
    ),
    "fr": (
        "janvier/janv février/févr mars avril/avr mai juin juillet/juil août septembre/sept octobre/oct novembre/nov "
        "décembre/déc"
    ),
    "he": "ינואר פברואר מרץ אפריל מאי יוני יולי אוגוסט ספטמבר אוקטובר נובמבר דצמבר",
    "hi": "जनवरी/जन॰ फ़रवरी/फ़र॰ मार्च अप्रैल मई जून जुलाई/जुल॰ अगस्त/अग॰ सितंबर/सित॰ अक्टूबर/अक्टू॰ नवंबर/नव॰ दिसंबर/दिस॰",
    "hu": (
        "január/jan február/febr március/márc április/ápr május/máj június/jún július/júl augusztus/aug "
        "szeptember/szept október/okt november/nov december/dec"
    ),
    "id": (
        "januari/jan februari/feb maret/mar april/apr mei juni/jun juli/jul agustus/agu september/sep oktober/okt "
        "november/nov desember/des"
    ),
    "it": (
        "gennaio/gen febbraio/feb marzo/mar aprile/apr maggio/mag giugno/giu luglio/lug agosto/ago settembre/set "
        "ottobre/ott novembre/nov dicembre/dic"
    ),
    "nl": (
        "januari/jan februari/feb maart/mrt april/apr mei juni/jun juli/jul augustus/aug september/sep oktober/okt "
        "november/nov december/dec"
    ),
    "no": (
        "januar/jan februar/feb mars/mar april/apr mai juni/jun juli/jul august/aug september/sep oktober/okt "
        "november/nov desember/des"
    ),
    "pl": (
        "stycznia/sty/styczeń lutego/lut/luty marca/mar/marzec kwietnia/kwi/kwiecień maja/maj czerwca/cze/czerwiec "
        "lipca/lip/lipiec sierpnia/sie/sierpień września/wrz/wrzesień października/paź/październik "
        "listopada/lis/listopad grudnia/gru/grudzień"
    ),
    "pt": (
        "janeiro/jan fevereiro/fev março/mar abril/abr maio/mai junho/jun julho/jul agosto/ago setembro/set "
        "outubro/out novembro/nov dezembro/dez"
    ),
    "ro": (
        "ianuarie/ian februarie/feb martie/mar aprilie/apr mai iunie/iun iulie/iul august/aug septembrie/sept "
        "octombrie/oct noiembrie/nov decembrie/dec"
    ),
    "ru": (
        "января/янв/январь февраля/февр/февраль марта/мар/март апреля/апр/апрель мая/май июня/июн/июнь июля/июл/июль "
        "августа/авг/август сентября/сент/сентябрь октября/окт/октябрь ноября/нояб/ноябрь декабря/дек/декабрь"
    ),
    "sv": (
        "januari/jan februari/feb mars april/apr maj juni juli augusti/aug september/sep oktober/okt november/nov "
        "december/dec"
    ),
    "th": "มกราคม กุมภาพันธ์ มีนาคม เมษายน พฤษภาคม มิถุนายน กรกฎาคม สิงหาคม กันยายน ตุลาคม พฤศจิกายน ธันวาคม",
    "tr": (
        "ocak/oca şubat/şub mart/mar nisan/nis mayıs/may haziran/haz temmuz/tem ağustos/ağu eylül/eyl ekim/eki "
        "kasım/kas aralık/ara"
    ),
    "uk": (
        "січня/січень лютого/лютий березня/березень квітня/квітень травня/трав/травень червня/червень липня/липень "
        "серпня/серпень вересня/вересень жовтня/жовтень листопада/листопад грудня/грудень"
    ),
}
NUMBERS = {
    "ar": (
        "اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة عشرة - - - - - - - - - عشرون ثلاثون أربعون خمسون ستون سبعون "
        "ثمانون تسعون"
    ),
    "da": (
        "to tre fire fem seks syv otte ni ti elleve tolv tretten fjorten femten seksten sytten atten nitten tyve "
        "tredive fyrre halvtreds treds halvfjerds firs halvfems"
    ),
    "de": (
        "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
        "achtzehn neunzehn zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"
    ),
    "en": (
        "two/second three/third four/fourth five/fifth six/sixth seven/seventh eight/eighth nine/ninth ten/tenth "
        "eleven/eleventh twelve/twelfth thirteen/thirteenth fourteen/fourteenth fifteen/fifteenth sixteen/sixteenth "
        "seventeen/seventeenth eighteen/eighteenth nineteen/nineteenth twenty/twentieth thirty/thirtieth forty fifty "
        "sixty seventy eighty ninety"
    ),
    "es": (
        "dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
        "dieciocho diecinueve veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa"
    ),
    "fa": (
        "دو سه چهار پنج شش هفت هشت نه ده یازده دوازده سیزده چهارده پانزده شانزده هفده هجده نوزده بیست سی چهل پنجاه "
        "شصت هفتاد هشتاد نود"
    ),
    "fi": (
        "kaksi kolme neljä viisi kuusi seitsemän kahdeksan yhdeksän kymmenen yksitoista kaksitoista kolmetoista "
        "neljätoista viisitoista kuusitoista seitsemäntoista kahdeksantoista yhdeksäntoista kaksikymmentä "
        "kolmekymmentä neljäkymmentä viisikymmentä kuusikymmentä seitsemänkymmentä kahdeksankymmentä yhdeksänkymmentä"
    ),
    "fr": (
        "deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize - - - vingt trente "
        "quarante cinquante soixante - - -"
    ),
    "he": "שתיים שלוש ארבע חמש שש שבע שמונה תשע עשר - - - - - - - - - עשרים שלושים ארבעים חמישים שישים שבעים שמונים תשעים",
    "id": "dua tiga empat lima enam tujuh delapan sembilan sepuluh sebelas - - - - - - - - - - - - - - - -",
    "it": (
        "due tre quattro cinque sei sette otto nove dieci undici dodici tredici quattordici quindici sedici "
        "diciassette diciotto diciannove venti trenta quaranta cinquanta sessanta settanta ottanta novanta"
    ),
    "nl": (
        "twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien "
        "achttien negentien twintig dertig veertig vijftig zestig zeventig tachtig negentig"
    ),
    "no": (
        "to tre fire fem seks syv åtte ni ti elleve tolv tretten fjorten femten seksten sytten atten nitten tjue "
        "tretti førti femti seksti sytti åtti nitti"
    ),
    "pl": (
        "dwa trzy cztery pięć sześć siedem osiem dziewięć dziesięć jedenaście dwanaście trzynaście czternaście "
        "piętnaście szesnaście siedemnaście osiemnaście dziewiętnaście dwadzieścia trzydzieści czterdzieści "
        "pięćdziesiąt sześćdziesiąt siedemdziesiąt osiemdziesiąt dziewięćdziesiąt"
    ),
    "pt": (
        "dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze dezesseis/dezasseis "
        "dezessete/dezassete dezoito dezenove/dezanove vinte trinta quarenta cinquenta sessenta setenta oitenta "
        "noventa"
    ),
    "ro": (
        "doi trei patru cinci șase șapte opt nouă zece unsprezece doisprezece treisprezece paisprezece cincisprezece "
        "șaisprezece șaptesprezece optsprezece nouăsprezece douăzeci treizeci patruzeci cincizeci șaizeci șaptezeci "
        "optzeci nouăzeci"
    ),
    "ru": (
        "два три четыре пять шесть семь восемь девять десять одиннадцать двенадцать тринадцать четырнадцать "
        "пятнадцать шестнадцать семнадцать восемнадцать девятнадцать двадцать тридцать сорок пятьдесят шестьдесят "
        "семьдесят восемьдесят девяносто"
    ),
    "sv": (
        "två tre fyra fem sex sju åtta nio tio elva tolv tretton fjorton femton sexton sjutton arton nitton tjugo "
        "trettio förtio femtio sextio sjuttio åttio nittio"
    ),
    "tr": (
        "iki üç dört beş altı yedi sekiz dokuz on onbir oniki onüç ondört onbeş onaltı onyedi onsekiz ondokuz yirmi "
        "otuz kırk elli altmış yetmiş seksen doksan"
    ),
    "uk": (
        "два три чотири п’ять шість сім вісім дев’ять десять одинадцять дванадцять тринадцять чотирнадцять "
        "п’ятнадцять шістнадцять сімнадцять вісімнадцять дев’ятнадцять двадцять тридцять сорок п’ятдесят шістдесят "
        "сімдесят вісімдесят дев’яносто"
    ),
}

VALUES = (*range(2, 21), 30, 40, 50, 60, 70, 80, 90)
POWERS = {
    3: "thousand tausend mille mil mila тысяча тысячи тысяч тис bin ألف آلاف हज़ार हजार พัน nghìn ngàn ribu duizend tusen"
    " tuhatta χιλιάδες אלף tysięcy tysiące mii هزار",
    5: "लाख",
    6: "million millions millionen mio millones millón milhões milhão milioni milione миллион миллиона миллионов млн"
    " milyon مليون ملايين triệu juta miljoen miljoner miljoonaa εκατομμύρια εκατομμύριο מיליון milion miliony milionów"
    " milioane میلیون ล้าน",
    7: "करोड़",
    9: "billion billions milliard milliards milliarden mrd миллиард миллиарда миллиардов млрд milyar مليار miliar"
    " miljard miljarder miliard miliardy miliardi bilhões bilhão میلیارد tỷ",
}
SIGNS = "minus moins menos meno минус eksi ناقص âm ऋण μείον מינוס miinus 零下 マイナス 负 負"
CENTURIES = (
    "century centuries jahrhundert jahrhunderts siècle siècles siglo siglos século secolo eeuw век века веке веков"
    " yüzyıl yüzyılda yüzyılın قرن القرن αιώνα αιώνας abad wiek wieku århundradet århundre vuosisadalla secolul शताब्दी"
    " सदी ศตวรรษ століття מאה"
)
RANGES = (
    "to till until through bis à au hasta al até ao a tot до по to ila arası إلى حتى تا से til till do até hingga sampai"
    " đến tới ถึง έως μέχρι עד 至 到 から ~ 부터 saakka až"
)
QUANTITIES = (
    "about over under after before since until between from than nearly around with more less least most only exactly"
    " über unter nach etwa fast rund mehr weniger zwischen seit genau ungefähr mindestens höchstens"
    " depuis après avant environ entre plus moins presque dans pour sous desde hasta unos unas sobre entre menos casi"
    " около более менее после свыше между почти через cerca circa oltre dopo prima quasi sobre após antes mais"
    " sekitar lebih kurang setelah sebelum antara yaklaşık fazla sonra önce arasında khoảng hơn trước sau giữa"
    " year years jahr jahre jahren année années año años год года году лет ano anos anno anni tahun năm yılı yıl"
)


@lru_cache(maxsize=1 << 16)
def fold(word: str) -> str:
    """A word without case and accents, as all tables here are read.

    >>> fold("Février"), fold("İstanbul")
    ('fevrier', 'istanbul')
    """
    apart = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", word).casefold())
    return unicodedata.normalize("NFC", "".join(c for c in apart if unicodedata.category(c) != "Mn").replace("ı", "i"))


INFLECTED = frozenset("ru uk be pl cs sk sl hr sr bg mk lt lv el fi et hu tr az la hy ro ka sw".split())
"""Languages in which a name ends in several ways."""


def _set(words: str) -> frozenset[str]:
    return frozenset(map(fold, words.split()))


POWER_OF = {fold(word): power for power, words in POWERS.items() for word in words.split()}
SIGN_WORDS, CENTURY_WORDS, RANGE_WORDS, QUANTITY_WORDS = map(_set, (SIGNS, CENTURIES, RANGES, QUANTITIES))
MONTH_OF: dict[str, frozenset[int]] = {}
SHORT_MONTHS: dict[str, dict[str, frozenset[int]]] = {}
for _language, _row in MONTHS.items():
    for _number, _forms in enumerate(_row.split(), start=1):
        for _form in map(fold, _forms.split("/")):
            _held = MONTH_OF if len(_form) > 3 else SHORT_MONTHS.setdefault(_language, {})
            _held[_form] = _held.get(_form, frozenset()) | {_number}
NUMBER_OF = {
    language: {
        fold(word): value
        for value, words in zip(VALUES, row.split(), strict=True)
        for word in words.split("/")
        if word != "-"
    }
    for language, row in NUMBERS.items()
}


@lru_cache(maxsize=1 << 14)
def months_of(word: str, language: str) -> frozenset[int]:
    """The months, 1 to 12, that a word may name; empty for others.

    Names of four letters and more count in every language, shorter ones in their own. Where the language inflects names,
    up to three more letters may follow.
    """
    folded = fold(word)
    short = SHORT_MONTHS.get(language, {}).get(folded)
    lengths = range(len(folded), max(3, len(folded) - (4 if language in INFLECTED else 1)), -1)
    return short or next((MONTH_OF[folded[:n]] for n in lengths if folded[:n] in MONTH_OF), frozenset())


def months_in(language: str) -> list[str]:
    """The full names of the months in a language, January first, without case; empty where they are not known."""
    return [forms.split("/")[0] for forms in MONTHS.get(language, "").split()]


def number_of(word: str, language: str) -> int | None:
    """The value of a cardinal number written as one word of the language, 2 to 90; None for others."""
    return NUMBER_OF.get(language, {}).get(fold(word))
