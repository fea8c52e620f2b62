"""What belongs to a number: signs, currencies, magnitudes, units and counters, as tables by language.

Each table is a plain string: words and symbols separated by white space, `_` for a space inside one. `number_patterns`
makes patterns from them. A word of a spaced script matches only as a whole word; symbols match as they are written.
"""

from __future__ import annotations

import regex

NUMERALS = "〇零一二三四五六七八九十百千万萬億亿兆两兩壱弐参廿卅半"

# -- before a number ---------------------------------------------------------------------------------------------------

DASHES = "- ‐ ‒ – − － ﹣ ⁻ ➖"
"""A leading minus, or a range, a bullet or a hyphen: `number_signs` tells them apart."""

PLUS = "+ ＋"
ACCOUNTING_MINUS = "± ∓ △ ▲ ▽ ▼"
"""Signs that are nothing else. Japanese and Chinese accounts write △ or ▲ for minus."""

COMPARISONS = "<= >= =< < > ≤ ≥ ⩽ ⩾ ≦ ≧ ≪ ≫ ≲ ≳ ＜ ＞ ~ ≈ ∼ ～ ≃ ≅ ≒"
MINUS_CUES = "是為为到至達达約约低在はがをでとにもら"
"""Characters after which a dash in front of a number is a minus, in Chinese and Japanese."""

SIGN_WORDS = """
    minus минус мінус mínus mínusz eksi âm منفی منفي ناقص سالب מינוס माइनस ऋण ลบ ติดลบ 零下 负 負 マイナス 氷点下
    영하 마이너스
"""
SIGN_WORDS_OF_DEGREES = "moins menos meno"
"""Words that mean "less" as well ("au moins 20"): signs before a degree or a percentage only, not after LESS."""

LESS = "au du de le al lo por ao pelo di il né un"
RATIOS = "百分之 千分之 万分之 萬分之"
ORDINAL = "第"

# -- currencies --------------------------------------------------------------------------------------------------------

CURRENCY_CODES = """
    USD EUR GBP JPY CNY RMB CHF SEK NOK DKK ISK PLN CZK HUF RON BGN RSD UAH RUB RUR BYN TRY ILS NIS INR PKR BDT LKR
    NPR
    THB VND IDR MYR SGD HKD TWD NTD KRW AUD NZD CAD BRL MXN ARS CLP COP PEN ZAR NGN KES EGP MAD TND SAR AED QAR KWD
    BHD
    OMR JOD IRR IQD KZT GEL AMD AZN ETB TZS PHP BTC ETH
"""
CURRENCY_MARKS_BEFORE = "US$ A$ AU$ C$ CA$ NZ$ HK$ NT$ S$ R$ MX$ Rs. Rs Rp Fr. Kč kr S/."
CURRENCY_MARKS_BEHIND = 'Kč zł kr kr. Ft Fr. Lei лв лв. руб руб. р. грн грн. сом د.إ ر.س ج.م ش״ח ש"ח'
CURRENCY_WORDS = """
    euro euros dollar dollars pound pounds yen yuan renminbi cent cents pence franc francs rupee rupees peso pesos
    reais reales dólar dólares libra libras dollari dollaro sterline złoty złotych zloty korun koruny kronor kroner
    krone
    forint lei lira Lira Euro Pfund Franken Kronen Rubel Cent livres рубль рубля рублей доллар доллара долларов
    евро фунт фунта фунтов гривна гривны гривен юань юаня юаней иен йен центов копеек
    ريال ريالا ريالات درهم درهما دينار دينارا جنيه جنيها دولار دولارا دولارات يورو ليرة روبية
    تومان دلار یورو روپے ڈالر שקל שקלים ש״ח דולר דולרים אירו יורו रुपये रुपए रुपया डॉलर यूरो पाउंड đồng rupiah
    บาท ดอลลาร์ ยูโร เยน หยวน
    人民币 人民幣 美元 欧元 歐元 英镑 英鎊 日元 日圓 港元 港币 港幣 新台幣 台幣 卢布 盧布 韩元 韓元 元 圓 角
    ユーロ ドル ポンド ルーブル ウォン 円 銭
    유로 달러 파운드 위안 엔 루블 원
"""
COUNTRIES = "US U.S. Canadian Australian Hong_Kong American британских американских canadiens américains"

# -- magnitudes, percentages -------------------------------------------------------------------------------------------

MAGNITUDES = """
    hundred thousand million millions billion billions trillion trillions bn mn tn
    Tausend Million Millionen Milliarde Milliarden Billion Billionen Tsd. Mio. Mio Mill. Mrd. Mrd Bio.
    mille milliard milliards billions mil millón millones millardos milhão milhões bilhão bilhões mln mld
    milione milioni miliardo miliardi miljoen miljard miljoner miljarder millioner milliarder milionów miliardów
    milion miliony miliard miliardy tys. milionů bin milyon milyar trilyon triệu tỷ nghìn ngàn juta miliar ribu
    triliun
    тысяча тысячи тысяч тыс. тыс миллион миллиона миллионов млн млн. миллиард миллиарда миллиардов млрд млрд. трлн
    трлн.
    триллион триллионов тисяч мільйонів мільярдів
    ألف الف آلاف مليون مليونا ملايين مليار مليارا مليارات بليون تريليون هزار میلیون میلیارد لاکھ کروڑ ارب
    אלף אלפים מיליון מיליוני מיליארד מיליארדי טריליון
    हज़ार हजार लाख करोड़ करोड अरब खरब मिलियन बिलियन lakh lakhs crore crores
    พัน หมื่น แสน ล้าน พันล้าน แสนล้าน ล้านล้าน
    十 百 千 万 萬 億 亿 兆 十万 百万 千万 百萬 千萬 百億
    백 천 만 억 조
"""
PERCENT_SIGNS = "% ‰ ‱ ٪ ؉ ؊ ％ ﹪"
PERCENT_WORDS = """
    percent per_cent percentage_points percentage_point pct Prozent Prozentpunkte Promille pour_cent pour_mille
    por_ciento
    por_cento per_cento procent procenta procent prosent procenti prosenttia százalék yüzde phần_trăm persen
    процент процента процентов проц. промилле відсотків відсотка
    بالمئة بالمائة في_المئة في_المائة درصد فیصد אחוז אחוזים प्रतिशत फीसदी फ़ीसदी เปอร์เซ็นต์ ร้อยละ
    パーセント 퍼센트 프로 个百分点 個百分點 百分点 ポイント
"""

# -- units -------------------------------------------------------------------------------------------------------------

DEGREES = """
    ° ℃ ℉ °C °F °K °_C °_F º ºC ºF ′ ″
    degrees degree degrees_Celsius degrees_Fahrenheit degree_Celsius degrees_C degrees_F Grad Grad_Celsius
    Grad_Fahrenheit
    degré degrés degrés_Celsius grado grados grados_Celsius grados_centígrados gradi graus graus_Celsius gradi_Celsius
    graden stopni stopni_Celsjusza stupňů derece độ độ_C derajat
    градус градуса градусов градусов_Цельсия градуса_Цельсия градусов_по_Цельсию °С °_С
    درجة درجات درجة_مئوية درجات_مئوية درجه درجه_سانتیگراد ڈگری מעלות מעלה מעלות_צלזיוס
    डिग्री डिग्री_सेल्सियस डिग्री_सेल्सियस องศา องศาเซลเซียส 摄氏度 攝氏度 华氏度 華氏度 度 도 섭씨도
"""
SYMBOLS = """
    nm µm μm mm cm dm m km nmi mi ft yd µg μg mg g kg Mg t kt Mt lb lbs oz µl μl ml mL cl dl l L hl m² m³ cm² cm³ mm²
    mm³ km² km³ m2 m3 km2 ha ns µs μs ms s sec min h hr hrs Hz kHz MHz GHz THz rpm W kW MW GW TW mW Wh kWh MWh GWh TWh
    kWp
    V kV mV mA kA Ah mAh Ω kΩ MΩ VA kVA MVA J kJ MJ GJ eV keV MeV GeV N kN MN Nm Pa hPa kPa MPa GPa bar mbar psi mmHg
    atm
    cal kcal mol mmol µmol kat Bq kBq Gy mGy Sv mSv µSv lx lm cd dB dBA dBm ppm ppb ppt bit kbit Mbit Gbit bps kbps
    Mbps
    Gbps kB KB MB GB TB PB KiB MiB GiB TiB px MP dpi mph knots kn hp PS km/h m/s kph IU
    нм мкм мм см дм м км мкг мг г кг т ц мкл мл л га кв._м кв._км м² м³ км² см² см³ сут мин ч Гц кГц МГц ГГц Вт кВт
    МВт ГВт
    кВт·ч МВт·ч В кВ А мА Ом Дж кДж МДж Н кН Па кПа МПа бар атм л._с. км/ч м/с об/мин дБ ккал кал
    كم م سم ملم مم كغ كغم كجم غ غم جم مل ل هـ کیلومتر متر ק״מ ק"מ ס״מ ס"מ מ״מ מ"מ מ״ר מ"ר ק״ג ק"ג מ״ל מ"ל קמ״ש קמ"ש
    קוט״ש
    किमी मी सेमी मिमी किग्रा मिग्रा ग्रा कि.मी. मी. से.मी. मि.मी. कि.ग्रा. กม. ซม. มม. กก. มก. มล. ตร.ม. ตร.กม.
    ㎜ ㎝ ㎞ ㎏ ㎡ ㎥ ㎖ ㎎ ㏄ ㎢ ㎾ ㎐
"""
UNIT_WORDS = """
    metre metres meter meters kilometre kilometres kilometer kilometers centimetre centimetres centimeter centimeters
    millimetre millimetres millimeter millimeters mile miles foot feet inch inches yard yards gram grams gramme
    grammes
    kilogram kilograms kilogramme kilogrammes milligrams tonne tonnes ton tons pound_force ounce ounces litre litres
    liter
    liters millilitres milliliters gallon gallons hectare hectares acre acres watt watts kilowatt kilowatts megawatt
    megawatts kilowatt-hours volt volts ampere amperes hertz megahertz gigahertz byte bytes kilobytes megabytes
    gigabytes
    terabytes decibels square_metres square_meters square_kilometres square_kilometers square_miles square_feet
    cubic_metres
    cubic_meters kilometres_per_hour kilometers_per_hour miles_per_hour metres_per_second nautical_miles
    Zentimeter Millimeter Kilometer Meter Meile Meilen Fuß Zoll Gramm Kilogramm Tonne Tonnen Liter Hektar Quadratmeter
    Quadratkilometer Kubikmeter Kilowatt Kilowattstunden Megawatt Volt Stundenkilometer Seemeilen
    mètre mètres kilomètre kilomètres centimètres millimètres gramme kilos kilo litres hectares mètres_carrés
    kilomètres_carrés mètres_cubes kilomètres_par_heure pieds pouces
    metro metros kilómetro kilómetros centímetros milímetros gramos kilogramos kilos toneladas litros litro hectáreas
    metros_cuadrados kilómetros_cuadrados metros_cúbicos kilómetros_por_hora millas vatios quilômetros quilómetros
    metri
    chilometri chilogrammi grammi tonnellate litri ettari metrów kilometrów kilogramów ton litrów hektarów metrekare
    metre
    kilometre kilogram hektar mét ki-lô-mét kilômét
    метр метра метров километр километра километров сантиметр сантиметра сантиметров миллиметр миллиметра миллиметров
    грамм
    грамма граммов килограмм килограмма килограммов тонна тонны тонн литр литра литров гектар гектара гектаров ватт
    киловатт мегаватт вольт миля мили миль квадратных_метров квадратных_километров кубических_метров километров_в_час
    متر مترا أمتار كيلومتر كيلومترا كيلومترات سنتيمتر سنتيمترا مليمتر غرام غراما جرام كيلوغرام كيلوغراما كيلوجرام طن
    طنا
    أطنان لتر لترا لترات هكتار هكتارا واط ميل أميال متر_مربع كيلومتر_مربع متر_مكعب میٹر کلومیٹر کلوگرام لیٹر
    מטר מטרים קילומטר קילומטרים סנטימטר סנטימטרים מילימטר מילימטרים גרם קילוגרם קילו טון טונות ליטר ליטרים דונם הקטר
    וואט
    मीटर किलोमीटर सेंटीमीटर मिलीमीटर ग्राम किलोग्राम किलो टन लीटर हेक्टेयर वर्ग_मीटर वर्ग_किलोमीटर वाट मील फीट
    เมตร กิโลเมตร เซนติเมตร มิลลิเมตร กรัม กิโลกรัม ตัน ลิตร ไร่ ตารางเมตร ตารางกิโลเมตร ลูกบาศก์เมตร วัตต์ กิโลวัตต์
    平方公里 平方千米 平方米 立方米 公里 千米 厘米 公分 毫米 微米 英里 英尺 英寸 海里 公斤 千克 毫克 公克 公吨 公噸 吨
    噸 毫升 公升
    公顷 公頃 千瓦时 千瓦 兆瓦 瓦 伏 赫兹 米 克 升
    平方メートル 平方キロメートル 立方メートル キロメートル センチメートル ミリメートル メートル キログラム ミリグラム
    グラム リットル ミリリットル
    キロワット ワット ヘクタール センチ ミリ キロ トン マイル フィート インチ
    제곱미터 제곱킬로미터 평방킬로미터 세제곱미터 킬로미터 센티미터 밀리미터 미터 킬로그램 밀리그램 그램 리터 톤
    헥타르 와트 킬로와트 마일 피트
    미크론
"""
TIMES = """
    second seconds minute minutes hour hours day days week weeks month months year years years_old decade decades
    century
    centuries Sekunde Sekunden Minute Minuten Stunde Stunden Tag Tage Tagen Woche Wochen Monat Monate Monaten Jahre
    Jahren
    seconde secondes heure heures jour jours semaine semaines mois ans années segundo segundos minuto minutos hora
    horas día
    días semana semanas meses años dias anos secondi minuti ore giorni settimane mesi anni sekund minut godzin dni lat
    saniye dakika saat gün hafta yıl năm giờ phút giây
    секунда секунды секунд минута минуты минут час часа часов день дня дней неделя недели недель месяц месяца месяцев
    лет
    года
    ثانية ثوان دقيقة دقائق ساعة ساعات يوما يوم أيام أسبوعا أسابيع شهرا شهر أشهر سنة سنوات عاما أعوام
    שניות שנייה דקות דקה שעות שעה ימים יום שבועות חודשים שנים שנה
    सेकंड सेकेंड मिनट घंटे घंटा दिन सप्ताह हफ्ते महीने साल वर्ष วินาที นาที ชั่วโมง วัน สัปดาห์ เดือน ปี
"""
COUNTERS = """
    人 名 位 個 个 箇 ヶ か所 カ所 本 枚 台 冊 册 匹 頭 头 羽 杯 件 回 次 歳 才 岁 歲 階 层 層 階建て 戸 户 軒 棟 座
    艘 隻 只 条 條 张
    張 辆 輛 架 足 問 题 題 点 點 章 巻 卷 期 代 番 番目 号 號 种 種 种类 種類 倍 割 分の1 级 級
    年 年代 年間 年间 月 ヶ月 か月 カ月 个月 個月 日 日間 天 週間 週 时 時 時間 小时 小時 分 分钟 分鐘 分間 秒 秒間
    秒钟 世紀 世纪
    명 개 개국 개월 대 권 마리 채 장 벌 곳 살 세 세기 층 번 번째 회 차 위 호 호선 건 가지 종 배 명당 분 초 시간 시 일
    일간 주 주간 월 년 년간 년대
    인 석 점 편 그루 송이 켤레 쪽 줄 칸 량 척 군데 학년 등급 리
"""


# -- what decides ------------------------------------------------------------------------------------------------------

BEHIND_YEARS = "г м т h m g s t l L V W ч л م ل هـ غ PS MP"
"""Symbols of units that stand for something else behind a year, as in "2010 г."."""

REFERENCES = """
    eq eqs equation equations section sections sec figure figures fig table tables chapter chapters formula formulas
    item
    step version no nr p pp see Gl Gleichung Abschnitt Abb Abbildung Tabelle Kapitel Formel siehe équation tableau
    chapitre
    ecuación tabla capítulo формула формуле уравнение раздел рис таблица таблице глава см 式 図 表 图 章 節 节
"""
"""Words before a number in parentheses that is no amount: "equation (4.2)"."""

VERBS = """
    was were is are of to at by be betrug beträgt war ist von auf um était est de fue es era составил составила
    составило
    составили составляет был была было были 是 为 為 は が で
"""
"""Words before a number in parentheses that is a negative amount: "the result was (4.2)"."""


def any_of(*tables: str) -> str:
    """A pattern that matches any entry of the tables, a longer one rather than a shorter one.

    >>> any_of("m km kg")
    '(?:k(?:g|m)|m)'
    """
    return _any_of({entry.replace("_", " ") for table in tables for entry in table.split()})


def _any_of(entries: set[str]) -> str:
    """A trie: entries that begin with the same letter share a branch, so that few branches are tried."""
    rests: dict[str, set[str]] = {}
    for entry in sorted(filter(None, entries)):
        rests.setdefault(entry[0], set()).add(entry[1:])
    branches = "|".join(regex.escape(letter) + _any_of(rest) for letter, rest in rests.items())
    return f"(?:{branches}){'?' * ('' in entries)}" if len(rests) > 1 or "" in entries and branches else branches
