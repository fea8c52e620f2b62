"""Numbers as lists write them: letters, Roman numerals, and the counting of other scripts (Word's names of formats)."""

from __future__ import annotations

from collections.abc import Callable

_ROMAN = ((1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"))
_ROMAN_SMALL = ((10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))
_HAN = "〇一二三四五六七八九"
_RUSSIAN = "абвгдежзиклмнопрстуфхцчшщэюя"
_HEBREW = "אבגדהוזחטיכלמנסעפצקרשת"
_HEBREW_HUNDREDS = ("", "ק", "ר", "ש", "ת", "תק", "תר", "תש", "תת", "תתק")
_HEBREW_TENS, _HEBREW_ONES = " יכלמנסעפצ", " אבגדהוזחט"
_ARABIC = "أبتثجحخدذرزسشصضطظعغفقكلمنهوي"
_ABJAD = "أبجدهوزحطيكلمنسعفصقرشتثخذضظغ"
_THAI = "กขคงจฉชซฌญฎฏฐฑฒณดตถทธนบปผฝพฟภมยรลวศษสหฬอฮ"
_HINDI = "कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसह"
_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセスン"
_GANADA = "가나다라마바사아자차카타파하"
_CHOSUNG = "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"
_KOREAN = "영일이삼사오육칠팔구"
_STEMS, _BRANCHES = "甲乙丙丁戊己庚辛壬癸", "子丑寅卯辰巳午未申酉戌亥"
_LEGAL, _LEGAL_OLD, _LEGAL_JAPANESE = "零壹贰叁肆伍陆柒捌玖", "零壹貳參肆伍陸柒捌玖", "零壱弐参四伍六七八九"
_MARKS = "*†‡§"


def formatted(number: int, form: str) -> str:
    """A number in one of Word's formats; decimal for those that are not known.

    >>> [formatted(4, form) for form in ("decimal", "lowerRoman", "upperLetter", "decimalZero", "japaneseCounting")]
    ['4', 'iv', 'D', '04', '四']
    """
    write = _FORMATS.get(form)
    return write(number) if write and number > 0 else str(number)


def _letters(number: int) -> str:
    return chr(97 + (number - 1) % 26) * min((number - 1) // 26 + 1, 50)


def _roman(number: int) -> str:
    text = ""
    for value, letters in (*_ROMAN, *_ROMAN_SMALL):
        text += letters * (min(number, 9_999) // value)
        number %= value
    return text


def _of(alphabet: str) -> Callable[[int], str]:
    return lambda number: alphabet[(number - 1) % len(alphabet)] * min((number - 1) // len(alphabet) + 1, 50)


def _counting(number: int) -> str:
    """A number up to 99 in Chinese and Japanese counting (十二); digits beyond."""
    if number > 99:
        return _digits_of(_HAN)(number)
    tens, ones = divmod(number, 10)
    return ("" if not tens else "十" if tens == 1 else f"{_HAN[tens]}十") + (_HAN[ones] if ones else "")


def _digits_of(digits: str) -> Callable[[int], str]:
    return lambda number: "".join(digits[int(digit)] for digit in str(number))


def _by_units(digits: str, units: str, one: bool) -> Callable[[int], str]:
    """Counting with words for ten, hundred and thousand. one: whether a leading "one" is written before them."""

    def write(number: int) -> str:
        if number > 9_999:
            return _digits_of(digits)(number)
        text = ""
        for power in (3, 2, 1, 0):
            digit = number // 10**power % 10
            if digit:
                text += ("" if digit == 1 and power and not one else digits[digit]) + (units[power - 1] if power else "")
            elif one and text and number % 10**power and not text.endswith(digits[0]):
                text += digits[0]
        return text

    return write


def _hebrew(number: int) -> str:
    """Hebrew numerals; 15 and 16 are nine and six, nine and seven."""
    if number > 999:
        return str(number)
    tens, ones = divmod(number % 100, 10)
    small = {15: "טו", 16: "טז"}.get(number % 100, (_HEBREW_TENS[tens] + _HEBREW_ONES[ones]).replace(" ", ""))
    return _HEBREW_HUNDREDS[number // 100] + small


def _signs(first: int, count: int) -> Callable[[int], str]:
    """Signs of Unicode that hold a whole number, from 1 up to `count`."""
    return lambda number: chr(first + number - 1) if number <= count else str(number)


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _digits_from(first: str) -> Callable[[int], str]:
    return lambda number: "".join(chr(ord(first) + int(digit)) for digit in str(number))


_FORMATS: dict[str, Callable[[int], str]] = {
    "decimalZero": lambda number: f"{number:02}",
    "lowerLetter": _letters,
    "upperLetter": lambda number: _letters(number).upper(),
    "lowerRoman": _roman,
    "upperRoman": lambda number: _roman(number).upper(),
    "ordinal": _ordinal,
    "russianLower": _of(_RUSSIAN),
    "russianUpper": _of(_RUSSIAN.upper()),
    "hebrew2": _of(_HEBREW),
    "arabicAlpha": _of(_ARABIC),
    "thaiLetters": _of(_THAI),
    "thaiNumbers": _digits_from("๐"),
    "hindiNumbers": _digits_from("०"),
    "aiueoFullWidth": _of(_AIUEO),
    "ganada": _of(_GANADA),
    "decimalFullWidth": _digits_from("０"),
    "decimalEnclosedCircle": _signs(0x2460, 20),
    "decimalEnclosedCircleChinese": _signs(0x2460, 20),
    "decimalEnclosedParen": _signs(0x2474, 20),
    "decimalEnclosedFullstop": _signs(0x2488, 20),
    "ideographEnclosedCircle": _signs(0x3280, 10),
    "numberInDash": lambda number: f"- {number} -",
    "hebrew1": _hebrew,
    "arabicAbjad": _of(_ABJAD),
    "hindiConsonants": _of(_HINDI),
    "aiueo": _of(_AIUEO),
    "iroha": _of(_IROHA),
    "irohaFullWidth": _of(_IROHA),
    "chosung": _of(_CHOSUNG),
    "koreanCounting": _by_units(_KOREAN, "십백천", False),
    "koreanDigital": _digits_of(_KOREAN),
    "koreanDigital2": _digits_of("零一二三四五六七八九"),
    "ideographTraditional": _of(_STEMS),
    "ideographZodiac": _of(_BRANCHES),
    "chineseLegalSimplified": _by_units(_LEGAL, "拾佰仟", True),
    "ideographLegalTraditional": _by_units(_LEGAL_OLD, "拾佰仟", True),
    "japaneseLegal": _by_units(_LEGAL_JAPANESE, "拾百千", True),
    "chicago": _of(_MARKS),
    "hex": lambda number: f"{number:X}",
    "taiwaneseDigital": _digits_of(_HAN),
    "ideographDigital": _digits_of(_HAN),
    "chineseCounting": _counting,
    "chineseCountingThousand": _counting,
    "japaneseCounting": _counting,
    "japaneseDigitalTenThousand": _counting,
    "taiwaneseCounting": _counting,
    "taiwaneseCountingThousand": _counting,
}
